"""Any table gives a draft that a run accepts, or one sentence. ``CONTENDER_FUZZ=50`` tries fifty times as many tables."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from contender.check import check_libraries
from contender.draft.asking import Talk
from contender.draft.proposal import propose
from contender.draft.reading import read
from contender.draft.roles import Asked, decide
from contender.draft.text import render
from contender.errors import ContenderError
from contender.spec.loading import parse_spec
from oddtables import arrow_table, csv_file, small_table

if TYPE_CHECKING:
    from collections.abc import Callable

MORE = int(os.environ.get("CONTENDER_FUZZ", "1"))
NOW = datetime(2026, 7, 1, tzinfo=UTC)


def parquet(folder: Path, seed: int) -> Path:
    file = folder / f"{seed}.parquet"
    pq.write_table(arrow_table(seed), file)
    return file


def delimited(folder: Path, seed: int) -> Path:
    file = folder / f"{seed}.csv"
    file.write_bytes(csv_file(seed))
    return file


def few_rows(folder: Path, seed: int) -> Path:
    file = folder / f"{seed}.parquet"
    pq.write_table(small_table(seed), file)
    return file


def few_lines(folder: Path, seed: int) -> Path:
    file = folder / f"{seed}.csv"
    file.write_bytes(csv_file(seed, rows_at_most=1 + seed * 7 % 40))
    return file


def looked_at(file: Path) -> bool:
    """Read a file and give its columns their roles; whether that was possible. No model is trained."""
    talk = Talk()
    try:
        decide(read(file, talk), Asked("y"), talk)
    except ContenderError as error:
        one_sentence(error)
        return False
    return True


def drafted(file: Path) -> bool:
    """Draft a pipeline and read it back; whether that was possible."""
    talk = Talk()
    try:
        reading = read(file, talk)
        proposal = propose("fuzz", reading, decide(reading, Asked("y"), talk), talk, now=NOW)
    except ContenderError as error:
        one_sentence(error)
        return False
    text = render(proposal)
    spec = parse_spec(text.encode(), Path("fuzz.yaml"))
    check_libraries(spec)
    assert spec == proposal.spec
    return True


def one_sentence(error: ContenderError) -> None:
    message = str(error)
    assert 20 < len(message) < 1_000
    assert message.splitlines() == [message]


@pytest.mark.parametrize("make", [parquet, delimited])
def test_any_table_is_read_or_refused_in_one_sentence(tmp_path: Path, make: Callable[[Path, int], Path]) -> None:
    read_ones = [looked_at(make(tmp_path, seed)) for seed in range(60 * MORE)]
    assert any(read_ones)


@pytest.mark.slow
@pytest.mark.parametrize("make", [few_rows, few_lines])
def test_a_table_of_hardly_any_rows_gives_a_draft_or_one_sentence(
    tmp_path: Path, make: Callable[[Path, int], Path]
) -> None:
    assert {drafted(make(tmp_path, seed)) for seed in range(2_000, 2_000 + 10 * MORE)} <= {True, False}


@pytest.mark.slow
@pytest.mark.parametrize("make", [parquet, delimited])
def test_any_table_gives_a_draft_that_loads_or_one_sentence(tmp_path: Path, make: Callable[[Path, int], Path]) -> None:
    drafts = [drafted(make(tmp_path, seed)) for seed in range(1_000, 1_000 + 8 * MORE)]
    assert any(drafts)
