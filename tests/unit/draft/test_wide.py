"""Tables that are wide, hold long texts or begin empty: the YAML stays a page that a user reads, or one sentence says why not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contender.draft.asking import Talk
from contender.draft.expected import expectations_for
from contender.draft.proposal import propose
from contender.draft.reading import read
from contender.draft.roles import Asked, decide
from contender.draft.text import render
from contender.errors import DataRejected

SAID = "the first 100 of 120 features have expectations; add those that matter of the others"


@pytest.mark.slow
def test_features_beyond_a_hundred_get_no_expectations_and_the_draft_says_so(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    columns = {f"c{place}": random.normal(size=200) for place in range(120)}
    file = tmp_path / "wide.parquet"
    pq.write_table(pa.table({**columns, "y": np.where(columns["c0"] + random.normal(size=200) > 0, "yes", "no")}), file)
    talk = Talk()
    reading = read(file, talk)

    proposal = propose("wide", reading, decide(reading, Asked("y"), talk), talk, now=datetime(2026, 7, 1, tzinfo=UTC))

    expected = {arguments.get("column") for one in proposal.document["expectations"] for arguments in one.values()}
    assert len(expected - {None, "y"}) == 100
    assert SAID in talk.seen
    assert SAID in " ".join(line.strip(" #") for line in render(proposal).splitlines())


def test_more_columns_than_a_yaml_can_name_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    file = tmp_path / "wide.csv"
    names = [f"column_{number}" for number in range(12_000)]
    file.write_text("\n".join([",".join(names), *[",".join("1" for _ in names)] * 3]))

    with pytest.raises(DataRejected, match=r"wide.csv: 12,000 columns, whose types do not fit into a YAML of 256 KiB"):
        read(file, Talk())


def test_a_text_of_a_page_is_no_level() -> None:
    frame = pd.DataFrame({"short": ["a", "b"] * 20, "long": ["a", "z" * 200_000] * 20, "y": [0.0, 1.0] * 20}).astype(
        {"short": "str", "long": "str"}
    )

    made = expectations_for(frame, frame["y"].to_numpy(), names=["short", "long"], target="y", unique=None).expectations

    sets = [
        one["expect_column_values_to_be_in_set"]["column"] for one in made if "expect_column_values_to_be_in_set" in one
    ]
    assert sets == ["short", "y"]


def test_features_that_are_empty_in_the_rows_of_a_fold_are_named_before_anything_is_trained(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    file = tmp_path / "late.parquet"
    columns = {
        "late": [float(row) if row > 350 else None for row in range(400)],
        "day": [datetime(2024, 1, 1) + timedelta(days=row) for row in range(400)],
        "y": random.choice(["yes", "no"], size=400),
    }
    pq.write_table(pa.table(columns), file)
    talk = Talk()
    reading = read(file, talk)
    roles = decide(reading, Asked("y", time="day"), talk)

    with pytest.raises(
        DataRejected, match=r"split\.folds: no feature has a value in the 101 rows that fold 0 trains on"
    ):
        propose("late", reading, roles, talk, now=datetime(2026, 7, 1, tzinfo=UTC))
