"""A run's data: contract, snapshot, the answers of the checks, suspected leaks and the quarantine."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field, model_validator

from contender.documents.code import Code
from contender.documents.columns import Column, ColumnStatistics
from contender.frozen import Frozen
from contender.spec.columns import ColumnType
from contender.spec.data import LeakPolicy
from contender.words import counted


class Contract(Frozen):
    """The types of a pipeline's columns, inferred by its first validated run; later data must fit them.

    Attributes:
        open: columns without a value in that run; later rows decide their type.
    """

    run_id: str
    as_of: datetime
    columns: tuple[Column, ...]
    open: tuple[str, ...] = ()


class Uncoerced(Frozen):
    """The cells of a column that do not fit its type in the contract: how many, and where the first is (if known).

    Attributes:
        missing: how many of them are empty; only an empty time is counted here, because its row is in no window.
        derived_from: for a derived column, the columns whose cells cannot be read.
    """

    column: str
    expected: ColumnType
    rows: int
    first: str = ""
    missing: int = 0
    derived_from: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The end of a sentence that names the place of the first cell; empty when it is unknown."""
        return f", the first at {self.first}" if self.first else ""

    @property
    def reason(self) -> str:
        """The reason for which a row with such a cell is quarantined."""
        if self.derived_from:
            return f"{self.column} cannot be computed from {' and '.join(self.derived_from)}"
        article = {"integer": "an ", "text": ""}.get(self.expected, "a ")
        other = f"not {article}{self.expected}"
        return f"{self.column} is {'missing' if self.missing == self.rows else f'missing or {other}' if self.missing else other}"


class Accounts(Frozen):
    """Where every row and every file of a source went. Each is in exactly one of the numbers behind the first.

    Attributes:
        rows_read: the rows of the files that were opened; of a database, those that it was asked for.
        in_window: rows of the window with a label; without a time column all rows with a label.
        outside: rows whose time is outside the window.
        without_time: rows with a label whose time is missing or cannot be read. They are kept, to be quarantined.
        unlabelled: rows without a label, of the window or without a time.
        files_found: the files at the place, without hidden ones (``.`` or ``_`` in front); 0 for a database.
        files_read: files that may have rows of the window.
        files_outside: files without a row of the window, as their folder's name or their statistics say.
        files_other: files in the folder that are of another kind, by ending.
    """

    rows_read: int = Field(ge=0)
    in_window: int = Field(ge=0)
    outside: int = Field(ge=0)
    without_time: int = Field(ge=0)
    unlabelled: int = Field(ge=0)
    files_found: int = Field(0, ge=0)
    files_read: int = Field(0, ge=0)
    files_outside: int = Field(0, ge=0)
    files_other: dict[str, int] = {}

    @model_validator(mode="after")
    def _nothing_is_lost(self) -> Self:
        rows = self.in_window + self.outside + self.without_time + self.unlabelled
        files = self.files_read + self.files_outside + sum(self.files_other.values())
        if (rows, files) != (self.rows_read, self.files_found):
            msg = f"{self.rows_read} rows read and {rows} accounted for, {self.files_found} files found and {files}"
            raise ValueError(msg)
        return self

    @property
    def words(self) -> str:
        """Both sums on one line; zeros of files are left out."""
        rows = (
            f"{counted(self.rows_read, 'row')} read = {self.in_window:,} in the window + {self.outside:,} outside it + "
            f"{self.without_time:,} without a time + {self.unlabelled:,} without a label yet"
        )
        if not self.files_found:
            return rows
        other = ", ".join(
            f"{count:,} {ending or 'without an ending'}" for ending, count in sorted(self.files_other.items())
        )
        parts = [
            f"{self.files_read:,} read",
            *([f"{self.files_outside:,} outside the window"] if self.files_outside else []),
            *([f"{sum(self.files_other.values()):,} of another kind ({other})"] if other else []),
        ]
        return f"{rows}; {counted(self.files_found, 'file')} found = {' + '.join(parts)}"


