"""A process that refuses a file ends with its own exit code: no thread of Arrow needs Python when Python ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from contender.data.reading.request import ReadRequest
from contender.data.sources import CsvSource
from contender.errors import DataRejected
try:
    CsvSource(kind="csv", uri=sys.argv[1], types={"a": "text", "b": "text"}).read(ReadRequest())
except DataRejected as error:
    sys.exit(str(error))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "said"),
    [(b"1", ":2: 1 cells, but the header names 2"), (b'1,"2', ":2: a quote"), (b"1,\xff", "byte 6 is not utf8")],
)
def test_a_large_file_whose_first_row_is_refused_ends_the_process_as_any_error(
    tmp_path: Path, row: bytes, said: str
) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"a,b\n" + row + b"\n" + b"123456789,text of a cell\n" * 600_000)

    command = [sys.executable, "-c", PROGRAM, str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
