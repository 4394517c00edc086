"""Tables of Delta Lake, Iceberg and Hudi: their folders hold deleted rows, too, so their files are not read as they are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from glob import glob
from pathlib import Path, PurePath

from contender.errors import DataRejected

# The folders in which tables keep the log of their rows, by the kind of table.
_LOGS = {"_delta_log": "Delta Lake", ".hoodie": "Hudi"}
_ICEBERG = ".metadata.json"


def table_folders(names: Iterable[PurePath]) -> Iterator[tuple[PurePath, str]]:
    """The folders of tables whose log says which rows are deleted, and their kinds, among the names of all files."""
    for name in names:
        for place, part in enumerate(name.parts[:-1]):
            if part in _LOGS:
                yield type(name)(*name.parts[:place]), _LOGS[part]
        if name.parts[-2:-1] == ("metadata",) and name.name.endswith(_ICEBERG):
            yield name.parent.parent, "Iceberg"


def logs_of(folder: PurePath) -> Iterator[tuple[str, str]]:
    """What the log's names begin with if a folder of a bucket is a table, and the table's kind."""
    for name, kind in _LOGS.items():
        yield f"{folder / name}/", kind
    yield f"{folder / 'metadata'}/", "Iceberg"
    yield f"{folder / 'metadata' / 'v'}", "Iceberg"  # v1.metadata.json may come after thousands of other files


def is_log(kind: str, name: str) -> bool:
    """Whether a file whose name begins as ``logs_of`` says makes the folder a table of that kind."""
    return kind != "Iceberg" or name.endswith(_ICEBERG)


def check_no_table(folders: Iterable[Path]) -> None:
    """Check that no folder of data files lies in a table whose log says which rows are deleted.

    Raises:
        DataRejected: one does.
    """
    whole = {Path(os.path.realpath(folder)) for folder in folders}
    for folder in sorted(whole.union(*(one.parents for one in whole))):
        logs = [kind for name, kind in _LOGS.items() if os.path.isdir(folder / name)]  # noqa: PTH112 - no permission is no log
        if not logs and glob(f"*{_ICEBERG}", root_dir=folder / "metadata"):  # noqa: PTH207 - see above
            logs = ["Iceberg"]
        if logs:
            raise deleted_rows(str(folder), logs[0])


def deleted_rows(table: str, kind: str) -> DataRejected:
    """The error for data files of a table of this kind, with the ways out."""
    return DataRejected(
        f"data.source.uri: {table} is a table of {kind}, whose files hold deleted and replaced rows, too; only its log "
        "tells them apart. Write the rows of today to a folder of their own (spark.table(...).write.parquet(...), or "
        "the library deltalake or pyiceberg), or ask an engine that reads the table: kind: sql"
    )
