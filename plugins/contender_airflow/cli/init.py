"""``contender init``: look at the data, say what was seen, ask what it leaves open, write a pipeline that runs."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from contender.errors import ConfigError
from contender.spec.pipeline import NAME_PATTERN
from contender_airflow.cli.render import plain
from contender_airflow.embedded.home import Home

if TYPE_CHECKING:
    from rich.console import Console

    from contender.draft.asking import Ask

_DAG_FILE = '''"""The loop over pipelines/*.yaml: adding a model is adding a file there."""

from pathlib import Path

from contender_airflow.dags import build_dags

globals().update(build_dags(Path(__file__).parent / "pipelines"))
'''


@dataclass(frozen=True)
class Request:
    """What the user typed."""

    data: str
    target: str
    table: str | None = None
    query: str | None = None
    name: str | None = None
    time: str | None = None
    id: str | None = None
    yes: bool = False
    force: bool = False


def init(request: Request, console: Console) -> None:
    """Write ``pipelines/<name>.yaml`` into the DAG folder, which is created if there is none.

    Raises:
        ConfigError: the file exists, or the user named something that is not there.
        DataRejected: nothing can be learned from this data.
    """
    database = "://" in request.data
    name = request.name or _name_of(request.table or "query" if database else Path(request.data).name)
    if not re.fullmatch(NAME_PATTERN, name):
        msg = f"--name: got {name[:80]!r}, expected a lower-case letter, then lower-case letters, digits and _ (at most 63)"
        raise ConfigError(msg)
    home = Home.current()
    dags = home.dags
    file = dags / "pipelines" / f"{name}.yaml"
    if file.exists() and not request.force:
        raise ConfigError(f"{file} is there already; take another --name, or --force to write it anew")

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in a training task; libraries read it when they are imported
    from contender.check import check_libraries
    from contender.draft.asking import Talk, take_the_safer
    from contender.draft.proposal import propose
    from contender.draft.reading import read, read_database
    from contender.draft.roles import Asked, decide
    from contender.draft.text import render
    from contender.schema import FILE, yaml_schema
    from contender.spec.loading import parse_spec

    talk = Talk(_terminal(console) if _on_a_terminal() and not request.yes else take_the_safer)
    asked = Asked(request.target, request.id, request.time)
    try:
        if database:
            conn_id = f"{name}_db"
            reading = read_database(request.data, conn_id, request.table, request.query, talk)
        else:
            reading = read(Path(request.data).expanduser(), talk, time=request.time)
        proposal = propose(name, reading, decide(reading, asked, talk), talk, now=datetime.now(UTC))
    finally:  # what was seen is printed also before an error
        for sentence in talk.seen:
            plain(console, f"  {sentence}")
    text = render(proposal, schema=FILE)
    check_libraries(parse_spec(text.encode(), file))
    # A folder that CONTENDER_DAGS names may be for YAML files only; the DAG file is elsewhere then.
    ours = not dags.exists() or (not os.environ.get("CONTENDER_DAGS") and not list(dags.glob("*.py")))
    file.parent.mkdir(parents=True, exist_ok=True)
    if ours:
        (dags / "contender_dags.py").write_text(_DAG_FILE, encoding="utf-8")
    (file.parent / FILE).write_text(json.dumps(yaml_schema(), indent=1) + "\n", encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    if database:
        home.remember_connection(conn_id, request.data)
        plain(
            console,
            f"the address is kept in {home.connections} (only you can read it) and not in the YAML; in another Airflow "
            f"make the connection {conn_id}",
        )
    plain(console, f"wrote {file}")
    here = f"contender run {name}"
    there = f"contender check {file}, then trigger {name}__training in the Airflow that builds DAGs of {file.parent}"
    plain(console, f"next: {here if list(dags.glob('*.py')) else there}")


def _name_of(called: str) -> str:
    stem = re.sub(r"[^a-z0-9]+", "_", called.partition(".")[0].lower()).strip("_")[:63]
    return stem if stem[:1].isalpha() else f"p_{stem}"[:63]


def _on_a_terminal() -> bool:
    return sys.stdin.isatty()


def _terminal(console: Console) -> Ask:
    def ask(question: str, answers: Sequence[str], safer: str) -> str:
        plain(console, question)
        for number, answer in enumerate(answers, start=1):
            plain(console, f"  {number}  {answer}")
        while True:
            chosen: int = typer.prompt("Number", default=answers.index(safer) + 1, type=int)
            if 1 <= chosen <= len(answers):
                return answers[chosen - 1]

    return ask
