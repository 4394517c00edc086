"""A table from pieces, as files and databases give them: only rows of the window, with what does not fit beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from contender.data.reading.files import without_values
from contender.data.reading.fitting import within
from contender.data.reading.request import Found, ReadRequest, SourceFile, Unread, Window
from contender.errors import DataRejected, did_you_mean, one_line


class Gathering:
    """Collects fitted batches. ``first`` says per column where the first cell that does not fit is."""

    def __init__(self) -> None:
        self.first: dict[str, str] = {}
        self._batches: list[pa.RecordBatch] = []
        self._unread: list[Mapping[str, pa.Array]] = []

    def add(
        self, columns: Mapping[str, pa.Array], unread: Mapping[str, pa.Array], window: Window | None = None
    ) -> dict[str, int]:
        """Keep a batch's rows; with a window those in it, and those whose time cannot be read: nobody knows of them.

        Returns:
            Per column the place in the batch of the first kept cell that does not fit.
        """
        batch = pa.record_batch(dict(columns))
        places = None
        if window is not None:
            mask = pc.fill_null(within(columns[window.column], window), fill_value=False)
            if window.column in unread:
                mask = pc.or_(mask, pc.is_valid(unread[window.column]))
            places = pc.indices_nonzero(mask)
            batch = batch.filter(mask)
            unread = {name: cells.filter(mask) for name, cells in unread.items()}
        unread = {name: cells for name, cells in unread.items() if cells.null_count < len(cells)}
        self._batches.append(batch)
        self._unread.append(unread)
        firsts = {name: pc.index(pc.is_valid(cells), value=True).as_py() for name, cells in unread.items()}
        return firsts if places is None else {name: places[place].as_py() for name, place in firsts.items()}

    def found(
        self, request: ReadRequest, names: Iterable[str], files: tuple[SourceFile, ...] = (), query: str | None = None
    ) -> Found:
        """What has been gathered.

        Args:
            names: the columns that the source has.

        Raises:
            DataRejected: no cell of the time column is a moment.
        """
        try:
            pieces = [pa.Table.from_batches([batch]) for batch in self._batches]
            table = pa.concat_tables(pieces, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            said = without_values(" ".join(str(error).split()))[:200]
            msg = f"data.source: rows do not agree on what a column holds ({said}); say it under data.columns"
            raise DataRejected(msg) from None
        misfits = sorted({name for unread in self._unread for name in unread})
        found = {name: Unread(self._cells(name), self.first.get(name, "")) for name in misfits}
        time = None if request.window is None else request.window.column
        if time in found and table.num_rows and table[time].null_count == table.num_rows:
            msg = (
                f"data.time: no cell of column {time!r} can be read as a time (first: {found[time].first or 'row 0'}), "
            )
            raise DataRejected(msg + "expected ISO 8601, such as 2026-01-31 or 2026-01-31T08:00:00")
        return Found(table, files, request.exclude.intersection(names), query, found)

    def _cells(self, name: str) -> pa.ChunkedArray:
        chunks = [
            unread[name] if name in unread else pa.nulls(batch.num_rows, pa.string())
            for batch, unread in zip(self._batches, self._unread, strict=True)
        ]
        return pa.chunked_array(chunks, pa.string())


def see_time(request: ReadRequest, names: Iterable[str]) -> None:
    """See that the column of the window is there.

    Raises:
        DataRejected: it is not.
    """
    there = list(names)
    if request.window is not None and request.window.column not in there:
        raise DataRejected(f"data.time: {no_column(request.window.column, there)}")


def no_column(name: str, names: Sequence[str]) -> str:
    """That a column is not there, and which one may be meant."""
    alike = [one for one in names if one.strip("\ufeff \t\u00a0").casefold() == name.strip().casefold()]
    if alike:
        return f"no column {name!r} in the source, found {alike[0]!r}; did you mean {name!r}? Rename one of them"
    return f"no column {name!r} in the source.{did_you_mean(name, names)}"


def see_unique(names: Sequence[str], where: str) -> None:
    """See that every column is named once.

    Raises:
        DataRejected: one is not; with both positions.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        places = [place for place, name in enumerate(names, start=1) if name == twice[0]]
        msg = f"{where}: the column {one_line(twice[0])!r} stands more than once (columns {places[:5]}); rename one"
        raise DataRejected(f"data.source: {msg}")
