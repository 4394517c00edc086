"""The customers."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import make_table, write_parquet
from steps import LATER


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Ninety days of customers, until three weeks after AS_OF."""
    write_parquet(tmp_path / "lake" / "a.parquet", make_table(900, until=LATER, days=90))
    return tmp_path / "lake"
