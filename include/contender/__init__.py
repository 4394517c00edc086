"""Contender's core: deciding, recording and reproducing retraining. Knows nothing of Airflow.

Importing this package is cheap on purpose: a DAG file may import ``contender.spec`` at parse time, so nothing here or
in ``spec`` imports pandas, scikit-learn, MLflow or Great Expectations at module level.
"""

import os
import tempfile

__version__ = "0.1.0"

# What the libraries read as they are imported, unless somebody has said otherwise: they would make a folder for
# downloads in the home of whoever works here, report their use to their makers, and talk in the log of every task.
for _name, _value in {
    "SKB_DATA_DIRECTORY": f"{tempfile.gettempdir()}/skrub_data",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}.items():
    os.environ.setdefault(_name, _value)
