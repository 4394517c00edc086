"""A user's own package for tests, written as files: features with helpers, a model, a metric and gates."""

from __future__ import annotations

import importlib
import sys
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = {
    "__init__.py": "",
    "helpers/__init__.py": "",
    "helpers/numbers.py": """
        import numpy as np
        import mypkg.constants

        def squeeze(values):
            return np.tanh(values * mypkg.constants.SCALE)
        """,
    "constants.py": "SCALE = 1.0\n",
    "features.py": """
        from __future__ import annotations
        from sklearn.base import BaseEstimator, TransformerMixin
        from .helpers import numbers

        class Squeezed(TransformerMixin, BaseEstimator):
            def __init__(self, power=1.0):
                self.power = power

            def fit(self, x, y=None):
                self.columns_ = [name for name in x.columns if str(x[name].dtype) == "float64"]
                return self

            def transform(self, x):
                return numbers.squeeze(x[self.columns_].fillna(0.0)) * self.power
        """,
    "models.py": """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import Pipeline
        from mypkg.features import Squeezed

        def build():
            return Pipeline([("features", Squeezed()), ("model", LogisticRegression())])

        def bare():
            return LogisticRegression()
        """,
    "metrics.py": """
        import numpy as np
        from sklearn.metrics import make_scorer

        def saved(y, answer, sample_weight=None, value=5.0, cost=3.0):
            weights = np.ones(len(y)) if sample_weight is None else sample_weight
            return float((answer * weights * np.where(y == 1, value, -cost)).sum() / weights.sum())

        profit = make_scorer(saved)

        def plain(estimator, X, y, sample_weight=None):
            return saved(y, estimator.predict(X), sample_weight)
        """,
    "gates.py": """
        def enough_rows(evidence, least):
            return {"passed": len(evidence.rows) >= least, "reason": f"{len(evidence.rows)} rows",
                    "observed": float(len(evidence.rows)), "required": least}

        def sane(evidence):
            both = evidence.candidate[evidence.target == 1].mean() > evidence.candidate[evidence.target == 0].mean()
            return {"passed": both, "reason": "churners get the higher probability"}

        def raises(evidence):
            raise ZeroDivisionError("no customers")

        def says_nothing(evidence):
            return None
        """,
}


def write_package(folder: Path, **changed: str) -> Path:
    """The package below a folder; ``changed`` replaces files, named like ``features`` or ``helpers_numbers``."""
    for name, text in FILES.items():
        path = folder / "mypkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(changed.get(name.removesuffix(".py").replace("/", "_"), text)))
    return folder


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """As in a new process that finds the folder: nothing of the package is imported before, and nothing stays."""
    _forget(folder)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        _forget(folder)


def _forget(folder: Path) -> None:
    mine = {path.stem for path in folder.iterdir()}
    for name in [name for name in sys.modules if name.partition(".")[0] in mine]:
        del sys.modules[name]
    importlib.invalidate_caches()
