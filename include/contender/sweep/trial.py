"""One trial: an estimator with one set of parameters, cross-validated on the sweep rows."""

from __future__ import annotations

import math
import re
import time
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

from contender.canonical import content_key
from contender.documents import Trial, TrialResult
from contender.errors import ConfigError
from contender.sweep.curves import curves
from contender.sweep.model import build_model
from contender.sweep.scoring import score
from contender.sweep.usage import Meter

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
    folds: int | None = None,
    share: float = 1.0,
) -> Trial:
    """A trial with its key: a hash of estimator, parameters, seed, data (snapshot, quarantine, roles, metric), folds,
    share of the rows and code, Contender's and whatever else makes the model or the metric (``own``). Another run with the same
    key may reuse the result; ``baseline`` changes no number and is not in it.
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
    """A model fitted on one fold's training rows, and what it is asked about the fold's test rows.

    Attributes:
        features: shape (n, ...), as ``model`` takes them; target: shape (n,).
        seconds: wall time of fitting it, without preprocessing that it shares with other trials.
    """

    model: Any
    features: Any
    target: np.ndarray
    seconds: float


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
    _prepared: dict[tuple[Any, ...], tuple[Any, Any]] = field(default_factory=dict)

    def run(self, trial: Trial) -> TrialResult:
        """Cross-validate one trial. What goes wrong in it is its result, not an exception.

        A score that is not finite fails the trial: it could otherwise win or poison the mean. Curves are those of the
        last fold that was fitted.
        """
        started, seconds, error = datetime.now(UTC), 0.0, None
        scores: list[float] = []
        fitted: Fitted | None = None
        with Meter() as meter, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence and the like: a trial is judged by its score
            try:
                for number in self._unscored(trial):
                    fitted = self._fit(trial, number)
                    seconds += fitted.seconds
                    value = score(self.metric, fitted.model, fitted.features, fitted.target)
                    if not math.isfinite(value):
                        error = f"{self.metric} is {value} on fold {number + 1}"
                        break
                    scores.append(value)
                scores += trial.scored
            except Exception as raised:  # noqa: BLE001 - whatever an estimator raises is this trial's stored result
                error = f"{type(raised).__name__}: {' '.join(self._without_values(str(raised)).split())[:500]}"
            learned = {}
            if fitted is not None:
                learned = curves(fitted.model, fitted.features, fitted.target, self.metric, seconds=seconds)
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
            seconds=meter.seconds,
            fit_seconds=seconds,
            cpu_seconds=meter.cpu_seconds,
            peak_memory=meter.peak_memory,
            started=started,
            error=error,
            curves=learned,
        )

    def _unscored(self, trial: Trial) -> range:
        count = len(self.folds)
        return range(0 if trial.folds is None else max(0, count - trial.folds), count - len(trial.scored))

    def _fit(self, trial: Trial, number: int) -> Fitted:
        train, test = self.folds[number]
        if trial.share < 1:
            train = sampled(train, self.target, trial.share, trial.seed, by_class=self.classification)
        model = build_model(trial.estimator, trial.params, trial.seed, pipeline=trial.pipeline)
        if self.classification and not hasattr(model, "predict_proba"):
            msg = f"{trial.label} gives no probabilities (predict_proba), which judging needs"
            raise ConfigError(msg)
        seen, unseen = self.features.iloc[train], self.features.iloc[test]
        if not trial.pipeline:
            preparation, model = model[:-1], model[-1]
            kind = (joblib.hash(preparation), number, trial.share, trial.seed)
            if kind not in self._prepared:
                fitted_on = preparation.fit_transform(seen, self.target[train])
                self._prepared[kind] = (fitted_on, preparation.transform(unseen))
            seen, unseen = (part.copy() for part in self._prepared[kind])  # an estimator may overwrite its input
        clock = time.perf_counter()
        model.fit(seen, self.target[train])
        return Fitted(model, unseen, self.target[test], time.perf_counter() - clock)

    def _without_values(self, message: str) -> str:
        """A message without the texts that it quotes from the data."""
        texts = self.features.select_dtypes(["str", "object", "category"])
        values = {str(value) for name in texts for value in texts[name].dropna().unique()}
        return re.sub(r"(['\"])(.*?)\1", lambda quoted: "'...'" if quoted[2] in values else quoted[0], message)


def sampled(train: np.ndarray, target: np.ndarray, share: float, seed: int, *, by_class: bool) -> np.ndarray:
    """A share of some rows, in their order. The rows of a smaller share are among those of a larger one.

    Args:
        train: positions, shape (m,); target: of all rows, shape (n,).
        by_class: whether it is drawn evenly from each class, of which at least two rows stay.
    """
    turn = np.random.default_rng(seed).permutation(len(target))
    shuffled = train[np.argsort(turn[train])]
    classes = target[shuffled] if by_class else np.zeros(len(train))
    members = [shuffled[classes == one] for one in np.unique(classes)]
    kept = np.concatenate([rows[: max(2, round(share * len(rows)))] for rows in members])
    return train[np.isin(train, kept)]
