"""The price of CPU time, as a YAML gives it."""

from __future__ import annotations

from pydantic import Field

from contender.frozen import Frozen


class CostSpec(Frozen):
    """The price of CPU time. With it, the cost of sweeps and runs is also shown in money."""

    per_cpu_hour: float = Field(ge=0, description="The price of one hour of one core")
    currency: str = Field(pattern=r"^[A-Z]{3}$", description="The currency's ISO 4217 code, such as EUR")
