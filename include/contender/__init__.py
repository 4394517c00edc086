"""Contender's core: deciding, recording and reproducing retraining. It knows nothing of Airflow.

What a user's own code may import is ``__all__`` here, and ``contender_airflow.dags.build_dags`` for a DAG file. Every other
name may change with any version. Importing this package is cheap: DAG files do it every few seconds, so neither it nor
``contender.spec`` imports pandas, scikit-learn, MLflow or Great Expectations at module level.
"""

import importlib
import os
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contender.documents.scoreboard import GateAnswer
    from contender.errors import BackendError, ConfigError, Conflict, ContenderError, DataRejected, DataUnavailable
    from contender.judge.gates.base import GateEvidence

__all__ = [
    "BackendError",
    "ConfigError",
    "Conflict",
    "ContenderError",
    "DataRejected",
    "DataUnavailable",
    "GateAnswer",
    "GateEvidence",
]

__version__ = "0.1.0"

# The libraries read these when they are imported. A value that is set already stays: without ours they would make a
# download folder in the user's home, report usage to their makers, and write to every task's log.
for _name, _value in {
    "SKB_DATA_DIRECTORY": f"{tempfile.gettempdir()}/skrub_data",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}.items():
    os.environ.setdefault(_name, _value)

_HOMES = {"GateAnswer": "contender.documents.scoreboard", "GateEvidence": "contender.judge.gates.base"}


def __getattr__(name: str) -> object:
    """A public name, imported when it is first asked for: most commands need none of them."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOMES.get(name, "contender.errors")), name)
