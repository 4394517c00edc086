"""The simulated worlds behind ``kind: demo``, on which the demo pipelines and many tests run. No other source imports them."""

from contender.demo.drops import WORLDS, write_drops
from contender.demo.world import LABEL_DELAY, Scenario, drop, true_probability

__all__ = ["LABEL_DELAY", "WORLDS", "Scenario", "drop", "true_probability", "write_drops"]
