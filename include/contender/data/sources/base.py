"""What every source can be asked. All that others need to know of a source is a member here; they never ask for its class.

Contract: ``read`` touches nothing outside its location, returns the rows of the half-open window and those without a
readable time in any order, raises DataUnavailable when nothing is there yet and DataRejected when what is there cannot
be read. No row and no file is lost: see ``ReadResult``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from contender.data.reading.request import ReadRequest, ReadResult
from contender.frozen import Guarded

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from contender.spec.columns import ColumnType

_SHOWN = 200


class Source(Guarded):
    """Where rows come from. A trigger may change how they are read, never where.

    Attributes:
        location_fields: the fields that say where rows are read from.
    """

    location_fields: ClassVar[frozenset[str]] = frozenset()
    kind: str

    @property
    def location(self) -> str:
        """Where it reads from, as declared."""
        raise NotImplementedError

    @property
    def declared(self) -> Mapping[str, ColumnType]:
        """The column types that it declares itself; none where the data carry their types."""
        return {}

    @property
    def words(self) -> str:
        """Kind and location on one bounded line, for ``contender check``."""
        return f"{self.kind} {' '.join(self.location.split())[:_SHOWN]}"

    def read(self, request: ReadRequest) -> ReadResult:
        """All rows, or those of the window.

        Raises:
            ConfigError: a connection, a driver or a setting that it needs is missing.
            DataUnavailable: nothing is there yet, or the server does not answer.
            DataRejected: what is there cannot be read.
        """
        raise NotImplementedError

    def widened(self, *, exact: Collection[str], text: Collection[str]) -> Self:
        """The source for data that grow: declared integer columns become numbers, except ``exact``; ``text`` becomes text.

        A source whose data carry their own types stays as it is.
        """
        del exact, text
        return self

    def limits(self, name: str) -> dict[str, Any]:
        """None beyond the field's own; a location field cannot be overridden.

        Raises:
            ValueError: ``name`` is a location field.
        """
        if name in self.location_fields:
            msg = "it would let a trigger read from anywhere"
            raise ValueError(msg)
        return {}

    def check_override(self, name: str, value: Any) -> None:
        """Refuse another location."""
        del value
        self.limits(name)
