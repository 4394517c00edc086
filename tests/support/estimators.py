"""Estimators that misbehave, by import path."""

# ruff: noqa: N803 - scikit-learn's names

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path

from sklearn.linear_model import LogisticRegression

from contender.errors import ConfigError


class Slow(LogisticRegression):
    """Takes its time: ``seconds`` a fit."""

    def __init__(self, *, C=1.0, seconds=0.2):
        super().__init__(C=C)
        self.seconds = seconds

    def fit(self, X, y, sample_weight=None):
        time.sleep(self.seconds)
        return super().fit(X, y, sample_weight)


class Crashes(LogisticRegression):
    """Kills its process when it is fitted: each time, or with ``once`` only while there is no such file."""

    def __init__(self, *, C=1.0, once=None):
        super().__init__(C=C)
        self.once = once

    def fit(self, X, y, sample_weight=None):
        if self.once is None or not Path(self.once).exists():
            if self.once is not None:
                Path(self.once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y, sample_weight)


class Starves(LogisticRegression):
    """Has too little memory until there is such a file: it is killed, is told so, or takes its training task along."""

    def __init__(self, *, C=1.0, until="/nowhere", how="kill"):
        super().__init__(C=C)
        self.until = until
        self.how = how

    def fit(self, X, y, sample_weight=None):
        if not Path(self.until).exists():
            if self.how == "told":
                raise MemoryError("Unable to allocate 40.0 GiB")
            os.kill(os.getppid() if self.how == "task" else os.getpid(), signal.SIGKILL)
            time.sleep(60)
        return super().fit(X, y, sample_weight)


class Calls(LogisticRegression):
    """Calls a function with many variables often, and fails with how many pages its process got meanwhile."""

    def fit(self, X, y, sample_weight=None):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5_000):
            _many()
        pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        raise ConfigError(pages)


_names: dict = {}
exec("def _many(x=0):\n if x: " + "; ".join(f"v{n} = x" for n in range(200)), _names)  # noqa: S102 - no one writes that
_many = _names["_many"]
