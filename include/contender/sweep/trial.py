"""One trial: an estimator with one set of parameters, its key, and its cross-validation on the sweep rows."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

from contender.canonical import content_key
from contender.documents.sweep import Trial, TrialResult
from contender.errors import ConfigError
from contender.metrics.scorers import score
from contender.sweep.curves import curves
from contender.sweep.machine import by_machine
from contender.sweep.model import build_model
from contender.sweep.prepared import Prepared
from contender.sweep.usage import Meter
from contender.telling import raised

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from contender.documents.code import Code


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
    folds: int | None = None,
    share: float = 1.0,
) -> Trial:
    """A trial with its key, a hash of all that its scores depend on; another run with the same key may reuse them.

    Args:
        baseline: not in the key, because it changes no score.
        data: snapshot, quarantine, roles, split and metric.
        own: fingerprint of the user's own code behind model and metric.
        folds: the number of folds, the last ones; None: all. share: of each fold's training rows.
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
            "folds": folds,
            "share": share,
        }
    )
    return Trial(
        key=key,
        estimator=estimator,
        params=dict(params),
        seed=seed,
        baseline=baseline,
        pipeline=pipeline,
        own=own,
        folds=folds,
        share=share,
    )


@dataclass(frozen=True)
class Fitted:
    """A model fitted on one fold's training rows, with the fold's n test rows.

    Attributes:
        features: shape (n, ...), as ``model`` takes them; target: shape (n,).
        seconds: wall time of the fit, without the preprocessing that trials share.
    """

    model: Any
    features: Any
    target: np.ndarray
    seconds: float


@dataclass
class Evaluator:
    """Scores trials on fixed folds. Equal preprocessing is fitted once per fold, not once per trial.

    Sharing changes no score: the same preprocessing of the same training rows gives the same result. A user's own
    pipeline is fitted whole: steps that look equal need not do the same.

    Attributes:
        features: shape (n, features); target: shape (n,).
        folds: train and test positions.
        metric: a scorer, see ``contender.metrics.scorers``.
        classification: whether an estimator must give probabilities, which the contest needs.
    """

    features: pd.DataFrame
    target: np.ndarray
    folds: Sequence[tuple[np.ndarray, np.ndarray]]
    metric: str
    classification: bool
    _prepared: Prepared = field(default_factory=Prepared)

    def run(self, trial: Trial) -> TrialResult:
        """Cross-validate one trial. An error in it is stored in its result and not raised; one of the machine is told apart.

        A score that is not finite fails the trial: NaN would spoil the mean, infinity would win. The curves are from
        the last fold that was fitted.
        """
        started, seconds, error = datetime.now(UTC), 0.0, None
        machine = False
        scores: list[float] = []
        fitted: Fitted | None = None
        with Meter() as meter, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of convergence and the like: the score alone ranks a trial
            try:
                for number in self._folds_to_fit(trial):
                    fitted = self._fit_fold(trial, number)
                    seconds += fitted.seconds
                    value = score(self.metric, fitted.model, fitted.features, fitted.target)
                    if not math.isfinite(value):
                        error = f"{self.metric} is {value} on fold {number + 1}"
                        break
                    scores.append(value)
                scores += trial.scored  # in the order of the folds: those that were scored before come last
            # An estimator may raise anything, or exit: it is stored as the result, unless it was the machine's fault.
            except (Exception, SystemExit) as failure:  # noqa: BLE001
                machine = by_machine(failure)
                error = raised(failure, most=500, names=[name.rpartition("__")[2] for name in trial.params])
            found = {}
            if fitted is not None:
                found = curves(fitted.model, fitted.features, fitted.target, self.metric, seconds=seconds)
        with np.errstate(over="ignore", invalid="ignore"):  # finite scores may have an infinite spread
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
            seconds=meter.seconds,
            fit_seconds=seconds,
            cpu_seconds=meter.cpu_seconds,
            peak_memory=meter.peak_memory,
            started=started,
            error=error,
            curves=found,
            machine=machine,
        )

    def _folds_to_fit(self, trial: Trial) -> range:
        """Numbers of the trial's folds without those scored by the round before, which are the last ones."""
        count = len(self.folds)
        return range(0 if trial.folds is None else max(0, count - trial.folds), count - len(trial.scored))

    def _fit_fold(self, trial: Trial, number: int) -> Fitted:
        train, test = self.folds[number]
        if trial.share < 1:
            train = sampled(train, self.target, trial.share, trial.seed, by_class=self.classification)
        model = build_model(trial.estimator, trial.params, trial.seed, pipeline=trial.pipeline)
        if self.classification and not hasattr(model, "predict_proba"):
            msg = f"{trial.label} gives no probabilities (predict_proba), which judging needs"
            raise ConfigError(msg)
        train_rows, test_rows = self.features.iloc[train], self.features.iloc[test]
        if not trial.pipeline:
            preparation, model = model[:-1], model[-1]

            def prepare() -> tuple[Any, Any]:
                fitted_on = preparation.fit_transform(train_rows, self.target[train])
                return fitted_on, preparation.transform(test_rows)

            kind = (joblib.hash(preparation), trial.share, trial.seed)  # share and seed draw the training rows
            # Copies, because an estimator may overwrite its input.
            train_rows, test_rows = (part.copy() for part in self._prepared.get(kind, number, prepare))
        clock = time.perf_counter()
        model.fit(train_rows, self.target[train])
        return Fitted(model, test_rows, self.target[test], time.perf_counter() - clock)


def sampled(train: np.ndarray, target: np.ndarray, share: float, seed: int, *, by_class: bool) -> np.ndarray:
    """A random share of training rows, in their order. A larger share with the same seed includes a smaller one.

    Args:
        train: positions, shape (m,); target: of all rows, shape (n,).
        by_class: whether the share is drawn from each class, of which at least two rows stay.
    """
    order = np.random.default_rng(seed).permutation(len(target))  # of all rows: the same in every fold
    shuffled = train[np.argsort(order[train])]
    classes = target[shuffled] if by_class else np.zeros(len(train))
    members = [shuffled[classes == one] for one in np.unique(classes)]
    kept = np.concatenate([rows[: max(2, round(share * len(rows)))] for rows in members])
    return train[np.isin(train, kept)]
