"""Buttons from a task to what it made. Their URLs are pushed by the task and read when the button is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink, BaseXCom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

MLFLOW_RUN_URL = "contender_mlflow_run_url"
REPORT_URL = "contender_report_url"
CHECKS_URL = "contender_checks_url"


class MLflowRunLink(BaseOperatorLink):
    """To the run's page in MLflow."""

    name = "MLflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL, or an empty one when MLflow has no page."""
        del operator
        return BaseXCom.get_value(key=MLFLOW_RUN_URL, ti_key=ti_key) or ""  # type: ignore[arg-type]


class ReportLink(BaseOperatorLink):
    """To the run's report, which MLflow shows as an artifact."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL, or an empty one before the challenge."""
        del operator
        return BaseXCom.get_value(key=REPORT_URL, ti_key=ti_key) or ""  # type: ignore[arg-type]


class ChecksLink(BaseOperatorLink):
    """To the page about the run's data checks, which MLflow shows as an artifact."""

    name = "Data checks"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL, or an empty one when MLflow has no page."""
        del operator
        return BaseXCom.get_value(key=CHECKS_URL, ti_key=ti_key) or ""  # type: ignore[arg-type]
