"""One trial: its number is what plain cross-validation gives, and what goes wrong in it is its result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import KFold, cross_val_score

from builders import LOGISTIC, TREE
from contender.documents.sweep import Trial
from contender.dtypes import TEXT
from contender.run.code import installed_code
from contender.sweep import curves
from contender.sweep.model import build_model
from contender.sweep.trial import Evaluator, make_trial, sampled
from ownpkg import importable, write_package

RIDGE = "sklearn.linear_model.Ridge"
DATA = {"snapshot": "s", "quarantine": "q"}


def features(rows: int = 120) -> pd.DataFrame:
    """A mixed table: numbers with gaps, few and many texts with gaps, moments."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": random.normal(size=rows),
            "gaps": np.where(random.random(rows) < 0.2, np.nan, random.normal(size=rows)),
            "region": pd.Series(random.choice(["north", "south", "east"], rows), dtype=TEXT),
            "note": pd.Series([f"note {n} about {n % 7}" for n in range(rows)], dtype=TEXT),
            "seen": pd.to_datetime("2026-01-01") + pd.to_timedelta(random.integers(0, 10_000, rows), unit="m"),
        }
    )
    frame.loc[::9, "region"] = None
    return frame.astype({"seen": "datetime64[us]"})


def evaluator(
    metric: str = "roc_auc", *, classification: bool = True, folds: int = 2, columns: tuple[str, ...] = ("x", "gaps")
) -> Evaluator:
    frame = features()[list(columns)]
    score = frame["x"].to_numpy() + np.random.default_rng(1).normal(size=len(frame))
    return Evaluator(
        features=frame,
        target=(score > 0).astype("int64") if classification else score,
        folds=list(KFold(folds, shuffle=True, random_state=0).split(frame)),
        metric=metric,
        classification=classification,
    )


def trial(estimator: str, share: float = 1.0, folds: int | None = None, **params: Any) -> Trial:
    return make_trial(
        estimator, params, seed=3, baseline=False, data=DATA, code=installed_code(), folds=folds, share=share
    )


def own(estimator: type[Any], **params: Any) -> Trial:
    """A trial of an estimator of this module."""
    return trial(f"{__name__}.{estimator.__name__}", **params)


def place(code: str) -> str:
    """Where a line of this file is, as an error tells it."""
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), start=1) if text.strip() == code)
    return f"(sweep/{Path(__file__).name}:{line})"


class Raises(ClassifierMixin, BaseEstimator):
    def fit(self, x: Any, y: Any) -> Any:
        msg = "no convergence\n   after 3 rounds"
        raise RuntimeError(msg)

    def predict(self, x: Any) -> Any: ...

    predict_proba = predict


class Infinite(RegressorMixin, BaseEstimator):
    """Says the same huge number everywhere; its squared error is infinite, or its spread over the folds is."""

    def __init__(self, size: float = 1e200) -> None:
        self.size = size

    def fit(self, x: Any, y: Any) -> Any:
        self.size_ = self.size * len(y)
        return self

    def predict(self, x: Any) -> Any:
        return np.full(len(x), self.size_)


class Undefined(ClassifierMixin, BaseEstimator):
    def fit(self, x: Any, y: Any) -> Any:
        self.classes_ = np.unique(y)
        return self

    def predict(self, x: Any) -> Any:
        return np.zeros(len(x), dtype=int)

    def predict_proba(self, x: Any) -> Any:
        return np.full((len(x), 2), np.nan)


class Remembers(ClassifierMixin, BaseEstimator):
    """Keeps what it was fitted on."""

    def fit(self, x: Any, y: Any) -> Any:
        if len(set(y)) < 2:
            raise ValueError("one class only")
        SEEN.append((np.asarray(x), np.asarray(y)))
        self.classes_ = np.unique(y)
        return self

    def predict(self, x: Any) -> Any:
        return np.zeros(len(x), dtype=int)

    def predict_proba(self, x: Any) -> Any:
        return np.full((len(x), 2), 0.5)


SEEN: list[tuple[np.ndarray, np.ndarray]] = []


