"""The loop over pipelines/*.yaml: adding a model is adding a file there."""

from pathlib import Path

from contender_airflow.dags import build_dags

globals().update(build_dags(Path(__file__).parent / "pipelines"))
