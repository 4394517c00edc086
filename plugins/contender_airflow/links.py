"""Buttons of a task that lead to its pages in MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class PageLink(BaseOperatorLink):
    """A link to a page of the task's run.

    Airflow asks for its URL in the task's process when the task has ended, and keeps what it was told.
    """

    #: The page among the run's artifacts; empty: the run's own page.
    page: ClassVar[str] = ""

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL; empty, which shows no button, when there is no such page."""
        del ti_key
        links: dict[str, str] = getattr(operator, "links", {})
        return links.get(self.page, "")


class MLflowRunLink(PageLink):
    """To the run's page in MLflow."""

    name = "MLflow run"


class ReportLink(PageLink):
    """To the run's report, which MLflow shows as an artifact."""

    name = "Report"
    page = "report.html"


class ChecksLink(PageLink):
    """To the page about the run's data checks, which MLflow shows as an artifact."""

    name = "Data checks"
    page = "checks.html"
