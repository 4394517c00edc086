"""One table from the batches that files and databases are read in, and the checks of column names that readers share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from contender.data.reading.files import without_values
from contender.data.reading.fitting import within
from contender.data.reading.request import ReadRequest, ReadResult, Unread, Window
from contender.documents.data import SourceFile
from contender.errors import DataRejected, did_you_mean, one_line


class Batches:
    """The batches of one read, each with the cells that do not fit.

    Attributes:
        first: where the first cell of a column is that does not fit, or the first missing time, by column.
    """

    def __init__(self, window: Window | None = None) -> None:
        self.first: dict[str, str] = {}
        self._window = window
        self._rows = 0
        self._batches: list[pa.RecordBatch] = []
        self._unread: list[Mapping[str, pa.Array]] = []

    def add(
        self, columns: Mapping[str, pa.Array], unread: Mapping[str, pa.Array], *, sift: bool = True
    ) -> dict[str, int]:
        """Keep a batch's rows; with a window those inside it, and those whose time is missing or cannot be read.

        Args:
            sift: whether there may be rows outside the window.

        Returns:
            Per column the position in the batch of the first kept cell that does not fit, and of the first missing time.
        """
        time = None if self._window is None else self._window.column
        if time is not None and time not in columns:  # a file that has no such column
            columns = {**columns, time: pa.nulls(len(next(iter(columns.values()), ())))}
        batch = pa.record_batch(dict(columns))
        self._rows += batch.num_rows
        kept = None
        if self._window is not None and sift and not pa.types.is_null(columns[self._window.column].type):
            moments = columns[self._window.column]
            mask = pc.fill_null(within(moments, self._window), fill_value=True)  # a time that is not known is kept
            kept = pc.indices_nonzero(mask)
            batch = batch.filter(mask)
            unread = {name: cells.filter(mask) for name, cells in unread.items()}
        unread = {name: cells for name, cells in unread.items() if cells.null_count < len(cells)}
        self._batches.append(batch)
        self._unread.append(unread)
        odd = {name: pc.is_valid(cells) for name, cells in unread.items()}
        if time is not None and batch[time].null_count:
            odd[time] = pc.is_null(batch[time])
        firsts = {name: pc.index(mask, value=True).as_py() for name, mask in odd.items()}
        return firsts if kept is None else {name: kept[position].as_py() for name, position in firsts.items()}

    def result(
        self,
        request: ReadRequest,
        names: Iterable[str],
        files: tuple[SourceFile, ...] = (),
        query: str | None = None,
        rows: int | None = None,
    ) -> ReadResult:
        """All batches as one table.

        Args:
            names: the columns that the source has.
            rows: how many rows were read; None: those that were given to ``add``.

        Raises:
            DataRejected: the batches' types have none in common, or no cell of the time column is a moment.
        """
        try:
            pieces = [pa.Table.from_batches([batch]) for batch in self._batches]
            table = pa.concat_tables(pieces, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            said = without_values(" ".join(str(error).split()))[:200]
            msg = f"data.source: rows do not agree on what a column holds ({said}); say it under data.columns"
            raise DataRejected(msg) from None
        misfits = sorted({name for unread in self._unread for name in unread})
        unread = {name: Unread(self._cells(name), self.first.get(name, "")) for name in misfits}
        time = None if request.window is None else request.window.column
        rows = self._rows if rows is None else rows
        if time in unread and table[time].null_count == table.num_rows == rows:
            msg = f"data.time: no cell of column {time!r} can be read as a time (first: {unread[time].first or 'row 0'}), "
            raise DataRejected(msg + "expected ISO 8601, such as 2026-01-31 or 2026-01-31T08:00:00")
        left_out = request.exclude.intersection(names)
        return ReadResult(
            table, files, left_out, query, unread, rows=rows, no_time="" if time is None else self.first.get(time, "")
        )

    def _cells(self, name: str) -> pa.ChunkedArray:
        chunks = [
            unread[name] if name in unread else pa.nulls(batch.num_rows, pa.string())
            for batch, unread in zip(self._batches, self._unread, strict=True)
        ]
        return pa.chunked_array(chunks, pa.string())


def check_time_column(request: ReadRequest, names: Iterable[str]) -> None:
    """Check that the source has the column of the window.

    Raises:
        DataRejected: it has not.
    """
    there = list(names)
    if request.window is not None and request.window.column not in there:
        raise DataRejected(f"data.time: {no_column(request.window.column, there)}")


def no_column(name: str, names: Sequence[str]) -> str:
    """The message that a column is missing, with the name that may be meant."""
    alike = [one for one in names if one.strip("\ufeff \t\u00a0").casefold() == name.strip().casefold()]
    if alike:
        return f"no column {name!r} in the source, found {alike[0]!r}; did you mean {name!r}? Rename one of them"
    return f"no column {name!r} in the source.{did_you_mean(name, names)}"


def check_unique(names: Sequence[str], where: str) -> None:
    """Check that no column name occurs twice.

    Raises:
        DataRejected: one does; with its positions.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        places = [place for place, name in enumerate(names, start=1) if name == twice[0]]
        msg = f"{where}: the column {one_line(twice[0])!r} stands more than once (columns {places[:5]}); rename one"
        raise DataRejected(f"data.source: {msg}")
