"""The schema contract: which columns a pipeline's data has and what they hold. Declared, or inferred once and then frozen.

The first run whose data pass validation freezes what it found. From then on a column is what the contract says, however
today's rows look; the YAML's ``data.columns`` and ``data.exclude`` are the way to change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contender.data.columns import ColumnType
from contender.documents import Contract
from contender.errors import DataRejected, did_you_mean
from contender.store.base import put_document_if_absent, read_document

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from contender.documents import Run, Snapshot
    from contender.spec import DataSpec
    from contender.store.base import ArtifactStore


def frozen_columns(pipeline: str, store: ArtifactStore) -> dict[str, ColumnType | None]:
    """What an earlier run froze, by column, None where it left open what a column holds; empty before there was one."""
    contract = read_document(store, _key(pipeline), Contract)
    if contract is None:
        return {}
    return {**dict.fromkeys(contract.open), **{column.name: column.type for column in contract.columns}}


def contracted(data: DataSpec, frozen: Mapping[str, ColumnType | None]) -> dict[str, ColumnType]:
    """What each column holds, by name: as it was frozen, and as the YAML changes it. A derived one holds numbers."""
    derived: dict[str, ColumnType] = dict.fromkeys(data.derive, "number")
    kinds = {**frozen, **derived, **data.columns}
    return {name: kind for name, kind in kinds.items() if kind is not None and name not in data.exclude}


def freeze(run: Run, snapshot: Snapshot, store: ArtifactStore, *, empty: Collection[str] = ()) -> None:
    """Make what a validated snapshot holds the contract, unless there is one.

    Args:
        empty: columns without any value: that they are there is frozen, what they hold is left open.
    """
    columns = tuple(column for column in snapshot.columns if column.name not in empty)
    left_open = tuple(column.name for column in snapshot.columns if column.name in empty)
    contract = Contract(run_id=run.id, as_of=run.as_of, columns=columns, open=left_open)
    put_document_if_absent(store, _key(run.pipeline), contract)


def check_columns(
    data: DataSpec, found: Iterable[str], types: Mapping[str, ColumnType], frozen: Collection[str] = ()
) -> list[str]:
    """The columns of the source that are used, in name order.

    Args:
        found: the source's columns, excluded ones left out, derived ones added.
        types: what the contract says they hold.
        frozen: the columns that the contract has; empty before there is one.

    Raises:
        DataRejected: one that the contract has is missing, or there is a new one and ``unknown_columns`` is ``stop``.
    """
    names = sorted(set(found) - set(data.exclude))
    missing = [name for name in types if name not in names]
    if missing:
        name = missing[0]
        more = f" (and {len(missing) - 1} more: {', '.join(missing[1:6])})" if missing[1:] else ""
        kept = "data.columns" if name in data.columns else "the pipeline's contract, frozen by its first run,"
        msg = f"data.source: no column {name!r}{more} in the source; {kept} has it.{did_you_mean(name, names, listed='There are')} "
        raise DataRejected(msg + "Mend the source, or go on without it: put it under data.exclude")
    unknown = [name for name in names if frozen and name not in frozen and name not in types]
    if unknown and data.unknown_columns == "stop":
        msg = f"data.source: the source has columns that the contract does not have: {', '.join(unknown[:10])}; "
        raise DataRejected(msg + "use them (data.columns), leave them out (data.exclude), or unknown_columns: ignore")
    return [name for name in names if name not in unknown]


def _key(pipeline: str) -> str:
    return f"{pipeline}/contract.json"
