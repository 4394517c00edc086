"""The roles of columns: target, id, time, and those to leave out, each with the reason."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from contender.data.leaks.ids import DISTINCT, ID_NAME, PROSE
from contender.data.reading.fitting import is_text
from contender.data.sources import CsvSource
from contender.draft.order import hints
from contender.draft.sentinels import in_typed_source
from contender.errors import ConfigError, DataRejected, did_you_mean

if TYPE_CHECKING:
    from contender.draft.asking import Talk
    from contender.draft.reading import Reading

_YES = ("yes", "true", "positive", "pos", "bad", "fraud", "churned", "default")
# Short spellings say yes only beside their no: of the classes 1 and 2, or y and z, no one is the positive one by its name.
_YES_BESIDE = {"y": ("n", "no"), "t": ("f", "false"), "1": ("0", "-1"), "1.0": ("0.0", "-1.0"), "+1": ("0", "-1")}
_ENTITY = re.compile(r"customer|client|user|account|patient|member|subscriber|device|employee|borrower", re.IGNORECASE)
_BIRTH = re.compile(r"birth|dob|born", re.IGNORECASE)
_DIFFERENCE = re.compile(r"(?P<end>.+?) - (?P<start>.+)")
_AFTER = "is known only when the target is"


@dataclass(frozen=True)
class Asked:
    """The roles that the user names. ``target`` may be a difference of timestamps: ``end - start``."""

    target: str
    id: str | None = None
    time: str | None = None


@dataclass
class Roles:
    """The column of each role.

    Attributes:
        derive: the end and the start of a derived column, by its name.
        exclude: the columns to leave out, with the reason.
        names: columns of numbers that are names, such as the number of a store; models get them as text.
    """

    target: str
    positive: str | None = None
    id: str | None = None
    time: str | None = None
    derive: dict[str, tuple[str, str]] = field(default_factory=dict)
    exclude: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


def decide(reading: Reading, asked: Asked, talk: Talk) -> Roles:
    """The roles that the user named, and for the others the columns that look like them.

    Raises:
        ConfigError: a named column does not exist or cannot have its role.
        DataRejected: the target is neither two classes nor a number.
    """
    table = reading.table
    talk.say(_columns(table))
    roles = Roles(asked.target, exclude=dict(reading.unusable))
    difference = _DIFFERENCE.fullmatch(asked.target)
    if asked.target not in table.column_names and difference:
        _derive(table, roles, difference["end"].strip(), difference["start"].strip(), talk)
    else:
        _require(table, "target", asked.target)
        if asked.target in reading.unusable and not is_text(table[asked.target].type):
            raise DataRejected(f"--target: {asked.target!r} {reading.unusable[asked.target]}")
        roles.positive = _positive(table, asked.target, talk)
    roles.time = _time(reading, roles, asked.time, talk)
    roles.id = _id(reading, roles, asked.id, talk)
    if roles.id in reading.unusable and not is_text(table[roles.id].type):
        raise DataRejected(f"--id: {roles.id!r} {reading.unusable[roles.id]}")
    for name in (roles.target, roles.id, roles.time):
        if name is not None:
            roles.exclude.pop(name, None)
    used = {roles.target, roles.id, roles.time, *roles.exclude}
    for name in table.column_names:
        reason = None if name in used else _no_use(table[name], table.num_rows)
        if reason is not None:
            roles.exclude[name] = reason
    for name, reason in roles.exclude.items():
        talk.say(f"{name!r} is left out: it {reason}")
    typed = () if isinstance(reading.source, CsvSource) else in_typed_source(table)  # a CSV's were asked about
    timely = hints(
        table, target=roles.target, positive=roles.positive, id_=roles.id, time=roles.time, told=roles.exclude
    )
    for hint in (*timely, *typed):
        talk.say(hint)
    return roles


def _columns(table: pa.Table) -> str:
    """``12 text, 6 number; cells are missing in TotalCharges (0.2%)``."""
    kinds = Counter(_kind_in_words(field.type) for field in table.schema)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    missing = sorted(
        ((table[n].null_count / table.num_rows, n) for n in table.column_names if table[n].null_count), reverse=True
    )
    if not missing:
        return f"columns: {counted}; no cell is missing"
    most = ", ".join(f"{name} ({share:.1%})" for share, name in missing[:5]) + (", ..." if len(missing) > 5 else "")
    return f"columns: {counted}; cells are missing in {most}"


def _kind_in_words(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "true/false"
    if pa.types.is_temporal(kind):
        return "time"
    return "text" if is_text(kind) or pa.types.is_dictionary(kind) else "number"


def _require(table: pa.Table, role: str, name: str) -> None:
    if name not in table.column_names:
        raise ConfigError(f"--{role}: no column {name!r} in the data." + did_you_mean(name, table.column_names))


def _derive(table: pa.Table, roles: Roles, end: str, start: str, talk: Talk) -> None:
    for name in (end, start):
        _require(table, "target", name)
        if not pa.types.is_temporal(table[name].type):
            raise ConfigError(f"--target: {end} - {start} needs two timestamps, but {name!r} is {table[name].type}")
    roles.target = "duration_minutes"
    roles.derive = {roles.target: (start, end)}
    roles.exclude[end] = _AFTER
    talk.say(f"the target {roles.target} is made of two columns: the minutes from {start} to {end}")


def _positive(table: pa.Table, target: str, talk: Talk) -> str | None:
    column = table[target]
    kind = column.type
    if pa.types.is_temporal(kind) or pa.types.is_nested(kind):
        raise DataRejected(f"--target: {target!r} is {kind}; expected a column of two classes or of numbers")
    counted = pc.value_counts(column.drop_null().cast(pa.large_string()))
    rows = dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if len(rows) < 2:
        raise DataRejected(f"--target: {target!r} takes {len(rows)} value in {table.num_rows} rows; nothing to learn")
    if len(rows) == 2:
        minority = min(rows, key=lambda value: (rows[value], value))
        named = _says_yes(*rows)
        positive = (
            named[0]
            if len(named) == 1
            else talk.choose(f"Which value of {target!r} counts as positive?", sorted(rows), safer=minority)
        )
        share = rows[positive] / sum(rows.values())
        talk.say(f"the target {target!r} has two classes; {positive!r} is the positive one ({share:.1%} of the rows)")
        return positive
    if not numeric:
        raise DataRejected(
            f"--target: {target!r} holds {len(rows)} different texts; Contender judges two classes or a number. "
            "Make a column that says whether it is the class you care about, and name that"
        )
    if len(rows) <= 10 and pa.types.is_integer(kind):
        question = f"{target!r} takes {len(rows)} whole numbers. Are they amounts or names of classes?"
        if talk.choose(question, ["amounts", "classes"], safer="amounts") == "classes":
            raise DataRejected(
                f"--target: {target!r} has {len(rows)} classes; Contender judges two classes or a number"
            )
    talk.say(f"the target {target!r} is a number: regression")
    return None


def _says_yes(one: str, other: str) -> list[str]:
    """The values of two that say yes by their spelling."""
    pairs = ((one, other.lower()), (other, one.lower()))
    return [value for value, no in pairs if value.lower() in _YES or no in _YES_BESIDE.get(value.lower(), ())]


def _time(reading: Reading, roles: Roles, asked: str | None, talk: Talk) -> str | None:
    table = reading.table
    if asked is not None:
        _require(table, "time", asked)
        if asked in reading.unusable or not pa.types.is_temporal(table[asked].type):
            _not_a_time(reading, asked)
        return asked
    candidates = []
    for name in table.column_names:
        kind = table[name].type
        if name == roles.target or name in roles.exclude or _BIRTH.search(name):
            continue
        if (pa.types.is_timestamp(kind) or pa.types.is_date(kind)) and table[name].null_count <= 0.01 * table.num_rows:
            moments = table[name].drop_null().cast(pa.timestamp("us"), safe=False).cast(pa.int64())
            if pc.count_distinct(moments).as_py() > 10:
                candidates.append((pc.mean(moments).as_py(), name))
    if not candidates:
        return None
    names: list[str] = [name for _, name in sorted(candidates)]
    chosen = names[0]
    if (
        len(names) > 1
    ):  # the earliest on average is when the row was observed; later timestamps are known only afterwards
        chosen = talk.choose("Which column says when a row was observed?", names, safer=names[0])
    talk.say(f"{chosen!r} is the time: the newest rows judge")
    return chosen


def _not_a_time(reading: Reading, name: str) -> NoReturn:
    reason = reading.unusable.get(name, f"is {reading.table[name].type}, not a date or timestamp in every row")
    raise ConfigError(f"--time: {name!r} {reason}")


def _id(reading: Reading, roles: Roles, asked: str | None, talk: Talk) -> str | None:
    table = reading.table
    if asked is not None:
        _require(table, "id", asked)
        return asked
    candidates = []
    for place, name in enumerate(table.column_names):
        column = table[name]
        if name in roles.exclude and not is_text(column.type):
            continue  # a column that no run can use names nothing; text that is left out as a feature may
        if name in (roles.target, roles.time) or column.null_count or _is_row_number(column):
            continue
        if not (pa.types.is_integer(column.type) or is_text(column.type)) or not ID_NAME.search(name):
            continue
        distinct = pc.count_distinct(column).as_py()
        if distinct >= 20 and distinct >= table.num_rows / 20:
            candidates.append((not _ENTITY.search(name), distinct < table.num_rows, place, name, distinct))
    if not candidates:
        return None
    names: list[str] = [candidate[3] for candidate in sorted(candidates)]
    chosen = names[0]
    if len(names) > 1:
        chosen = talk.choose("Which column says what a row is about?", names, safer=names[0])
    distinct = next(candidate[4] for candidate in candidates if candidate[3] == chosen)
    each = "one row each" if distinct == table.num_rows else f"{table.num_rows / distinct:.1f} rows each"
    talk.say(f"{chosen!r} is the id: {distinct:,} of them, {each}; all rows of one stay together")
    return chosen


def _no_use(column: pa.ChunkedArray, rows: int) -> str | None:
    """The reason why a column is useless as a feature, or None."""
    if column.null_count == rows:
        return "is empty"
    distinct = pc.count_distinct(column.drop_null()).as_py()
    if distinct == 1 and column.null_count == 0:
        return "has one value in all rows"
    if _is_row_number(column):
        return "numbers the rows"
    unlike = is_text(column.type) and rows >= 50 and distinct > DISTINCT * (rows - column.null_count)
    if unlike and pc.mean(pc.utf8_length(column)).as_py() < PROSE:
        return "is different in nearly every row, like an id"
    return None


def _is_row_number(column: pa.ChunkedArray) -> bool:
    if not pa.types.is_integer(column.type) or column.null_count or len(column) < 20:
        return False
    values = column.combine_chunks()
    return bool(pc.all(pc.equal(pc.subtract(values[1:], values[:-1]), 1)).as_py())
