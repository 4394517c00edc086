"""Isolation from a shipped package. Each test has a process of its own, because an audit hook cannot be removed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from contender.release.isolation import isolated_from

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import sys
from pathlib import Path
from contender.release.isolation import isolated_from
from contender.errors import ConfigError
folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
try:
    with isolated_from({"mypkg": (str(folder / "mypkg"),), "single": (str(folder / "single.py"),)}):
        exec(sys.argv[2])
    print("fine")
except ConfigError as error:
    print("ConfigError:", error)
except Exception as error:
    print(type(error).__name__)
import mypkg.inside
open(folder / "mypkg" / "table.csv").read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mypkg").mkdir()
    for name in ("mypkg/__init__.py", "mypkg/inside.py", "mypkg/table.csv", "single.py", "beside.csv"):
        (tmp_path / name).write_text("")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "file.txt").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("import mypkg", "ConfigError: the model imports mypkg when it is loaded or predicts"),
        ("from mypkg.inside import x", "ConfigError: the model imports mypkg"),
        ("import single", "ConfigError: the model imports single"),
        ("open(folder / 'mypkg' / 'table.csv')", "ConfigError: the model opens {folder}/mypkg/table.csv when"),
        ("open(folder / 'beside.csv')", "ConfigError: the model opens {folder}/beside.csv when"),
        ("import importlib.resources as r; r.files('mypkg')", "ConfigError: the model imports mypkg"),
        ("open(folder / 'mypkg' / 'inside.py')", "fine"),
        ("open(folder / 'store' / 'file.txt')", "fine"),
        ("import json.tool", "fine"),
        ("try:\n    import mypkg\nexcept ImportError:\n    pass", "fine"),
        ("1 / 0", "ZeroDivisionError"),
        ("try:\n    import mypkg\nexcept ImportError:\n    raise ValueError", "ConfigError: the model imports mypkg"),
    ],
)
def test_neither_the_package_nor_what_lies_beside_it_is_there(folder: Path, code: str, answer: str) -> None:
    """Afterwards both are there again, which the script's last lines check."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(folder), code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(answer.format(folder=folder))


def test_where_nothing_was_shipped_nothing_is_watched() -> None:
    before = list(sys.meta_path)
    with isolated_from({}):
        assert sys.meta_path == before
