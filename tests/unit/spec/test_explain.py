"""A pipeline in words, and the warnings about gates without effect."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from builders import LOGISTIC, TIMED, TREE, make_spec
from contender.spec.explain import explain, gates_without_effect
from contender.spec.pipeline import PipelineSpec

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday


def told(word: str, spec: PipelineSpec) -> list[str]:
    return [sentence for said, sentence in explain(spec, NOW) if said == word]


def test_the_shipped_pipeline_in_words(spec: PipelineSpec) -> None:
    said = dict(explain(spec, NOW))
    assert "rows with observed_on from 180d before the day it looks from until 30d before" in said["reads"]
    assert said["predicts"] == (
        "whether churned is 'yes' (classification) from all columns but churned, customer_id, observed_on"
    )
    assert said["checks"].startswith("at least 100 rows, no infinite number and 5 expectations; 1 of them only told")
    assert said["checks"].endswith("when more than 2% of the rows fail")
    assert said["suspects"] == (
        "leaks: the run stops for determines, near_perfect, missingness, afterwards, rewritten, duplicates and entity; "
        "those columns are left out for id_like"
    )
    assert said["judges"] == "on the newest 28d; rows more than 30d older train, cross-validated in 5 folds"
    assert said["tries"] == (
        "16 trials (random) of LogisticRegression (the baseline) and HistGradientBoostingClassifier "
        "for the greatest roc_auc, training for at most 20m"
    )
    assert said["promotes"].endswith("fitted again on all rows, as models:/churn@champion")
    assert said["runs"] == "at 03:00, only on Monday (0 3 * * 1) (UTC), next on Monday 2026-03-09 at 03:00"
    assert said["tells"].startswith("nobody")
    assert said["changes"].startswith("by trigger: as_of, sweep.strategy.trials,")
    assert said["changes"].endswith("promote, reason")


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ({"kind": "random", "trials": 1}, "1 trial (random) of DecisionTreeClassifier"),
        ({"kind": "halving"}, "60, then 20, then 7 trials (halving) of"),
        ({"kind": "halving", "trials": 4, "factor": 2}, "4, then 2, then 1 trial (halving) of"),
        ({"kind": "tpe"}, "5 rounds of 12 trials (tpe) of"),
        ({"kind": "tpe", "trials": 5, "rounds": 2}, "3, then 2 trials (tpe) of"),
    ],
)
def test_trials_are_told_round_by_round(strategy: dict[str, Any], words: str) -> None:
    candidates = [{"estimator": TREE, "params": {"ccp_alpha": {"uniform": [0, 1]}}}]
    assert told("tries", make_spec(sweep={"strategy": strategy, "candidates": candidates}))[0].startswith(words)


def test_a_price_of_cpu_time_is_told() -> None:
    assert told("costs", make_spec()) == []
    assert told("costs", make_spec(cost={"per_cpu_hour": 0.05, "currency": "EUR"})) == [
        "0.05 EUR for an hour of CPU time"
    ]


def test_what_is_suspected_is_told_with_what_is_done_and_who_is_trusted() -> None:
    spec = make_spec(leaks={"policy": "warn", "kinds": {"entity": "stop"}, "allow": ["a", "b"]})
    [words] = told("suspects", spec)
    assert words.startswith("leaks: the run stops for entity; it is only said for determines, near_perfect,")
    assert words.endswith("; never a and b")


def test_how_old_and_unlabelled_rows_may_be_is_told_when_it_is_asked() -> None:
    spec = make_spec(data={**TIMED, "min_rows": 500, "freshness": "2d", "label_coverage": 0.9})
    [words] = told("checks", spec)
    assert words.startswith(
        "at least 500 rows, the newest within 2d of the window's end, 90% with a label, no infinite"
    )


def test_without_time_expectations_and_schedule() -> None:
    spec = make_spec(
        schedule=None,
        notify=[{"kind": "webhook", "conn_id": "deploy", "on": ["promoted"]}, {"kind": "email", "to": "a@b.org"}],
    )
    said = dict(explain(spec, NOW))
    assert said["reads"] == "parquet /nowhere: all rows"
    assert said["checks"].startswith("at least 100 rows, no infinite number and 0 expectations; a run stops")
    assert said["judges"].startswith("on 20% of the rows, every week the same (by a hash of id)")
    assert said["tries"].startswith("3 trials (grid) of LogisticRegression (the baseline) and DecisionTreeClassifier")
    assert "as fitted without the rows that judge" in said["promotes"]
    assert said["runs"] == "only by hand"
    assert said["tells"] == (
        "webhook: what is promoted; email: what is failed, late, no data and decided; a run is late after 6h"
    )


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ({"kind": "threshold", "metric": "roc_auc", "min": 0.7}, "is roc_auc at least 0.7?"),
        ({"kind": "threshold", "metric": "f1", "min": 0.2, "max": 0.9}, "is f1 at least 0.2 and at most 0.9?"),
        ({"kind": "beats", "opponent": "trivial"}, "is it proved better than a constant guess on roc_auc? On 100"),
        (
            {"kind": "beats", "opponent": "baseline", "margin": 0.01, "metric": "f1"},
            "is it proved better than the baseline LogisticRegression by more than 0.01 on f1?",
        ),
        (
            {"kind": "beats", "opponent": "champion", "policy": "non_inferior", "margin": 0.02, "min_rows": 50},
            ("is it proved not worse than the champion by more than 0.02 on roc_auc? On 50 or more rows that neither was "
            "trained on; not asked of the first model"),
        ),
        (
            {"kind": "beats", "opponent": "champion", "policy": "unless_worse", "margin": 0.02},
            "is its roc_auc not seen worse than that of the champion by more than 0.02? (no proof: for few rows)",
        ),
        ({"kind": "custom", "function": "mypkg.gates.profit", "arguments": {"least": 5}}, "does profit(least=5) say yes?"),
    ],
)  # fmt: skip
def test_a_gate_is_asked_as_a_question(gate: dict[str, Any], words: str) -> None:
    floor = {"kind": "threshold", "metric": "roc_auc", "min": 0.5}
    [_, asked] = told("asks", make_spec(gates=[floor, gate]))
    assert asked.startswith(words)


def test_one_of_one_is_said_as_one() -> None:
    spec = make_spec(
        sweep={"candidates": [{"estimator": LOGISTIC}]},
        expectations=[{"expect_column_to_exist": {"column": "x"}}],
    )
    assert told("tries", spec)[0].startswith("1 trial (grid) of LogisticRegression for")
    assert told("checks", spec)[0].startswith(
        "at least 100 rows, no infinite number and 1 expectation; a run stops before training when a row fails"
    )


@pytest.mark.parametrize(
    ("gate", "asks_nothing"),
    [
        ({"metric": "roc_auc", "min": 0.0}, True),
        ({"metric": "roc_auc", "min": 0.01}, False),
        ({"metric": "neg_log_loss", "max": 0}, True),
        ({"metric": "accuracy", "min": -1, "max": 2}, True),
        ({"metric": "accuracy", "min": 0, "max": 0.9}, False),
        ({"metric": "matthews_corrcoef", "min": 0}, False),
        ({"metric": "positive_likelihood_ratio", "min": 0}, False),
    ],
)
def test_a_gate_that_every_model_passes_is_pointed_at(gate: dict[str, Any], asks_nothing: bool) -> None:
    spec = make_spec(gates=[{"kind": "beats", "opponent": "trivial"}, {"kind": "threshold", **gate}])
    found = gates_without_effect(spec)
    assert bool(found) is asks_nothing
    assert all(warning.startswith("gates.1: every model passes ") for warning in found)


def test_a_schedule_is_said_with_its_next_moment() -> None:
    assert told("runs", make_spec(schedule="@daily"))[0].endswith("next on Thursday 2026-03-05 at 00:00")
    assert told("runs", make_spec(as_of="2026-01-01"))[0].endswith("; it looks from 2026-01-01 unless told")


def test_every_candidate_is_named() -> None:
    candidates = [{"estimator": LOGISTIC}, {"estimator": TREE}, {"estimator": "sklearn.svm.SVC"}]
    assert (
        "LogisticRegression, DecisionTreeClassifier and SVC"
        in told("tries", make_spec(sweep={"candidates": candidates}))[0]
    )
