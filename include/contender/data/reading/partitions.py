"""Hive partitions: columns whose values are the names of folders, such as ``day=2026-01-01``."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from contender.data.reading.files import DataFile
from contender.data.reading.fitting import LADDER, PLAIN, fit, possible, within
from contender.data.reading.request import ReadRequest, Window
from contender.errors import DataRejected


class Partitions:
    """Partition columns, which the folders name (``day=2026-01-01``), and the files whose folders are in the window.

    Attributes:
        names: the partition columns.
        files: the files that may have rows of the window; at least one, for its columns.
    """

    def __init__(self, files: list[DataFile], request: ReadRequest) -> None:
        self.names = dict.fromkeys(sorted(name for file in files for name in file.keys))
        self.files = files
        self._columns: dict[str, tuple[pa.Array, pa.Array | None]] = {}
        self._place = {file.uri: place for place, file in enumerate(files)}
        for name in self.names.keys() - request.exclude:
            cells = pa.array([file.keys.get(name) for file in files], pa.string())
            declared = request.types.get(name)
            kind = declared or possible(cells.drop_null(), LADDER, PLAIN)[0]
            self._columns[name] = fit(cells, kind)
        window = request.window
        if window is not None and window.column in self.names:
            self.files = self._within(window) or files[:1]

    def add(self, file: DataFile, columns: dict[str, pa.Array], unread: dict[str, pa.Array], rows: int) -> None:
        """Add the file's values of the partition columns to a batch of ``rows`` rows.

        Raises:
            DataRejected: the file has a column of the same name.
        """
        for name, (values, misfits) in self._columns.items():
            if name in columns:
                msg = (
                    f"data.source.uri: column {name!r} stands in {file.uri} and in its folder's name; rename the folder"
                )
                raise DataRejected(msg)
            place = self._place[file.uri]
            columns[name] = pa.repeat(values[place], rows)
            if misfits is not None and misfits[place].is_valid:
                unread[name] = pa.repeat(misfits[place], rows)

    def _within(self, window: Window) -> list[DataFile]:
        moments, _ = self._columns[window.column]
        if not pa.types.is_timestamp(moments.type):
            msg = f"data.time: the folders' {window.column!r} is {moments.type}, expected dates such as {window.column}=2026-01-31"
            raise DataRejected(msg)
        mask = pc.fill_null(within(moments, window), fill_value=True).to_pylist()  # a time that is not known is kept
        return [file for file, inside in zip(self.files, mask, strict=True) if inside]
