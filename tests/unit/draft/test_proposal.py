"""A draft as a whole: from a file to a YAML that loads, and that says why each setting is as it is."""

from __future__ import annotations

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
    from collections.abc import Iterator
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
    tmp_path: Path, frame: pd.DataFrame, *, target: str = "y", time: str | None = None
) -> tuple[Proposal, list[str]]:
    file = tmp_path / "data.csv"
    frame.to_csv(file, index=False)
    talk = Talk()
    reading = read(file, talk, time=time)
    return propose("shop", reading, decide(reading, Asked(target, time=time), talk), talk, now=NOW), talk.seen


@pytest.fixture(scope="module", autouse=True)
def _few_draws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contender.stats.bootstrap.DRAWS", 40)
        yield


@pytest.fixture(scope="module")
def proposal(tmp_path_factory: pytest.TempPathFactory) -> Proposal:
    return draft(tmp_path_factory.mktemp("draft"), table())[0]


def test_what_is_written_is_what_was_proposed_and_the_libraries_know_it(proposal: Proposal, tmp_path: Path) -> None:
    spec = parse_spec(render(proposal, schema="x.json").encode(), tmp_path / "shop.yaml")
    assert spec == proposal.spec
    check_libraries(spec)


def test_a_run_sees_the_types_that_were_found(proposal: Proposal) -> None:
    rows, set_aside = rows_of(proposal.spec, NOW)
    assert set_aside == 0
    assert {"x": "float64", "plan": "str", "age": "float64"} == {n: str(d) for n, d in rows.features.dtypes.items()}
    assert rows.frame["customer_id"].iloc[0] == "00000"
    assert rows.features["plan"].notna().all()  # NA is a plan
    assert rows.labels == ("no", "yes")


def test_every_line_of_the_file_fits_the_screen_and_reasons_stand_beside_settings(proposal: Proposal) -> None:
    text = render(proposal)
    assert "# a fifth of the rows, always the same ones, judges" in text
    assert "below this something is broken" in text
    assert "a true gain of 1 point of roc_auc is proved" in text.replace("\n  # ", " ")
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
    _, set_aside = rows_of(good.spec, NOW)
    assert set_aside / N > good.document["quarantine"]["max_share"]


def test_leaks_are_named_in_the_file_and_left_out(tmp_path: Path) -> None:
    frame = table()
    frame["status"] = np.where(frame["y"] == "yes", "gone", "here")
    proposal, seen = draft(tmp_path, frame)
    assert "status" in proposal.spec.data.exclude
    assert any(sentence.startswith("LEAK: 'status' is left out: reaches ROC AUC 1.000 alone") for sentence in seen)
    assert "- status  # LEAK: reaches ROC AUC 1.000 alone" in render(proposal)


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
        (table().head(8), "too few rows with both classes"),
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
