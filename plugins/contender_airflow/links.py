"""Buttons of a task that lead to its pages in MLflow. The task pushes the URLs as XComs; the links read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from airflow.sdk import BaseOperatorLink, BaseXCom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

MLFLOW_RUN_URL = "contender_mlflow_run_url"
REPORT_URL = "contender_report_url"
CHECKS_URL = "contender_checks_url"


class _PageLink(BaseOperatorLink):
    key: ClassVar[str]

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL; empty when MLflow has no page, or the task has not got that far."""
        del operator
        return BaseXCom.get_value(key=self.key, ti_key=ti_key) or ""  # type: ignore[arg-type]


class MLflowRunLink(_PageLink):
    """To the run's page in MLflow."""

    name = "MLflow run"
    key = MLFLOW_RUN_URL


class ReportLink(_PageLink):
    """To the run's report, which MLflow shows as an artifact."""

    name = "Report"
    key = REPORT_URL


class ChecksLink(_PageLink):
    """To the page about the run's data checks, which MLflow shows as an artifact."""

    name = "Data checks"
    key = CHECKS_URL
