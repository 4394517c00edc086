"""The schema contract: a pipeline's columns and their types, declared or inferred once and then frozen.

The first run whose data pass validation freezes the columns that it found. Later runs read by the contract; the YAML's
``data.columns`` and ``data.exclude`` change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contender.documents.data import Contract
from contender.errors import ConfigError, DataRejected, did_you_mean
from contender.spec.columns import ColumnType
from contender.store.base import put_document_if_absent, read_document

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from contender.documents.data import Snapshot
    from contender.documents.run import Run
    from contender.spec.data import DataSpec
    from contender.store.base import ArtifactStore


def frozen_columns(pipeline: str, store: ArtifactStore) -> dict[str, ColumnType | None]:
    """The frozen types by column, None where the type was left open; empty before the first run."""
    contract = read_document(store, _key(pipeline), Contract)
    if contract is None:
        return {}
    return {**dict.fromkeys(contract.open), **{column.name: column.type for column in contract.columns}}


def contracted(data: DataSpec, frozen: Mapping[str, ColumnType | None]) -> dict[str, ColumnType]:
    """The contract's types by column: the frozen ones, changed by the YAML. A derived column is a number.

    Raises:
        ConfigError: the source declares another type than the one that is frozen, and ``data.columns`` does not decide.
    """
    for name, declared in data.source.declared.items():
        kept = frozen.get(name)
        if kept not in (None, declared) and name not in data.columns and name not in data.exclude:
            msg = (
                f"data.source.types: {name!r} is {declared} here, and {kept} in the pipeline's contract, which its first "
                f"run froze and by which its champion was made; keep it by types: {{{name}: {kept}}}, or change the "
                f"contract by data.columns: {{{name}: {declared}}}"
            )
            raise ConfigError(msg)
    derived: dict[str, ColumnType] = dict.fromkeys(data.derive, "number")
    kinds = {**frozen, **derived, **data.columns}
    return {name: kind for name, kind in kinds.items() if kind is not None and name not in data.exclude}


def freeze(run: Run, snapshot: Snapshot, store: ArtifactStore, *, empty: Collection[str] = ()) -> None:
    """Make the columns of a validated snapshot the contract, unless there is one.

    Args:
        empty: columns without any value; they are frozen without a type.
    """
    columns = tuple(column for column in snapshot.columns if column.name not in empty)
    left_open = tuple(column.name for column in snapshot.columns if column.name in empty)
    contract = Contract(run_id=run.id, as_of=run.as_of, columns=columns, open=left_open)
    put_document_if_absent(store, _key(run.pipeline), contract)


def check_columns(
    data: DataSpec, found: Iterable[str], types: Mapping[str, ColumnType], frozen: Collection[str] = ()
) -> list[str]:
    """The used columns of the source, in name order.

    Args:
        found: the source's columns without the excluded and with the derived ones.
        types: the contract's types.
        frozen: the contract's columns; empty before the first run.

    Raises:
        DataRejected: a column of the contract is missing, or there is a new one and ``unknown_columns`` is ``stop``.
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
