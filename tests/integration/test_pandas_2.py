"""Airflow's constraints pin pandas 2. The core runs under it, and what it makes of rows is what pandas 3 makes of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from builders import make_table, write_parquet
from contender.store.local import LocalStore
from meaning import meaning
from services import missing

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.integration

TESTS = Path(__file__).parents[1]
PINNED = ("pandas==2.3.3", "pytz")
ALSO = (
    "unit/data/test_split.py::test_the_roles_are_the_same_in_every_version_of_this_code",
    "unit/data/test_split.py::test_the_roles_of_version_0_1_0_are_known_of_its_champions",
    "unit/data/test_split.py::test_an_id_that_is_spelt_otherwise_is_the_same_entity",
    "unit/sweep/test_model.py::test_a_moment_at_the_end_of_time_is_later_than_all_others",
    "unit/sweep/test_model.py::test_also_many_codes_of_digits_are_names[sklearn.ensemble.HistGradientBoostingClassifier]",
)


@pytest.fixture(scope="module")
def under_pandas_2(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run Python where pandas 2 comes first and everything else is what is installed here; what it printed."""
    folder = tmp_path_factory.mktemp("pandas")
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(folder), *PINNED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(TESTS / "support")])}

    def run(*arguments: str, told: str = "") -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, env=environment, cwd=TESTS.parent, input=told, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments[:4])}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout

    try:
        run(*pip)
    except RuntimeError as error:
        missing(f"{PINNED[0]} from pip", error)
    return run


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Customers with codes of digits, dates, flags and missing cells; once as Parquet and once as CSV."""
    random = np.random.default_rng(0)
    table = make_table(
        300
    )  # year_end sorts last: under pandas 2 dates go there, and the order of columns moves a fit by 1e-4
    gap = np.arange(300) % 11 == 0
    columns = {
        "customer": pa.array([f"c{n:03}" for n in range(300)]),
        "branch": pa.array(random.choice(["001", "010", "100", "NA"], 300), mask=gap),
        "year_end": pa.array(
            np.datetime64("2026-01-01", "us") + random.integers(0, 400, 300).astype("m8[D]"), mask=gap
        ),
        "visits": pa.array(random.integers(0, 9, 300), mask=gap),
        "member": pa.array(random.random(300) < 0.5),
    }
    for name, values in columns.items():
        table = table.append_column(name, values)
    folder = tmp_path_factory.mktemp("lake")
    write_parquet(folder / "a.parquet", table)
    csv.write_csv(table, folder / "a.csv")
    return folder


def test_rows_have_the_roles_and_models_the_predictions_that_they_have_under_pandas_3(
    under_pandas_2: Callable[..., str], lake: Path, tmp_path: Path
) -> None:
    here = meaning(lake, LocalStore(tmp_path / "here"), tmp_path, {})
    rules = {name: said["rule"] for name, said in here.items() if isinstance(said, dict)}
    folders = map(str, (lake, tmp_path / "there", tmp_path))
    there = json.loads(under_pandas_2("-m", "meaning", *folders, told=json.dumps(rules)))
    assert (here.pop("pandas")[:2], there.pop("pandas")[:2]) == ("3.", "2.")
    assert there.keys() == here.keys()
    for name, said in here.items():
        assert there[name] == (said if name in rules else pytest.approx(said, abs=1e-9)), name


def test_its_own_tests_pass_under_pandas_2(under_pandas_2: Callable[..., str]) -> None:
    """Those of what pandas 2 does otherwise: text, moments beyond nanoseconds, hashes, served models."""
    chosen = (str(TESTS / test) for test in ALSO)
    told = under_pandas_2("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *chosen)
    assert " passed" in told
    assert "skipped" not in told
