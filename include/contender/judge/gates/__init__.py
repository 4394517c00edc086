"""The gate family: questions asked of the candidate. One line joins the members; ``base`` is their contract."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contender.judge.gates.base import Gate, GateEvidence
from contender.judge.gates.beats import BASELINE_STANDS, NO_CHAMPION, BeatsGate
from contender.judge.gates.custom import CustomGate
from contender.judge.gates.threshold import ThresholdGate

AnyGate = Annotated[ThresholdGate | BeatsGate | CustomGate, Field(discriminator="kind")]

__all__ = [
    "BASELINE_STANDS",
    "NO_CHAMPION",
    "AnyGate",
    "BeatsGate",
    "CustomGate",
    "Gate",
    "GateEvidence",
    "ThresholdGate",
]
