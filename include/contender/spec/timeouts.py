"""How long a step may take before it counts as stuck: derived from what the YAML says of time, so that no setting of it is
contradicted by a limit that nobody wrote down.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contender.spec.pipeline import PipelineSpec

_LEAST = timedelta(hours=1)
_BESIDE_TRIALS = timedelta(minutes=10)  # to record and show what the budget let be tried


def step_timeout(spec: PipelineSpec) -> timedelta:
    """Of any step but ``train``: an hour or more, and never before the run is late (``deadline``), nor sooner than the
    sweep would end (``budget``): ``challenge`` fits the candidate as a trial does, on more rows.
    """
    return max(_LEAST, spec.deadline, spec.sweep.budget)


def train_timeout(spec: PipelineSpec) -> timedelta:
    """Of a training task. The budget itself ends a trial in the middle; this ends a task that is stuck anywhere else."""
    return spec.sweep.round_budget + _BESIDE_TRIALS


def verification_timeout(spec: PipelineSpec | None) -> timedelta:
    """Of the fresh process that verifies a release: half of what its step has, which registers the version, too.

    Args:
        spec: None for an adopted model, which no pipeline trained.
    """
    return (_LEAST if spec is None else step_timeout(spec)) / 2
