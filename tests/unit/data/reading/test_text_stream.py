"""A text file is cut between two rows wherever its quotes and line ends stand, as Arrow would split it."""

from __future__ import annotations

import io
from unittest import mock

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import csv

from contender.data.reading import text_stream
from contender.data.reading.dialect import Dialect
from contender.data.reading.text_stream import TextStream


def rows_of(text: bytes) -> list[dict[str, str]] | None:
    """What Arrow makes of it; None where it can make nothing of it."""
    if not text.strip(b"\r\n"):
        return []
    parse = csv.ParseOptions(delimiter=";", newlines_in_values=True)
    convert = csv.ConvertOptions(column_types=dict.fromkeys("ab", pa.string()))
    try:
        return list(
            csv.read_csv(io.BytesIO(text), csv.ReadOptions(column_names=["a", "b"]), parse, convert).to_pylist()
        )
    except pa.ArrowInvalid:
        return None


ROW = st.lists(st.sampled_from(["a", '"', '""', '"a;\n"', "\r", "x\r\ny"]), max_size=4).map("".join)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(ROW, ROW).map(";".join), min_size=1), size=st.integers(1, 12))
@example(rows=['a 5";"b\n";c'], size=4)
@example(rows=['"a"";\n";b', 'c;"d'], size=4)
def test_a_file_is_cut_between_two_rows_as_arrow_splits_it(rows: list[str], size: int) -> None:
    text = "\n".join(rows).encode()
    whole = rows_of(text)
    with mock.patch.object(text_stream, "BLOCK", size):
        stream = TextStream(io.BytesIO(b"a;b\n" + text), Dialect(delimiter=";", columns=("a", "b")), "a.csv")
        blocks = []
        try:
            blocks.extend(stream.blocks())
        except ValueError as error:
            assert "longer than" in str(error)  # noqa: PT017 - of the rows before it the same is true
            return
    assert b"".join(blocks) == b"a;b\n" + text
    parts = [rows_of(block) for block in blocks]
    if whole is not None:
        assert None not in parts
        assert [row for part in parts for row in part or ()] == [{"a": "a", "b": "b"}, *whole]
