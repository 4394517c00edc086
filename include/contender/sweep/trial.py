"""One trial: an estimator with one set of parameters, cross-validated on the sweep rows."""

from __future__ import annotations

import math
import resource
import time
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from contender.canonical import content_key
from contender.documents import Trial, TrialResult
from contender.sweep.model import build_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from contender.documents import Code


def make_trial(
    estimator: str, params: Mapping[str, Any], *, seed: int, baseline: bool, data: Mapping[str, Any], code: Code
) -> Trial:
    """A trial with its key: a hash of estimator, parameters, seed, data (snapshot, quarantine, roles, metric) and code.

    Another run with the same key may reuse the result.
    """
    key = content_key(
        {
            "estimator": estimator,
            "params": dict(params),
            "seed": seed,
            "data": dict(data),
            "code": code.fingerprint,
            "versions": code.versions,
        }
    )
    return Trial(key=key, estimator=estimator, params=dict(params), seed=seed, baseline=baseline)


@dataclass
class Evaluator:
    """Scores trials on fixed folds. Preprocessing is fitted once per fold and kind, not once per trial.

    Sharing it changes no number: every trial sees what its own pipeline would have made of the same training rows.

    Attributes:
        features: shape (n, features); target: shape (n,).
        folds: train and test positions.
        metric: a scikit-learn scorer name.
    """

    features: pd.DataFrame
    target: np.ndarray
    folds: Sequence[tuple[np.ndarray, np.ndarray]]
    metric: str
    _prepared: dict[tuple[str, int], tuple[Any, Any]] = field(default_factory=dict)

    def run(self, trial: Trial) -> TrialResult:
        """Cross-validate one trial. What goes wrong in it is its result, not an exception.

        A score that is not finite fails the trial: it could otherwise win or poison the mean.
        """
        started, clock, cpu = datetime.now(UTC), time.perf_counter(), _cpu_seconds()
        scores: list[float] = []
        error = None
        try:
            for number in range(len(self.folds)):
                score = self._score(trial, number)
                if not math.isfinite(score):
                    error = f"{self.metric} is {score} on fold {number + 1}"
                    break
                scores.append(score)
        except Exception as raised:  # noqa: BLE001 - whatever an estimator raises is this trial's stored result
            error = f"{type(raised).__name__}: {' '.join(str(raised).split())[:500]}"
        complete = error is None
        return TrialResult(
            trial=trial,
            status="complete" if complete else "failed",
            scores=tuple(scores) if complete else (),
            mean=float(np.mean(scores)) if complete else None,
            std=float(np.std(scores)) if complete else None,
            seconds=time.perf_counter() - clock,
            cpu_seconds=_cpu_seconds() - cpu,
            started=started,
            error=error,
        )

    def _score(self, trial: Trial, number: int) -> float:
        from sklearn.metrics import get_scorer

        train, test = self.folds[number]
        model = build_model(trial.estimator, trial.params, trial.seed)
        preparation, estimator = model[:-1], model[-1]
        kind = (str(preparation), number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence and the like: a trial is judged by its score
            if kind not in self._prepared:
                fitted_on = preparation.fit_transform(self.features.iloc[train], self.target[train])
                self._prepared[kind] = (fitted_on, preparation.transform(self.features.iloc[test]))
            seen, unseen = self._prepared[kind]
            estimator.fit(seen, self.target[train])
            return float(get_scorer(self.metric)(estimator, unseen, self.target[test]))


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
