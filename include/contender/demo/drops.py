"""Writes the observations of the simulated worlds as dated Parquet files, as an upstream team would publish them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from contender.demo import bikes, world
from contender.demo.world import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd


class _World(NamedTuple):
    """A world: its function of a day's observations, their default number, and the delay of their labels."""

    drop: Callable[..., pd.DataFrame]
    rows: int
    label_delay: timedelta


WorldName = Literal["churn", "bikes"]
WORLDS: Final[dict[WorldName, _World]] = {
    "churn": _World(world.drop, 100, world.LABEL_DELAY),
    "bikes": _World(bikes.drop, bikes.HOURS, bikes.RENTALS_DELAY),
}
_METADATA_KEY: Final = b"contender.demo"


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """The arguments that a published drop was made with, kept in its schema metadata.

    Labels are added by the drop's own recipe, so that no other value changes, even when another scenario is asked for.
    """

    seed: int
    scenario: Scenario
    onset: date | None
    rows: int
    labelled: bool
    world: WorldName = "churn"

    def table(self, day: date) -> pa.Table:
        frame = WORLDS[self.world].drop(
            day,
            seed=self.seed,
            scenario=self.scenario,
            onset=self.onset,
            labels_as_of=None if self.labelled else day,
            rows=self.rows,
        )
        table = pa.Table.from_pandas(frame, preserve_index=False)
        note = json.dumps(asdict(self), default=date.isoformat).encode()
        return table.replace_schema_metadata({**table.schema.metadata, _METADATA_KEY: note})

    @classmethod
    def of(cls, path: Path) -> _Recipe | None:
        """The recipe of a published drop; None for a file of another origin."""
        note = (pq.read_schema(path).metadata or {}).get(_METADATA_KEY)
        if note is None:
            return None
        fields = json.loads(note)
        return cls(**fields | {"onset": fields["onset"] and date.fromisoformat(fields["onset"])})


def write_drops(
    folder: Path,
    *,
    until: date,
    days: int,
    seed: int = 7,
    scenario: Scenario = "none",
    onset: date | None = None,
    rows: int | None = None,
    world: WorldName = "churn",
) -> list[Path]:
    """Make sure that the drops of the `days` days before `until` exist, with the labels that have arrived by then.

    The drop of day d is ``YYYY-MM-DD.parquet`` and is published at the end of d, so that of `until` does not exist yet.
    A published drop changes once: its labels are added when `until` is the world's label delay (30 days for churn,
    none for bikes) past its day. Labels are never removed, and files of another origin are left alone.

    A drop is written to a temporary file, whose name starts with a dot, and moved into place; any number of processes may
    write at once.

    Args:
        folder: Where the drops are; made if missing. Its file system must support hard links.
        until: The day whose first moment (midnight UTC) is the present.
        days: How many days back.
        seed: Which customers or weather. This and the following arguments hold for missing drops only (see `drop`).
        scenario: The drift.
        onset: The first day of the drift; None means always.
        rows: Observations per day; None means 100 customers, or all 24 hours of bikes.
        world: Which world.

    Returns:
        The files written by this call, oldest first; empty if there was nothing to do.

    Raises:
        ValueError: If `seed` or `rows` is negative.
        OSError: If the folder cannot be written.
        pyarrow.ArrowInvalid: If a file of that name is not Parquet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = WORLDS[world].rows if rows is None else rows
    asked = _Recipe(seed=seed, scenario=scenario, onset=onset, rows=rows, labelled=False, world=world)
    written = []
    for day in (until - timedelta(days=back) for back in range(days, 0, -1)):
        path = folder / f"{day:%Y-%m-%d}.parquet"
        labels_arrived = day + WORLDS[world].label_delay <= until
        if not path.exists() and _publish(replace(asked, labelled=labels_arrived).table(day), path):
            written.append(path)
            continue
        published = _Recipe.of(path) if labels_arrived else None
        if published is not None and not published.labelled:
            _publish(replace(published, labelled=True).table(day), path, overwrite=True)
            written.append(path)
    return written


def _publish(table: pa.Table, path: Path, *, overwrite: bool = False) -> bool:
    """Write the table to `path` atomically; False if a file is there and must not be overwritten."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        pq.write_table(table, temporary)
        if overwrite:
            temporary.replace(path)
        else:
            # Unlike a rename, a link fails if another process was faster; its drop may have labels that this one lacks.
            os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True
