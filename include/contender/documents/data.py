"""A run's data: contract, snapshot, the answers of the checks, suspected leaks and the quarantine."""

from __future__ import annotations

from datetime import datetime

from contender.documents.code import Code
from contender.documents.columns import Column, ColumnStatistics
from contender.frozen import Frozen
from contender.spec.columns import ColumnType
from contender.spec.data import LeakPolicy


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
    """The cells of a column that do not fit its type in the contract: how many, and where the first is (if known)."""

    column: str
    expected: ColumnType
    rows: int
    first: str = ""

    @property
    def where(self) -> str:
        """The end of a sentence that names the place of the first cell; empty when it is unknown."""
        return f", the first at {self.first}" if self.first else ""

    @property
    def reason(self) -> str:
        """The reason for which a row with such a cell is quarantined."""
        article = {"integer": "an ", "text": ""}.get(self.expected, "a ")
        return f"{self.column} is not {article}{self.expected}"


class Snapshot(Frozen):
    """The immutable data of one window, and where it came from.

    Attributes:
        id: hash of the logical content (schema, and rows in canonical order), not of the file's bytes.
        rows: labelled rows; only these are in the file.
        unlabelled: rows of the window that have no label yet; they are left out.
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


class Quarantine(Frozen):
    """The rows of a snapshot that validation set aside. Kept plus quarantined rows are all rows.

    Attributes:
        rows: position in the snapshot to reasons. When very many rows fail, which stops the run, positions are left
            out; ``kept`` is then None.
        kept: the number of rows that are not set aside.
        structure: Contender's own checks of the rows, made before the expectations.
        checks: the expectations' answers in the YAML's order; empty when the structure stopped the run.
        dropped: columns that are not used as features because of a finding.
    """

    id: str
    snapshot: str
    rows: dict[int, tuple[str, ...]]
    checks: tuple[CheckResult, ...]
    kept: int | None = None
    structure: tuple[CheckResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    dropped: tuple[str, ...] = ()


class SourceFile(Frozen):
    """A source file as it was when its rows were read. ``digest`` is ``sha256:...``, or ``etag:...`` in S3."""

    uri: str
    bytes: int
    digest: str
