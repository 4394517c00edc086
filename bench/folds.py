"""``python -m bench.folds ROOM``: sweep three kinds of preprocessing over five folds, with so many bytes for prepared folds.

It prints the seconds, the process's peak memory in GB, and the size of the features in GB.
"""

from __future__ import annotations

import ctypes
import sys
import time

import numpy as np
import pandas as pd

from bench.tables import peak_gigabytes
from contender.run.code import installed_code
from contender.sweep.prepared import Prepared
from contender.sweep.trial import Evaluator, make_trial

ROWS, COLUMNS, FOLDS = 300_000, 20, 5
#: Each has a preprocessing of its own: scaled, split into trees' bins, as it is.
ESTIMATORS = {
    "sklearn.linear_model.SGDClassifier": {"loss": "log_loss", "max_iter": 5, "tol": None},
    "sklearn.ensemble.HistGradientBoostingClassifier": {"max_iter": 5},
    "lightgbm.LGBMClassifier": {"n_estimators": 5},
}


def sweep(room: int) -> float:
    """Run two trials of each kind in turn; the size of the features in GB."""
    random = np.random.default_rng(0)
    features = pd.DataFrame(random.normal(size=(ROWS, COLUMNS)), columns=[f"x{n}" for n in range(COLUMNS)])
    target = (features["x0"] + random.normal(size=ROWS) > 0).to_numpy(dtype=int)
    parts = np.array_split(np.arange(ROWS), FOLDS)
    folds = [(np.concatenate(parts[:n] + parts[n + 1 :]), parts[n]) for n in range(FOLDS)]
    evaluator = Evaluator(features, target, folds, "roc_auc", classification=True, _prepared=Prepared(room))
    for _ in range(2):
        for estimator, params in ESTIMATORS.items():
            trial = make_trial(estimator, params, seed=0, baseline=False, data={}, code=installed_code())
            result = evaluator.run(trial)
            assert result.status == "complete", result.error  # noqa: S101 - a measurement of nothing else
    return float(features.memory_usage().sum() / 1e9)


if __name__ == "__main__":
    # What is let go is given back at once: glibc keeps more and more of it, and the peak would be of that, too.
    ctypes.CDLL(None).mallopt(-3, 1 << 18)  # M_MMAP_THRESHOLD
    began = time.perf_counter()
    size = sweep(int(sys.argv[1]))
    print(f"{time.perf_counter() - began:.1f} {peak_gigabytes():.4f} {size:.4f}")
