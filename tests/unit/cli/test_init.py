"""contender init as a user types it: what is written where, what is asked, and that a mistake writes nothing."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from contender.spec.loading import load_spec
from contender_airflow.cli.app import app, main

N = 400


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, as without a clone."""
    for name in ("CONTENDER_HOME", "CONTENDER_DAGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shop(here: Path) -> Path:
    random = np.random.default_rng(0)
    x = random.normal(size=N)
    left = x + random.normal(size=N) > 0
    lines = [
        f"{n:04d};{v:.3f};{'basic' if n % 3 else 'plus'};{'ja' if y else 'nein'}"
        for n, (v, y) in enumerate(zip(x, left, strict=True))
    ]
    file = here / "Kunden 2026.csv"
    file.write_text("kunde_id;wert;tarif;weg\n" + "\n".join(lines).replace(".", ","), encoding="latin-1")
    return file


def init(*arguments: str, answers: str | None = None) -> Result:
    return CliRunner().invoke(app, ["init", *arguments], input=answers)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_file_becomes_a_pipeline_in_a_dag_folder_that_works(shop: Path, here: Path) -> None:
    done = init(shop.name, "--target", "weg", "--yes")

    assert done.exit_code == 0, done.output
    pipelines = {f"dags/pipelines/{name}" for name in ("kunden_2026.yaml", ".pipeline.schema.json")}
    assert files(here) == {shop.name, "dags/contender_dags.py", *pipelines}
    spec = load_spec(here / "dags/pipelines/kunden_2026.yaml")
    assert (spec.data.target, spec.data.id) == ("weg", "kunde_id")
    assert spec.data.source.uri == str(shop)
    assert "numbers with a decimal comma" in done.output
    assert "next: contender run kunden_2026" in done.output


def test_an_empty_dag_folder_gets_its_dag_file_and_a_named_folder_of_yaml_files_does_not(
    shop: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "dags").mkdir()
    (here / "models").mkdir()
    assert init(shop.name, "--target", "weg", "--name", "shop", "--yes").exit_code == 0
    assert (here / "dags" / "contender_dags.py").exists()
    monkeypatch.setenv("CONTENDER_DAGS", str(here / "models"))
    done = init(shop.name, "--target", "weg", "--name", "shop", "--yes")
    assert done.exit_code == 0
    said = done.output.replace("\n", "")  # `contender run` has nothing to run there
    assert (
        f"next: contender check {here}/models/pipelines/shop.yaml, then trigger shop__training in the Airflow" in said
    )
    assert files(here / "models") == {"pipelines/shop.yaml", "pipelines/.pipeline.schema.json"}


def test_what_the_data_leaves_open_is_asked_on_a_terminal(
    shop: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contender_airflow.cli.init._on_a_terminal", lambda: True)

    done = init(shop.name, "--target", "weg", "--name", "shop", answers="9\n1\n")

    assert "Which value of 'weg' counts as positive?" in done.output
    assert load_spec(here / "dags/pipelines/shop.yaml").data.positive == "ja"


def test_a_pipeline_that_is_there_is_not_written_over(shop: Path, here: Path) -> None:
    file = here / "dags/pipelines/shop.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("mine")

    refused = init(shop.name, "--target", "weg", "--name", "shop", "--yes")
    assert "is there already" in str(refused.exception)
    assert file.read_text() == "mine"
    assert init(shop.name, "--target", "weg", "--name", "shop", "--yes", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Kunden.csv", "--target", "weg"], "no such file or folder. Did you mean 'Kunden 2026.csv'?"),
        (["Kunden 2026.csv", "--target", "Weg"], "--target: no column 'Weg' in the data. Did you mean 'weg'?"),
        (["Kunden 2026.csv", "--target", "weg", "--time", "tarif"], "--time: 'tarif' is string"),
        (["Kunden 2026.csv", "--target", "kunde_id"], "holds 400 different texts"),
        (["Kunden 2026.csv", "--target", "weg", "--name", "My Shop"], "--name: got 'My Shop'"),
        (["sqlite:///gone.db", "--target", "weg", "--table", "t"], "has no table 't'"),
        (["sqlite:///gone.db", "--target", "weg"], "needs either --table or --query"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(
    shop: Path,
    here: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del shop
    before = files(here)
    monkeypatch.setattr(sys, "argv", ["contender", "init", *arguments, "--yes"])

    with pytest.raises(SystemExit) as exited:
        main()

    assert exited.value.code == 1
    assert message in capsys.readouterr().err
    assert files(here) - {"gone.db"} == before


def test_a_databases_address_is_kept_where_only_the_user_reads_it(here: Path) -> None:
    url = f"sqlite:///{here / 'shop.db'}"
    engine = sa.create_engine(url)
    random = np.random.default_rng(0)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE orders (order_id TEXT, x FLOAT, late INTEGER)"))
        rows = [
            {"o": f"o{n}", "x": float(v), "l": int(v + random.normal() > 0)}
            for n, v in enumerate(random.normal(size=N))
        ]
        connection.execute(sa.text("INSERT INTO orders VALUES (:o, :x, :l)"), rows)
    engine.dispose()

    done = init(url, "--table", "orders", "--target", "late", "--yes")

    assert done.exit_code == 0, done.output
    text = (here / "dags/pipelines/orders.yaml").read_text()
    assert "conn_id: orders_db" in text
    assert "sqlite:" not in text
    kept = here / ".contender/keys/connections.json"
    assert json.loads(kept.read_text()) == {"orders_db": url}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
