"""What one DAG run was asked to do, and the keys of its documents. A Run is made in ``run.freeze``."""

from __future__ import annotations

from datetime import datetime

from contender.documents.code import Code
from contender.frozen import Frozen
from contender.spec.pipeline import PipelineSpec


class Run(Frozen):
    """What one DAG run was asked to do, frozen by its first task. Every later task reads only this.

    Attributes:
        store: the id of the installation (see ``store.base.installation``); empty in runs of version 0.1.0.
        attempt: which execution of the first task froze it, from 1; None in runs of version 0.1.0.
    """

    id: str
    spec: PipelineSpec
    as_of: datetime
    promote: bool = True
    reason: str = ""
    by: str = "scheduler"
    started: datetime
    code: Code
    store: str = ""
    attempt: int | None = None

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return self.spec.name

    def key(self, name: str) -> str:
        """The key of one of the documents of this attempt."""
        folder = "" if self.attempt is None else f"attempts/{self.attempt}/"
        return run_key(self.pipeline, self.id, f"{folder}{name}")

    def round_key(self, number: int, name: str) -> str:
        """The key of a document of one of the sweep's rounds (from 1)."""
        return self.key(f"rounds/{number}/{name}")


def run_key(pipeline: str, run_id: str, name: str) -> str:
    """The key of a document of a run that no attempt owns: the run that counts, failures, usage, outcome."""
    return f"{pipeline}/runs/{run_id}/{name}"
