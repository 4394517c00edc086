"""The report's pictures: which contestants and rows they show, and that only the input decides their bytes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pytest

from contender.documents.scoreboard import Comparison, Scoreboard, Verdict
from contender.documents.sweep import Trial, TrialResult
from contender.judge.contest import Contest
from contender.metrics.predictions import Predictions
from contender.report.plots import (
    ENOUGH_ROWS,
    MOST_POINTS,
    GateComparison,
    Plot,
    contest_plots,
    forest,
    parameter_plot,
    sweep_plot,
)

if TYPE_CHECKING:
    from contender.documents.scoreboard import Contestant, Opponent

TREE = "sklearn.tree.DecisionTreeClassifier"
BOARD = Scoreboard(metric="roc_auc", cards=())


def texts(plot: Plot) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", plot.svg)


def marks(plot: Plot, colour: str) -> int:
    return len(re.findall(rf"<use [^>]*fill: var\(--{colour}\)", plot.svg))


def contest(rows: int = 300, *, fresh: int | None = None, regression: bool = False, positives: Any = None) -> Contest:
    """Three contestants of falling skill and a constant one; with ``fresh`` that many rows are new to the champion."""
    random = np.random.default_rng(1)
    truth = random.normal(size=rows)
    target = truth if regression else (truth > 0).astype(int) if positives is None else positives
    noise: dict[Contestant, float] = {"candidate": 0.5, "baseline": 1.0} | ({} if fresh is None else {"champion": 0.7})
    predictions = {}
    for name, amount in noise.items():
        raw = truth + amount * random.normal(size=rows)
        chance = 1 / (1 + np.exp(-raw))
        predictions[name] = Predictions(raw if regression else np.column_stack([1 - chance, chance]))
    predictions["trivial"] = Predictions(np.zeros(rows) if regression else np.full((rows, 2), 0.5))
    return Contest(BOARD, target, predictions, np.arange(rows) >= rows - (fresh or 0))


def asked(metric: str = "roc_auc", *, opponent: Opponent = "baseline", status: Any = "passed") -> GateComparison:
    comparison = Comparison(
        opponent=opponent,
        metric=metric,
        rows=300,
        candidate=0.8,
        other=0.7,
        difference=0.1,
        low=0.05,
        high=0.15,
        confidence=0.9,
    )
    verdict = Verdict(gate=f"beats {opponent}", status=status, reason="0.8 against 0.7", observed=0.1, required=0.0)
    return GateComparison(comparison, verdict, "superior")


def result(mean: float | None, *, estimator: str = TREE, **params: Any) -> TrialResult:
    trial = Trial(key=f"{estimator}{mean}{params}", estimator=estimator, params=params, seed=0)
    return TrialResult(
        trial=trial,
        status="failed" if mean is None else "complete",
        mean=mean,
        std=None if mean is None else 0.01,
        seconds=1,
        cpu_seconds=1,
        started=datetime(2026, 3, 2, tzinfo=UTC),
        error="no" if mean is None else None,
    )


def test_a_classifier_is_shown_by_its_curves_and_its_calibration() -> None:
    assert [plot.title for plot in contest_plots(contest())] == ["ROC curve", "Precision and recall", "Calibration"]


def test_a_regressor_is_shown_by_its_predictions_and_its_errors() -> None:
    plots = contest_plots(contest(regression=True))
    assert [plot.title for plot in plots] == ["Predicted against true", "Residuals"]


def test_every_contestant_has_its_line_with_its_own_number() -> None:
    target = np.array([0, 0, 1, 1])
    perfect, inverted = (Predictions(np.column_stack([1 - p, p])) for p in (target * 0.8 + 0.1, 0.9 - target * 0.8))
    roc, recall, _ = contest_plots(Contest(BOARD, target, {"candidate": perfect, "baseline": inverted}))
    assert {"candidate 1.000", "baseline 0"} <= set(texts(roc))
    assert {"candidate 1.000", "baseline 0.5000"} <= set(texts(recall))
    assert 'aria-label="area: candidate 1, baseline 0"' in roc.svg


def test_every_contestant_is_drawn_on_the_rows_that_are_new_to_the_champion() -> None:
    (predicted, _) = contest_plots(contest(300, fresh=ENOUGH_ROWS, regression=True))
    assert "champion" in texts(predicted)
    assert "100 gate rows that are new to the champion too" in predicted.caption
    assert marks(predicted, "candidate") == 100 + 1  # and one in the legend


def test_a_champion_with_too_few_new_rows_is_left_out() -> None:
    (predicted, _) = contest_plots(contest(300, fresh=ENOUGH_ROWS - 1, regression=True))
    assert "champion" not in texts(predicted)
    assert marks(predicted, "candidate") == 300 + 1


def test_a_champion_whose_new_rows_are_of_one_class_is_left_out() -> None:
    (roc, *_) = contest_plots(contest(300, fresh=150, positives=(np.arange(300) < 150).astype(int)))
    assert "300 gate rows." in roc.caption


def test_without_both_classes_there_is_no_curve() -> None:
    assert contest_plots(contest(positives=np.ones(300, dtype=int))) == ()


def test_few_rows_and_a_probability_beyond_one_do_not_stop_the_report() -> None:
    held = contest(6)
    held.predictions["candidate"].values[0, 1] = 1.0000001
    assert len(contest_plots(held)) == 3


def test_pictures_do_not_grow_with_the_rows() -> None:
    small, large = (sum(len(plot.svg) for plot in contest_plots(contest(rows))) for rows in (2_000, 20_000))
    assert large < 1.2 * small


def test_a_scatter_says_how_many_rows_it_draws() -> None:
    (predicted, _) = contest_plots(contest(3_000, regression=True))
    assert f"{MOST_POINTS} of 3,000 gate rows" in predicted.caption
    assert marks(predicted, "candidate") == MOST_POINTS + 1  # and one in the legend


def test_each_comparison_has_its_row_and_each_metric_its_scale() -> None:
    plot = forest([asked(), asked(opponent="champion", status="failed"), asked("neg_log_loss")])
    assert plot is not None
    assert [text for text in texts(plot) if text in ("roc_auc", "neg_log_loss")] == ["roc_auc", "neg_log_loss"]
    assert (marks(plot, "passed"), marks(plot, "failed")) == (2, 1)
    assert "beats champion: 0.8 against 0.7, failed" in plot.svg


def test_without_a_comparison_there_is_nothing_to_draw() -> None:
    assert forest([]) is None


def test_the_sweep_shows_every_complete_trial_and_one_star() -> None:
    results = [result(0.7, depth=1), result(0.8, depth=2), result(None), result(0.6, estimator="a.Other")]
    plot = sweep_plot(results, results[1].trial.key, "roc_auc")
    assert plot is not None
    assert (marks(plot, "muted") - ticks(plot), marks(plot, "candidate")) == (2, 1)
    assert [text for text in texts(plot) if text in ("Other", "DecisionTreeClassifier")] == [
        "DecisionTreeClassifier",
        "Other",
    ]


def ticks(plot: Plot) -> int:
    """Tick marks are muted too, and are the only ones with that stroke width."""
    return len(re.findall(r"<use [^>]*fill: var\(--muted\)[^>]*stroke-width: 0.8", plot.svg))


def test_a_large_sweep_is_thinned_but_the_winner_stays() -> None:
    results = [result(1 - place / 10_000, place=place) for place in range(3_000)]
    plot = sweep_plot(results, results[1].trial.key, "roc_auc")
    assert plot is not None
    assert marks(plot, "candidate") == 1
    assert f"{MOST_POINTS + 1} of 3,000 trials are drawn" in plot.caption


def test_a_hopeless_trial_is_an_arrow_and_not_the_scale() -> None:
    results = [result(-1e9), *(result(-1 - place / 10, place=place) for place in range(8))]
    plot = sweep_plot(results, results[1].trial.key, "neg_mean_squared_error")
    assert plot is not None
    assert "An arrow" in plot.caption
    assert not any("1e9" in text for text in texts(plot))


def test_without_a_complete_trial_there_is_no_sweep_to_draw() -> None:
    assert sweep_plot([result(None)], "", "roc_auc") is None


def test_only_parameters_that_varied_are_drawn() -> None:
    results = [result(0.1 * place, depth=place, fixed=3, kind="ab"[place % 2]) for place in range(4)]
    plot = parameter_plot(results, TREE, results[0].trial.key, "roc_auc")
    assert plot is not None
    assert {"depth", "kind", "a", "b"} <= set(texts(plot))
    assert "fixed" not in texts(plot)


def test_a_parameter_over_decades_has_a_logarithmic_axis_with_plain_numbers() -> None:
    results = [result(0.1 * place, C=10.0**place) for place in range(-2, 3)]
    plot = parameter_plot(results, TREE, results[0].trial.key, "roc_auc")
    assert plot is not None
    assert {"0.01", "1", "100"} <= set(texts(plot))


def test_an_estimator_without_varied_parameters_has_no_parameter_picture() -> None:
    assert parameter_plot([result(0.1, depth=1)], TREE, "", "roc_auc") is None


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "$\\frac{1}$", "--> & \"'"])
def test_names_are_text_and_neither_markup_nor_mathematics(name: str) -> None:
    results = [result(0.5, estimator=name, **{name: 1}), result(0.6, estimator=name, **{name: 2})]
    for plot in (sweep_plot(results, "", name), parameter_plot(results, name, "", name), forest([asked(name)])):
        assert plot is not None
        assert "<script" not in plot.svg
        assert name.rpartition(".")[2].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in plot.svg


def test_pictures_take_every_colour_from_the_page() -> None:
    plots = [*contest_plots(contest(fresh=200)), *contest_plots(contest(regression=True, fresh=200)), forest([asked()])]
    for plot in plots:
        assert plot is not None
        assert "currentColor" in plot.svg
        assert "var(--candidate)" in plot.svg or "var(--passed)" in plot.svg
        assert re.findall(r"[ :]#[0-9a-fA-F]{3,8}\b", plot.svg) == []


def test_neither_the_machine_nor_the_clock_changes_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    first = contest_plots(contest(regression=True))
    monkeypatch.setitem(mpl.rcParams, "font.size", 21)
    monkeypatch.setitem(mpl.rcParams, "axes.labelsize", 20)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert contest_plots(contest(regression=True)) == first
    assert mpl.rcParams["font.size"] == 21
