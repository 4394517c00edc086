"""``contender adopt``: from what the user typed to ``contender.adopt``, and what the command prints."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contender.errors import ConfigError
from contender_airflow.cli import places
from contender_airflow.cli.render import plain

if TYPE_CHECKING:
    from rich.console import Console


def make_champion(
    pipeline: str,
    console: Console,
    *,
    version: str | None,
    model: str | None,
    trained_through: str | None,
    as_of: str | None,
    positive: str | None,
    reason: str,
    unseen: bool,
) -> None:
    """Adopt a model, and print which version serves now and what was found out about it.

    Args:
        pipeline: its name, or the path of its YAML file. All that follows is as the user typed it.
    """
    from contender.run.freeze import parse_as_of

    spec = places.spec(pipeline)
    now = datetime.now(UTC)
    through = None if trained_through is None else parse_as_of(trained_through, "--trained-through")
    day = as_of or (spec.as_of.isoformat() if spec.as_of else now.date().isoformat())  # as a run would
    moment = parse_as_of(day, "--as-of")
    if moment > now:
        raise ConfigError(f"--as-of: {moment.isoformat()} is in the future")
    backends = places.backends()

    from contender.adopt import Request, adopt_model

    request = Request(
        as_of=moment,
        by=getpass.getuser(),
        version=version,
        model=model,
        through=through,
        unseen=unseen,
        positive=positive,
        reason=reason,
        now=now,
    )
    adopted = adopt_model(backends, spec, request)
    entry = adopted.entry
    for note in adopted.notes:
        plain(console, f"version {entry.version} {note}")
    said = "is the champion already" if adopted.already else "is the champion and defends its title from now on"
    line = f"{spec.name}: version {entry.version} {said} (ledger entry {entry.number}: {entry.reason})"
    plain(console, line)
    if not adopted.already:
        plain(console, f"It serves as models:/{spec.name}@champion")
