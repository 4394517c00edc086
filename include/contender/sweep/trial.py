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
from contender.errors import ConfigError
from contender.sweep.model import build_model
from contender.sweep.scoring import score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from contender.documents import Code


def make_trial(
    estimator: str,
    params: Mapping[str, Any],
    *,
    seed: int,
    baseline: bool,
    data: Mapping[str, Any],
    code: Code,
    pipeline: bool = False,
    own: str = "",
) -> Trial:
    """A trial with its key: a hash of estimator, parameters, seed, data (snapshot, quarantine, roles, metric) and code,
    Contender's and whatever else makes the model or the metric (``own``). Another run with the same key may reuse the
    result.
    """
    key = content_key(
        {
            "estimator": estimator,
            "params": dict(params),
            "seed": seed,
            "data": dict(data),
            "code": code.fingerprint,
            "versions": code.versions,
            "pipeline": pipeline,
            "own": own,
        }
    )
    return Trial(
        key=key, estimator=estimator, params=dict(params), seed=seed, baseline=baseline, pipeline=pipeline, own=own
    )


@dataclass
class Evaluator:
    """Scores trials on fixed folds. Preprocessing is fitted once per fold and kind, not once per trial.

    Sharing it changes no number: every trial sees what its own pipeline would have made of the same training rows. A
    user's own pipeline is fitted whole: nothing says which of its parts are alike.

    Attributes:
        features: shape (n, features); target: shape (n,).
        folds: train and test positions.
        metric: a scorer, see ``contender.sweep.scoring``.
        classification: whether an estimator must give probabilities, as the contest will ask for them.
    """

    features: pd.DataFrame
    target: np.ndarray
    folds: Sequence[tuple[np.ndarray, np.ndarray]]
    metric: str
    classification: bool
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
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = (float(np.mean(scores)), float(np.std(scores))) if scores else (0.0, 0.0)
        if not math.isfinite(mean + std):
            error = f"{self.metric} differs over the folds by more than a number can hold"
        complete = error is None
        return TrialResult(
            trial=trial,
            status="complete" if complete else "failed",
            scores=tuple(scores) if complete else (),
            mean=mean if complete else None,
            std=std if complete else None,
            seconds=time.perf_counter() - clock,
            cpu_seconds=_cpu_seconds() - cpu,
            started=started,
            error=error,
        )

    def _score(self, trial: Trial, number: int) -> float:
        train, test = self.folds[number]
        model = build_model(trial.estimator, trial.params, trial.seed, pipeline=trial.pipeline)
        if self.classification and not hasattr(model, "predict_proba"):
            msg = f"{trial.label} gives no probabilities (predict_proba), which judging needs"
            raise ConfigError(msg)
        preparation, estimator = model[:-1], model[-1]
        kind = (str(preparation), number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence and the like: a trial is judged by its score
            if trial.pipeline:
                model.fit(self.features.iloc[train], self.target[train])
                return score(self.metric, model, self.features.iloc[test], self.target[test])
            if kind not in self._prepared:
                fitted_on = preparation.fit_transform(self.features.iloc[train], self.target[train])
                self._prepared[kind] = (fitted_on, preparation.transform(self.features.iloc[test]))
            seen, unseen = (part.copy() for part in self._prepared[kind])  # an estimator may overwrite its input
            estimator.fit(seen, self.target[train])
            return score(self.metric, estimator, unseen, self.target[test])


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
