"""The simulated telecom world that the demo pipelines and many tests run on. Nothing in production imports it."""

from contender.demo.drops import write_drops
from contender.demo.world import LABEL_DELAY, Scenario, drop, true_probability

__all__ = ["LABEL_DELAY", "Scenario", "drop", "true_probability", "write_drops"]
