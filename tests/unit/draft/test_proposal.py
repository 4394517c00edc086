"""A draft as a whole: from a file to a YAML that loads, and that says why each setting is as it is."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from contender.check import check_libraries
from contender.draft.asking import Talk
from contender.draft.proposal import Proposal, propose
from contender.draft.reading import read
from contender.draft.roles import Asked, decide
from contender.draft.text import render
from contender.draft.trying import rows_of
from contender.errors import DataRejected
from contender.spec.loading import parse_spec

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
N = 1_000


def table(**more: Any) -> pd.DataFrame:
    """Customers of which some leave; ``y`` follows ``x`` and ``plan``, not very closely."""
    random = np.random.default_rng(0)
    x, plan = random.normal(size=N), random.choice(["basic", "plus", "NA"], N)
    leaves = x + (plan == "plus") + random.normal(size=N) > 0.5
    frame = pd.DataFrame({"customer_id": [f"{n:05d}" for n in range(N)], "x": x.round(4), "plan": plan})
    return frame.assign(age=random.integers(18, 90, N), y=np.where(leaves, "yes", "no"), **more)


def draft(
    tmp_path: Path, frame: pd.DataFrame, *, target: str = "y", time: str | None = None, kind: str = "csv"
) -> tuple[Proposal, list[str]]:
    file = tmp_path / f"data.{kind}"
    frame.to_csv(file, index=False) if kind == "csv" else frame.to_parquet(file)
    talk = Talk()
    reading = read(file, talk, time=time)
    return propose("shop", reading, decide(reading, Asked(target, time=time), talk), talk, now=NOW), talk.seen


@pytest.fixture(scope="module")
def proposal(tmp_path_factory: pytest.TempPathFactory) -> Proposal:
    return draft(tmp_path_factory.mktemp("draft"), table())[0]


def test_what_is_written_is_what_was_proposed_and_the_libraries_know_it(proposal: Proposal, tmp_path: Path) -> None:
    spec = parse_spec(render(proposal, schema="x.json").encode(), tmp_path / "shop.yaml")
    assert spec == proposal.spec
    check_libraries(spec)


def test_a_run_sees_the_types_that_were_found(proposal: Proposal) -> None:
    rows, quarantine = rows_of(proposal.spec, NOW)
    assert quarantine.rows == {}
    assert {"x": "float64", "plan": "str", "age": "float64"} == {n: str(d) for n, d in rows.features.dtypes.items()}
    assert rows.frame["customer_id"].iloc[0] == "00000"
    assert rows.features["plan"].notna().all()  # NA is a plan
    assert rows.labels == ("no", "yes")


def test_every_line_of_the_file_fits_the_screen_and_reasons_stand_beside_settings(proposal: Proposal) -> None:
    text = render(proposal)
    assert "# a fifth of the rows, always the same ones, judges" in text
    unfolded = text.replace("\n  # ", " ")
    measured = re.search(
        r"today, fitted on (\d+) rows and scored on the (\d+) that judge; below this something", unfolded
    )
    assert measured is not None
    assert int(measured[1]) + int(measured[2]) == N
    assert "a true gain of 1 point of roc_auc is seldom proved" in unfolded
    assert max(len(line) for line in text.splitlines() if "#" in line) <= 118


def test_the_gate_asks_for_what_its_rows_can_prove(tmp_path: Path) -> None:
    few, _ = draft(tmp_path, table().head(300))
    assert few.document["gates"][2]["policy"] == "unless_worse"
    assert few.document["gates"][1]["opponent"] in ("trivial", "baseline")


def test_a_dropped_decimal_point_breaks_the_range_that_was_written(tmp_path: Path) -> None:
    good, _ = draft(tmp_path, table())
    broken = table()
    broken.loc[::2, "x"] = (broken.loc[::2, "x"] * 10_000).round()
    broken.to_csv(tmp_path / "data.csv", index=False)
    _, quarantine = rows_of(good.spec, NOW)
    assert len(quarantine.rows) / N > good.document["quarantine"]["max_share"]


def test_leaks_are_named_in_the_file_and_left_out(tmp_path: Path) -> None:
    frame = table()
    frame["status"] = np.where(frame["y"] == "yes", "gone", "here")
    proposal, seen = draft(tmp_path, frame)
    assert "status" in proposal.spec.data.exclude
    assert any(sentence.startswith("LEAK: 'status' is left out: reaches ROC AUC 1.000 alone") for sentence in seen)
    assert "- status  # LEAK: reaches ROC AUC 1.000 alone" in render(proposal)


def test_a_column_that_the_run_drops_is_left_out_before_the_draft_measures(tmp_path: Path) -> None:
    frame = table()
    late = np.where(frame["y"] == "yes", 1_500, 0) + np.random.default_rng(5).permutation(4 * N)[:N]
    frame["policy_number"] = 100_000 + 7 * late
    frame = frame.drop_duplicates("policy_number")
    proposal, seen = draft(tmp_path, frame)
    assert "policy_number" in proposal.spec.data.exclude
    assert "is different in nearly every row" in proposal.excluded["policy_number"]
    assert not any(sentence.startswith("LEAK: 'policy_number'") for sentence in seen)
    rows, quarantine = rows_of(proposal.spec, NOW)
    assert (quarantine.findings, quarantine.dropped) == ((), ())
    assert "policy_number" not in rows.features


def test_a_household_on_both_sides_becomes_the_id(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    home = random.integers(0, N // 4, N)
    frame = table().drop(columns="customer_id").assign(home=[f"h{n}" for n in home])
    frame["y"] = np.where(np.random.default_rng(3).random(N // 4)[home] < 0.4, "yes", "no")
    proposal, seen = draft(tmp_path, frame)
    assert proposal.spec.data.id == "home"
    assert "home: text" in render(proposal)
    assert any(sentence.startswith("'home' is the id:") for sentence in seen)
    assert rows_of(proposal.spec, NOW)[1].findings == ()


def test_rows_that_repeat_on_both_sides_are_one_sentence_and_no_draft(tmp_path: Path) -> None:
    frame = table(at=days(NOW, 200))
    frame.loc[N // 2 :, ["x", "plan", "age", "y"]] = frame.loc[: N // 2 - 1, ["x", "plan", "age", "y"]].to_numpy()
    with pytest.raises(DataRejected, match="of the rows that judge have the features of rows that train"):
        draft(tmp_path, frame)


def test_a_rare_class_gets_as_few_folds_as_it_needs(tmp_path: Path) -> None:
    frame = pd.concat([table(), table()], ignore_index=True).drop(columns="customer_id")
    random = np.random.default_rng(8)
    frame = frame.assign(x=random.normal(size=len(frame)), y="no")
    frame.loc[random.choice(len(frame), 10, replace=False), "y"] = "yes"
    frame.loc[frame["y"] == "yes", "x"] += 3
    proposal, _ = draft(tmp_path, frame)
    assert 2 <= proposal.spec.split.folds < 5
    assert "without rows of both classes" in render(proposal).replace("\n# ", " ")
    rows, _ = rows_of(proposal.spec, NOW)
    rows.check_roles()


def shops(gains: list[float]) -> pd.DataFrame:
    """Sales of shops, whose numbers are names: ``gains`` is what each sells more than ``x`` says."""
    random = np.random.default_rng(9)
    frame = pd.DataFrame({"x": random.normal(size=2 * N).round(3), "store": random.integers(1, len(gains) + 1, 2 * N)})
    return frame.assign(
        sales=(frame["x"] + np.array(gains)[frame["store"] - 1] + random.normal(size=2 * N) / 4).round(3)
    )


NAMES_OF_SHOPS = np.random.default_rng(10).permutation(np.linspace(0, 9, 40)).tolist()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_numbers_that_are_names_are_declared_text(tmp_path: Path, kind: str) -> None:
    proposal, seen = draft(tmp_path, shops(NAMES_OF_SHOPS), target="sales", kind=kind)
    assert proposal.spec.data.columns == {"store": "text"}
    assert str(rows_of(proposal.spec, NOW)[0].features["store"].dtype) == "str"
    assert any(
        sentence.startswith("'store': whole numbers taken as names, not as amounts: a plain") for sentence in seen
    )
    text = render(proposal).replace("\n  # ", " ")
    assert "whole numbers that are names, not amounts: with them as text a plain linear model reaches" in text
    assert proposal.spec == parse_spec(render(proposal).encode(), tmp_path / "shop.yaml")


def test_numbers_in_whose_order_the_target_grows_stay_amounts(tmp_path: Path) -> None:
    proposal, _ = draft(tmp_path, shops([n / 4 for n in range(40)]), target="sales")
    assert proposal.spec.data.columns == {}


def days(until: datetime, span: int) -> pd.Series:
    start = pd.Timestamp(until.date()) - pd.Timedelta(days=span)
    return pd.Series(start + pd.to_timedelta(np.sort(np.random.default_rng(1).random(N)) * span, "D")).dt.floor("s")


def test_data_that_still_comes_is_looked_at_from_today(tmp_path: Path) -> None:
    proposal, _ = draft(tmp_path, table(at=days(NOW, 200)))
    spec = proposal.spec
    assert spec.as_of is None
    assert spec.data.time == "at"
    assert spec.data.window >= timedelta(days=200)
    rows, _ = rows_of(spec, NOW.replace(hour=0, minute=0))
    assert 100 <= len(rows.split.gate) <= N // 2


def test_data_that_ended_long_ago_is_looked_at_from_its_end(tmp_path: Path) -> None:
    proposal, seen = draft(tmp_path, table(at=days(datetime(2024, 7, 1, tzinfo=UTC), 200)))
    assert proposal.spec.as_of == date(2024, 7, 1)
    assert "remove this line once new rows arrive" in render(proposal)
    assert any("the data ends on 2024-06-30" in sentence for sentence in seen)


def test_a_stray_moment_does_not_stretch_the_window(tmp_path: Path) -> None:
    at = days(NOW, 200)
    at.iloc[0] = pd.Timestamp("2009-01-01")
    proposal, seen = draft(tmp_path, table(at=at))
    assert proposal.spec.data.window < timedelta(days=260)
    assert any("lie far outside the time" in sentence for sentence in seen)


def test_a_number_is_judged_by_its_error_and_has_its_range(tmp_path: Path) -> None:
    frame = table().drop(columns="y")
    frame["price"] = (frame["x"] * 3 + 20 + np.random.default_rng(3).normal(size=N)).round(3)
    proposal, _ = draft(tmp_path, frame, target="price")
    spec = proposal.spec
    assert (spec.sweep.metric, spec.data.positive) == ("neg_root_mean_squared_error", None)
    assert any(one.arguments.get("column") == "price" for one in spec.expectations)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (table()[["customer_id", "y"]], "no feature is left"),
        (table().head(8), "at least 2 are needed"),
        (table().head(60), "the gate part has too few rows"),
        (table()[["customer_id", "y"]].assign(copy=table()["y"]), "no column is left to learn from"),
    ],
)
def test_data_that_nothing_can_be_learned_from_is_refused(tmp_path: Path, frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataRejected, match=message):
        draft(tmp_path, frame)


@pytest.mark.parametrize(
    "word",
    ["yes", "NO", "on", "null", "1e3", "012", "1:30", "a: b", "# no", "*x", "- x", "{a}", "\u00e9\t'\"", "x,y", ""],
)
def test_any_text_of_the_data_comes_back_from_the_yaml_as_it_was(tmp_path: Path, proposal: Proposal, word: str) -> None:
    renamed = Proposal("shop", {**proposal.document, "description": word}, proposal.why, proposal.excluded)
    renamed.document["expectations"] = [
        {"expect_column_values_to_be_in_set": {"column": "plan", "value_set": [word, "b"]}}
    ]
    spec = parse_spec(render(renamed).encode(), tmp_path / "shop.yaml")
    assert spec.description == word
    assert spec.expectations[0].arguments["value_set"] == [word, "b"]
