"""An Airflow home of the tests' own, named before a test imports Airflow."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="contender-tests-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