class Overwrites(RegressorMixin, BaseEstimator):
    """Changes what it is given, as scikit-learn's own do with ``copy_X=False``."""

    def fit(self, x: Any, y: Any) -> Any:
        x = x.to_numpy() if hasattr(x, "to_numpy") else x
        x.flags.writeable = True
        x[:] = 0.0
        return self

    def predict(self, x: Any) -> Any:
        x = x.to_numpy() if hasattr(x, "to_numpy") else x
        x.flags.writeable = True
        x[:] = 0.0
        return np.zeros(len(x))


@pytest.mark.parametrize(
    ("path", "params", "metric"),
    [
        (LOGISTIC, {"C": 0.3}, "roc_auc"),
        (TREE, {"max_depth": 3}, "neg_log_loss"),
        ("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 5}, "accuracy"),
        (RIDGE, {"alpha": 2.0}, "r2"),
    ],
)
def test_the_scores_are_those_of_cross_validating_the_whole_model(
    path: str, params: dict[str, Any], metric: str
) -> None:
    """Sharing the fitted preprocessing between trials saves time and changes nothing."""
    columns = tuple(features(2))
    ours = evaluator(metric, classification=path != RIDGE, columns=columns)
    ours.run(trial(path, **params))  # the second time the preprocessing is there
    result = ours.run(trial(path, **params))
    model = build_model(path, params, 3)
    plain = cross_val_score(model, ours.features, ours.target, cv=ours.folds, scoring=metric, error_score="raise")
    assert result.status == "complete"
    assert result.scores == pytest.approx(plain, abs=1e-9)
    assert result.mean == pytest.approx(plain.mean(), abs=1e-9)
    assert result.std == pytest.approx(plain.std(), abs=1e-9)


def test_a_users_own_pipeline_is_fitted_whole(tmp_path: Path) -> None:
    """Two that look alike need not be: nothing of one is taken for the other."""
    models = """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer

        def first():
            return make_pipeline(FunctionTransformer(lambda x: x[["x"]].fillna(0)), LogisticRegression())

        def second():
            return make_pipeline(FunctionTransformer(lambda x: x[["gaps"]].fillna(0)), LogisticRegression())
        """
    ours = evaluator()
    with importable(write_package(tmp_path, models=models)):
        for name in ("first", "second"):
            one = make_trial(
                f"mypkg.models.{name}", {}, seed=3, baseline=False, data=DATA, code=installed_code(), pipeline=True
            )
            model = build_model(one.estimator, {}, 3, pipeline=True)
            plain = cross_val_score(model, ours.features, ours.target, cv=ours.folds, scoring="roc_auc")
            assert ours.run(one).scores == pytest.approx(plain, abs=1e-9)
    assert plain.mean() < 0.6


def test_a_metric_of_the_users_own_is_the_score(tmp_path: Path) -> None:
    with importable(write_package(tmp_path)):
        result = evaluator("mypkg.metrics.profit").run(trial(LOGISTIC))
        assert result.status == "complete"
        assert result.scores != evaluator("accuracy").run(trial(LOGISTIC)).scores
    with importable(
        write_package(tmp_path, metrics="def profit(estimator, X, y, sample_weight=None):\n    return 1 / 0\n")
    ):
        result = evaluator("mypkg.metrics.profit").run(trial(LOGISTIC))
    assert (
        result.error
        == "ConfigError: mypkg.metrics.profit raised ZeroDivisionError: division by zero (mypkg/metrics.py:2)"
    )


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')", "-float('inf')", "None", "np.float64('nan')"])
@pytest.mark.parametrize("greater", [True, False])
def test_a_metric_of_the_users_own_that_is_no_finite_number_fails_the_trial(
    tmp_path: Path, value: str, greater: bool
) -> None:
    """Whichever way round it is, and also when it is one only on the last fold."""
    metrics = f"""
        import numpy as np
        from sklearn.metrics import make_scorer

        calls = []

        def loss(y, answer):
            calls.append(y)
            return 0.5 if len(calls) == 1 else {value}

        odd = make_scorer(loss, greater_is_better={greater})
        """
    with importable(write_package(tmp_path, metrics=metrics)):
        result = evaluator("mypkg.metrics.odd").run(trial(LOGISTIC))
    assert (result.status, result.scores, result.mean, result.std) == ("failed", (), None, None)
    assert result.error
    if value == "None":
        assert "NoneType" in result.error
    else:
        shown = float(eval(value, {"np": np, "float": float})) * (1 if greater else -1)  # noqa: S307
        assert result.error == f"mypkg.metrics.odd is {shown} on fold 2"


def test_a_model_that_learns_in_steps_shows_how(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the last fold; its scores are what they are without."""
    path, params = "sklearn.ensemble.GradientBoostingClassifier", {"n_estimators": 12}
    monkeypatch.setattr(curves, "_LEAST_SECONDS", 60.0)
    shown = evaluator().run(trial(path, **params))
    assert {name: len(points) for name, points in shown.curves.items()} == {"train_score": 12, "test_score": 12}
    assert shown.curves["test_score"][-1] == (12, pytest.approx(shown.scores[-1], abs=1e-9))
    monkeypatch.setattr("contender.sweep.trial.curves", lambda *_, **__: {})
    assert evaluator().run(trial(path, **params)).scores == shown.scores


def test_a_trial_that_diverged_shows_how() -> None:
    """Its loss grew until it was no number."""
    ours = evaluator("r2", classification=False)
    ours.target *= 1e160
    result = ours.run(trial("sklearn.neural_network.MLPRegressor", solver="sgd", max_iter=5))
    assert result.status == "failed"
    assert all(np.isfinite(value) for curve in result.curves.values() for _, value in curve)


def test_trials_do_not_see_each_other() -> None:
    together = evaluator(classification=False, metric="r2")
    alone = evaluator(classification=False, metric="r2").run(trial(RIDGE)).scores
    for one in (own(Overwrites), trial("sklearn.linear_model.LinearRegression", copy_X=False), trial(RIDGE)):
        last = together.run(one)
    assert last.scores == alone


def test_a_trial_leaves_the_rows_as_they_are() -> None:
    ours = evaluator()
    before = ours.features.copy(deep=True)
    ours.run(trial(LOGISTIC))
    pd.testing.assert_frame_equal(ours.features, before)


def test_what_an_estimator_raises_is_its_result() -> None:
    result = evaluator().run(own(Raises))
    assert (result.status, result.error) == (
        "failed",
        f"RuntimeError: no convergence after 3 rounds {place('raise RuntimeError(msg)')}",
    )
    assert (result.scores, result.mean, result.std) == ((), None, None)


def test_a_score_that_is_undefined_fails_the_trial() -> None:
    result = evaluator("neg_log_loss").run(own(Undefined))
    assert result.status == "failed"
    assert result.error
    assert "NaN" in result.error


def test_a_score_that_is_not_finite_fails_the_trial() -> None:
    result = evaluator("neg_mean_squared_error", classification=False).run(own(Infinite))
    assert (result.status, result.error) == ("failed", "neg_mean_squared_error is -inf on fold 1")


def test_a_spread_that_is_not_finite_fails_the_trial() -> None:
    """A diverged regression can have finite scores whose squares are not."""
    result = evaluator("neg_mean_squared_error", classification=False, folds=7).run(own(Infinite, size=1e78))
    assert result.status == "failed"
    assert result.error == "neg_mean_squared_error differs over the folds by more than a number can hold"


def test_a_model_without_probabilities_fails_before_it_costs_time() -> None:
    result = evaluator().run(trial(RIDGE))
    assert (result.status, result.fit_seconds) == ("failed", 0.0)
    assert result.error == "ConfigError: Ridge gives no probabilities (predict_proba), which judging needs"


def test_an_unknown_estimator_fails_the_trial_only() -> None:
    result = evaluator().run(trial("sklearn.linear_model.NoSuchThing"))
    assert result.status == "failed"
    assert result.error
    assert result.error.startswith("ConfigError: ")


class Quotes(Remembers):
    """Complains as scikit-learn does of a text where it wants a number."""

    def fit(self, x: Any, y: Any) -> Any:
        msg = f"this kernel takes numbers, got {str(x)[:20]!r} in the first row"
        raise ValueError(msg)


def test_a_reason_quotes_no_text_of_the_data() -> None:
    result = evaluator(columns=("x", "region")).run(own(Quotes))
    assert result.error
    assert result.error.startswith(
        "ValueError: this kernel takes numbers, got ... in the first row (sweep/test_trial.py:"
    )


def test_a_long_reason_is_bounded() -> None:
    result = evaluator().run(trial(LOGISTIC, C="x" * 10_000))
    assert result.error
    assert len(result.error) < 600


def test_a_failed_trial_leaves_the_next_one_alone() -> None:
    ours = evaluator()
    ours.run(own(Raises))
    assert ours.run(trial(LOGISTIC)).status == "complete"


def test_what_a_trial_costs_is_its_result() -> None:
    result = evaluator().run(trial("sklearn.ensemble.RandomForestClassifier", n_estimators=50))
    assert 0 < result.fit_seconds < result.seconds < 60
    assert 0 < result.cpu_seconds
    assert result.peak_memory is None or result.peak_memory > 10_000_000


def test_a_failed_trial_has_its_cost_too() -> None:
    result = evaluator("neg_mean_squared_error", classification=False).run(own(Infinite))
    assert result.status == "failed"
    assert 0 < result.fit_seconds < result.seconds


def shared(share: float, ours: Evaluator) -> list[tuple[np.ndarray, np.ndarray]]:
    SEEN.clear()
    assert ours.run(trial(f"{__name__}.Remembers", share=share)).status == "complete"
    return list(SEEN)


def test_a_share_thins_the_training_rows_and_leaves_the_test_rows_whole() -> None:
    ours = evaluator("accuracy")
    whole, half = shared(1.0, ours), shared(0.5, ours)
    assert ours.run(trial(f"{__name__}.Remembers")).scores == ours.run(trial(f"{__name__}.Remembers", share=0.5)).scores
    for (rows, classes), (_, fewer), (train, _) in zip(whole, half, ours.folds, strict=True):
        assert (len(rows), len(fewer)) == (len(train), sum(round(np.sum(classes == c) / 2) for c in (0, 1)))
        assert np.mean(classes) == pytest.approx(np.mean(fewer), abs=0.02)
    assert [len(y) for _, y in shared(1.0, ours)] == [len(y) for _, y in whole], "what was prepared is kept by share"


def test_a_share_scores_as_cross_validating_on_those_rows() -> None:
    ours = evaluator(columns=("x", "gaps", "region"))
    ours.run(trial(LOGISTIC))
    folds = [(sampled(train, ours.target, 0.4, 3, by_class=True), test) for train, test in ours.folds]
    model = build_model(LOGISTIC, {}, 3)
    plain = cross_val_score(model, ours.features, ours.target, cv=folds, scoring="roc_auc", error_score="raise")
    assert ours.run(trial(LOGISTIC, share=0.4)).scores == pytest.approx(plain, abs=1e-9)


def test_on_fewer_folds_it_has_the_scores_of_the_last_ones() -> None:
    ours = evaluator()
    whole, part = ours.run(trial(LOGISTIC)), ours.run(trial(LOGISTIC, folds=1))
    assert part.scores == whole.scores[-1:]
    assert (part.mean, part.std) == (whole.scores[-1], 0.0)


def test_what_is_scored_already_is_not_fitted_again_and_the_result_is_that_of_a_whole_trial() -> None:
    ours = evaluator(folds=4)
    whole, part = ours.run(trial(LOGISTIC)), ours.run(trial(LOGISTIC, folds=2))
    ours.folds = [*ours.folds[:2], *[(rows[:0], rows[:0]) for rows, _ in ours.folds[2:]]]  # cannot be fitted
    ended = ours.run(trial(LOGISTIC).model_copy(update={"scored": part.scores}))
    assert (ended.scores, ended.mean, ended.std) == (whole.scores, whole.mean, whole.std)


def test_a_fold_that_fails_fails_the_trial_whatever_the_others_scored() -> None:
    ours = evaluator(folds=4)
    ours.folds = [(rows[:0], rows[:0]) for rows, _ in ours.folds]
    ended = ours.run(trial(LOGISTIC).model_copy(update={"scored": (0.5, 0.5)}))
    assert (ended.status, ended.scores, ended.mean) == ("failed", (), None)


def test_a_share_without_a_class_fails_the_trial() -> None:
    ours = evaluator()
    ours.target[:] = 1
    ours.target[ours.folds[0][1][:1]] = 0
    result = ours.run(trial(f"{__name__}.Remembers", share=0.5))
    assert (result.status, result.error) == (
        "failed",
        "ValueError: one class only " + place('raise ValueError("one class only")'),
    )


rows = st.lists(st.integers(0, 3), min_size=1, max_size=80)
share = st.floats(0.01, 1.0)


@given(rows, share, share, st.integers(0, 2**31 - 1), st.booleans(), st.data())
def test_a_smaller_share_is_part_of_a_larger_one_and_no_class_is_lost(
    classes: list[int], one: float, other: float, seed: int, by_class: bool, data: st.DataObject
) -> None:
    target = np.array(classes)
    train = np.flatnonzero(data.draw(st.lists(st.booleans(), min_size=len(classes), max_size=len(classes)).filter(any)))
    small, large = (
        sampled(train, target, share, seed, by_class=by_class) for share in (min(one, other), max(one, other))
    )
    assert set(small) <= set(large) <= set(train)
    assert list(small) == sorted(small), "in their order"
    assert list(small) == list(sampled(train, target, min(one, other), seed, by_class=by_class))
    assert list(sampled(train, target, 1.0, seed, by_class=by_class)) == list(train)
    for label in set(target[train]) if by_class else [...]:
        there, kept = (part if label is ... else part[target[part] == label] for part in (train, small))
        assert len(kept) == min(len(there), max(2, round(min(one, other) * len(there))))


@given(st.integers(0, 2**31 - 1))
def test_another_seed_draws_other_rows(seed: int) -> None:
    train, target = np.arange(100), np.zeros(100)
    drawn = [set(sampled(train, target, 0.3, one, by_class=False)) for one in (seed, seed + 1)]
    assert drawn[0] != drawn[1]


SCRIPT = """
import json, sys
from test_trial import evaluator, trial
ours = evaluator()
for path, params in json.load(sys.stdin):
    result = ours.run(trial(path, **params))
    print(json.dumps([result.trial.key, result.scores]))
"""


@pytest.mark.slow
def test_another_process_gets_the_same_keys_and_numbers() -> None:
    asked: list[tuple[str, dict[str, Any]]] = [
        ("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 5, "max_depth": 3}),
        (LOGISTIC, {"C": 0.1}),
    ]
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "support"), *sys.path]
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(folders)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        input=json.dumps(asked),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    ours = evaluator()
    expected = [ours.run(trial(path, **params)) for path, params in reversed(asked)][::-1]
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        [result.trial.key, pytest.approx(list(result.scores), abs=1e-12)] for result in expected
    ]


def test_a_key_says_everything_a_trial_depends_on() -> None:
    def key(**changed: Any) -> str:
        arguments: dict[str, Any] = {"seed": 0, "baseline": False, "data": DATA, "code": installed_code()} | changed
        estimator, params = arguments.pop("estimator", TREE), arguments.pop("params", {"max_depth": 2})
        return make_trial(estimator, params, **arguments).key

    other_code = installed_code().model_copy(update={"fingerprint": "f"})
    other_versions = installed_code().model_copy(update={"versions": {"numpy": "0"}})
    keys = [
        key(),
        key(estimator=LOGISTIC),
        key(params={"max_depth": 3}),
        key(params={"max_depth": 2.0}),
        key(seed=1),
        key(data=DATA | {"quarantine": "other"}),
        key(code=other_code),
        key(code=other_versions),
        key(own="f"),
        key(pipeline=True),
        key(share=0.5),
        key(folds=1),
    ]
    assert len(set(keys)) == len(keys)
    assert key() == key(baseline=True) == key(code=installed_code().model_copy(update={"commit": "c"}))


def test_parameters_have_no_order() -> None:
    assert trial(TREE, max_depth=2, min_samples_leaf=3).key == trial(TREE, min_samples_leaf=3, max_depth=2).key


def test_a_parameter_that_is_no_number_has_no_key() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        trial(TREE, max_depth=float("nan"))