class Snapshot(Frozen):
    """The immutable data of one window, and where it came from.

    Attributes:
        id: hash of the logical content (schema, and rows in canonical order), not of the file's bytes.
        rows: labelled rows, with those whose time cannot be read; only these are in the file.
        unlabelled: rows of the window that have no label yet; they are left out.
        accounts: where every row and file went; None in snapshots of versions that did not count.
        sources: the files that were read, as they were then; empty for a database.
        query: the SQL query, for a database.
        window: start (inclusive) and end (exclusive); None without a time column.
        types: the source's own names of the columns' types, as far as it has any.
        ignored: columns of the source that are not in the contract; they are not used.
        sha256: hash of the file ``data.parquet``; a reader checks it.
        statistics: one for each column; empty in snapshots of versions that did not compute them.
    """

    id: str
    rows: int
    columns: tuple[Column, ...]
    unlabelled: int
    sources: tuple[SourceFile, ...] = ()
    query: str | None = None
    as_of: datetime | None = None
    window: tuple[datetime, datetime] | None = None
    uncoerced: tuple[Uncoerced, ...] = ()
    types: dict[str, str] = {}
    ignored: tuple[str, ...] = ()
    sha256: str | None = None
    code: Code | None = None
    statistics: tuple[ColumnStatistics, ...] = ()
    accounts: Accounts | None = None

    def key(self, pipeline: str, name: str) -> str:
        """The key of one of the snapshot's files."""
        return f"{pipeline}/snapshots/{self.id}/{name}"


class CheckResult(Frozen):
    """The answer of one check. It contains no value of a row.

    Attributes:
        unexpected: rows that fail the check; 0 for a check of a whole column or table.
        missing: rows that the check skipped because the column has no value there.
        observed: the figure seen by a check of a whole column or table, unless it is the value of a row.
    """

    name: str
    column: str | None
    severity: str
    success: bool
    unexpected: int
    checked: int
    missing: int = 0
    observed: float | None = None
    detail: str = ""

    @property
    def stops(self) -> bool:
        """Whether a critical check failed: the run can go on only without the rows that failed it."""
        return not self.success and self.severity == "critical"

    @property
    def sets_aside(self) -> bool:
        """Whether single rows failed a critical check, so that they are quarantined."""
        return self.stops and self.unexpected > 0

    @property
    def label(self) -> str:
        """The check as shown to people, and as the reason of a quarantined row."""
        return self.name if self.column is None else f"{self.name}({self.column})"


class Finding(Frozen):
    """A suspected leak: which columns, on what evidence (numbers, never values), and what is done about it."""

    kind: str
    columns: tuple[str, ...]
    evidence: str
    policy: LeakPolicy

    @property
    def words(self) -> str:
        """``'status' (near_perfect): reaches ROC AUC 0.993 alone``; at most five columns are named."""
        names = [*map(repr, self.columns[:5]), *(["..."] if len(self.columns) > 5 else [])]
        return f"{' and '.join(names)} ({self.kind}): {self.evidence}".lstrip()


class AsideLabels(Frozen):
    """The labels of the rows that one check set aside against those of the rows that are kept: means, never values.

    Attributes:
        aside: their share of positives, or the mean of their target.
        kept: the same of the kept rows.
        apart: whether the two differ by more than chance.
    """

    reason: str
    rows: int
    aside: float
    kept: float
    apart: bool


class Quarantine(Frozen):
    """The rows of a snapshot that validation set aside. Kept plus quarantined rows are all rows.

    Attributes:
        rows: position in the snapshot to reasons. When very many rows fail, which stops the run, positions are left
            out; ``kept`` is then None.
        kept: the number of rows that are not set aside.
        structure: Contender's own checks of the rows, made before the expectations.
        checks: the expectations' answers in the YAML's order; empty when the structure stopped the run.
        dropped: columns that are not used as features because of a finding.
        labels: of each check that set rows aside, enough of them for a mean.
    """

    id: str
    snapshot: str
    rows: dict[int, tuple[str, ...]]
    checks: tuple[CheckResult, ...]
    kept: int | None = None
    structure: tuple[CheckResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    dropped: tuple[str, ...] = ()
    labels: tuple[AsideLabels, ...] = ()


class SourceFile(Frozen):
    """A source file as it was when its rows were read. ``digest`` is ``sha256:...``, or ``etag:...`` in S3."""

    uri: str
    bytes: int
    digest: str
