"""Odd tables for ``contender init``, each made from a seed: Arrow tables of any types, and CSV files as people leave them."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 150


def arrow_table(seed: int) -> pa.Table:
    """A feature, a target of either kind, and up to eight columns of types and names drawn at random."""
    random = np.random.default_rng(seed)
    made = {"x": pa.array(random.normal(size=ROWS))}
    drawn = random.choice(sorted(_MAKERS), size=int(random.integers(1, 9)), replace=False)
    for place, kind in enumerate(drawn):
        column = _MAKERS[kind](random)
        if random.random() < 0.3 and not isinstance(column.type, pa.BaseExtensionType):
            column = pa.array(column.to_pylist(), column.type, mask=random.random(ROWS) < random.choice([0.02, 0.5]))
        if random.random() < 0.1 and pa.types.is_integer(column.type):
            column = column.dictionary_encode()
        stem = random.choice(
            ["a", "customer_id", "valid_to", "na\u2028me", "\u0085", "", " b", "true", "a: b", "#c", "\ufeffd"]
        )
        made[f"{stem}{place or ''}"] = column
    score = np.asarray(made["x"]) + random.normal(size=ROWS)
    made["y"] = pa.array(np.where(score > 0, "yes", "no")) if seed % 2 else pa.array(score)
    return pa.table(made)


def small_table(seed: int) -> pa.Table:
    """The first rows of such a table, 1 to 40, and at random only some of its columns."""
    random = np.random.default_rng(seed)
    table = arrow_table(seed).slice(0, int(random.integers(1, 41)))
    return (
        table if random.random() < 0.7 else table.select([*range(1, table.num_columns - 1), table.num_columns - 1][-2:])
    )


def csv_file(seed: int, rows_at_most: int = ROWS) -> bytes:
    """A feature, a target, up to four columns of cells as people write them, and at random what a file has beside its rows."""
    random = np.random.default_rng(seed)
    delimiter, end = (
        str(random.choice([",", ";", "\t", "|"])),
        str(random.choice(["\n", "\r\n", "\r"], p=[0.6, 0.3, 0.1])),
    )
    kinds = random.choice(sorted(_CELLS), size=int(random.integers(1, 5)), replace=False)
    columns = {f"c{place}": [_CELLS[kind](random, row) for row in range(ROWS)] for place, kind in enumerate(kinds)}
    score = random.normal(size=ROWS)
    columns["x"] = [f"{value:.3f}" for value in score]
    columns["y"] = [str(random.choice(["yes", "no"])) for _ in range(ROWS)]
    rows = [list(columns), *map(list, zip(*columns.values(), strict=True))][: 1 + rows_at_most]
    for spoil in random.choice(np.array(_SPOILS, dtype=object), size=int(random.integers(0, 3)), replace=False):
        spoil(random, rows)
    text = end.join(delimiter.join(_quoted(cell, delimiter, random) for cell in row) for row in rows) + end
    for spoil in random.choice(np.array(_TEXTS, dtype=object), size=int(random.integers(0, 2)), replace=False):
        text = spoil(random, text)
    encoding = str(random.choice(["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "cp932"]))
    return text.encode(encoding, "replace")


def _quoted(cell: str, delimiter: str, random: np.random.Generator) -> str:
    if delimiter in cell or random.random() < 0.02:
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _integers(kind: pa.DataType) -> Callable[[np.random.Generator], pa.Array]:
    def made(random: np.random.Generator) -> pa.Array:
        bits, signed = kind.bit_width, pa.types.is_signed_integer(kind)
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if random.random() < 0.5:
            low, high = max(low, -5), min(high, 20)
        return pa.array([low + int(random.random() * (high - low)) for _ in range(ROWS)], kind)

    return made


def _floats(kind: pa.DataType) -> Callable[[np.random.Generator], pa.Array]:
    def made(random: np.random.Generator) -> pa.Array:
        size = random.choice([3e-14, 1.0, 1e4])
        values = random.normal(size=ROWS) * size
        values[: int(random.integers(0, 3))] = random.choice([np.nan, np.inf, -np.inf, 0.0])
        if pa.types.is_float64(kind):
            values = values * random.choice([1e-300, 1.0, 1e300])
        return pa.array(values.astype(kind.to_pandas_dtype()), kind)

    return made


def _decimals(kind: Callable[[int, int], pa.DataType], digits: int) -> Callable[[np.random.Generator], pa.Array]:
    def made(random: np.random.Generator) -> pa.Array:
        scale = int(random.choice([0, 2]))
        most = 10 ** int(random.choice([3, digits - scale]))
        cells = [Decimal(int(random.random() * most)) for _ in range(ROWS)]
        return pa.array(cells, kind(digits, scale))

    return made


def _moments(kind: pa.DataType) -> Callable[[np.random.Generator], pa.Array]:
    def made(random: np.random.Generator) -> pa.Array:
        start = datetime(*(int(random.choice([1700, 2020, 2200])), 1, 1))
        cells = [start + timedelta(hours=int(random.integers(0, 9_000))) for _ in range(ROWS)]
        if getattr(kind, "unit", "us") != "ns" and random.random() < 0.3:
            cells = [datetime(9999, 12, 31) if random.random() < 0.5 else cell for cell in cells]
        return pa.array(cells if pa.types.is_timestamp(kind) else [cell.date() for cell in cells], kind)

    return made


def _of(make: Callable[[int], Any], kind: pa.DataType) -> Callable[[np.random.Generator], pa.Array]:
    return lambda random: pa.array(
        [make(int(random.integers(0, random.choice([2, 10**6])))) for _ in range(ROWS)], kind
    )


def _uuids(random: np.random.Generator) -> pa.Array:
    return pa.array([uuid.UUID(bytes=random.bytes(16)).bytes for _ in range(ROWS)], pa.uuid())


def _extension(kind: pa.DataType, cell: Any) -> Callable[[np.random.Generator], pa.Array]:
    return lambda _: pa.ExtensionArray.from_storage(kind, pa.array([cell] * ROWS, kind.storage_type))


_MAKERS: dict[str, Callable[[np.random.Generator], pa.Array]] = {
    **{str(kind): _integers(kind) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{str(kind): _integers(kind) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    **{str(kind): _floats(kind) for kind in (pa.float16(), pa.float32(), pa.float64())},
    "decimal128": _decimals(pa.decimal128, 38),
    "decimal256": _decimals(pa.decimal256, 70),
    **{str(kind): _moments(kind) for kind in (pa.date32(), pa.date64(), pa.timestamp("s"), pa.timestamp("ms"))},
    **{
        str(kind): _moments(kind)
        for kind in (pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("us", "Europe/Berlin"))
    },
    "time32": _of(lambda n: n % 86_400, pa.time32("s")),
    "time64": _of(lambda n: n, pa.time64("us")),
    "duration": _of(lambda n: n, pa.duration("ms")),
    "bool": _of(lambda n: n % 2 == 0, pa.bool_()),
    "null": lambda _: pa.nulls(ROWS),
    "binary": _of(lambda n: b"\xff%d" % n, pa.binary()),
    "large_binary": _of(lambda n: b"%d" % n, pa.large_binary()),
    "fixed_size_binary": _of(lambda n: n.to_bytes(4), pa.binary(4)),
    "list": _of(lambda n: [n], pa.list_(pa.int64())),
    "struct": _of(lambda n: {"a": n}, pa.struct({"a": pa.int64()})),
    "map": _of(lambda n: [("a", n)], pa.map_(pa.string(), pa.int64())),
    "string": _of(lambda n: f"level {n % 7}", pa.string()),
    "large_string": _of(str, pa.large_string()),
    "iso dates as text": _of(lambda n: str(date(2024, 1, 1) + timedelta(days=n % 300)), pa.string()),
    "numbers as text": _of(lambda n: f"{n / 7:.2f}", pa.string()),
    "numbers with a unit as text": _of(lambda n: f"${n:,}", pa.string()),
    "a long text": _of(lambda n: "z" * 200_000 if n == 0 else f"t{n}", pa.string()),
    "signs": _of(lambda n: chr(n % 0x250 + 1), pa.string()),
    "milliseconds": _of(lambda n: 1_700_000_000_000 + n, pa.int64()),
    "nanoseconds": _of(lambda n: 1_700_000_000_000_000_000 + n, pa.int64()),
    "uuid": _uuids,
    "json": _extension(pa.json_(pa.string()), "{}"),
    "bool8": _extension(pa.bool8(), 1),
    "opaque": _extension(pa.opaque(pa.binary(), "geometry", "gis"), b"\x01"),
    "tensor": _extension(pa.fixed_shape_tensor(pa.float32(), [2]), [1.0, 2.0]),
}
_CELLS: dict[str, Callable[[np.random.Generator, int], str]] = {
    "german": lambda random, _: f"{random.integers(0, 10**7) / 100:,.2f}".translate(str.maketrans(",.", ".,")),
    "german groups": lambda random, _: f"{random.integers(0, 10**6):,}".replace(",", "."),
    "english": lambda random, _: f"{random.integers(0, 10**7) / 100:,.2f}",
    "dollars": lambda random, _: f"${random.integers(0, 10**6):,}",
    "percent": lambda random, _: f"{random.integers(0, 100)} %",
    "minus behind": lambda random, _: f"{random.integers(1, 999)}.5-",
    "units": lambda random, row: "km/h" if row == 0 else f"{random.normal():.2f}",
    "mixed decimals": lambda random, row: f"{random.integers(0, 99)}{',.'[row % 2]}5",
    "two units": lambda random, row: f"{random.integers(0, 99)} {('kg', 'g')[row % 2]}",
    "cancelled": lambda random, row: "cancelled" if row % 5 < 2 else str(random.integers(0, 999)),
    "hour 24": lambda _, row: f"2024-01-{1 + row // 24:02d} {row % 24 + 1:02d}:00",
    "clock": lambda random, _: f"{random.integers(0, 25):02d}:{random.integers(0, 60):02d}",
    "iso": lambda _, row: str(date(2024, 1, 1) + timedelta(days=row)),
    "mixed dates": lambda _, row: ("01/02/2024", "2024-02-01", "1.2.24")[row % 3],
    "never": lambda _, row: "9999-12-31" if row % 3 else str(date(2024, 1, 1) + timedelta(days=row)),
    "milliseconds": lambda _, row: str(1_700_000_000_000 + row * 3_600_000),
    "snowflakes": lambda random, _: str(10**18 + int(random.integers(0, 10**17))),
    "leading zeros": lambda random, _: f"{random.integers(0, 999):05d}",
    "tiny": lambda random, _: f"{random.normal() * 3e-14:.3e}",
    "huge": lambda random, _: f"{random.normal():.3f}e300",
    "accents": lambda random, _: str(random.choice(["M\xfcller", "\xe9t\xe9", "S\xe3o Paulo", "\xa35", "23\xb0C"])),
    "blank": lambda _random, _row: "",
    "missing words": lambda random, _: str(random.choice(["NA", "n/a", "-", "1", "2"])),
    "quotes": lambda random, _: str(random.choice(['said "no"', "it's", 'a"b', "'"])),
    "long": lambda _, row: "z" * 200_000 if row == 3 else "a",
}


def _totals(_: np.random.Generator, rows: list[list[str]]) -> None:
    rows.append(["Total", *("" for _ in rows[0][1:])])


def _headers_again(random: np.random.Generator, rows: list[list[str]]) -> None:
    rows.insert(int(random.integers(2, max(3, len(rows)))), list(rows[0]))


def _ragged(random: np.random.Generator, rows: list[list[str]]) -> None:
    rows[-int(random.integers(1, max(2, len(rows))))].append("more")


def _no_header(_: np.random.Generator, rows: list[list[str]]) -> None:
    del rows[0]


def _named_twice(_: np.random.Generator, rows: list[list[str]]) -> None:
    rows[0][0] = rows[0][-1]


def _unnamed(_: np.random.Generator, rows: list[list[str]]) -> None:
    for number, row in enumerate(rows):
        row.insert(0, "" if number == 0 else str(number))


def _odd_names(_: np.random.Generator, rows: list[list[str]]) -> None:
    rows[0][0] = 'na\u2028me "#: x'


def _with(random: np.random.Generator, text: str, sign: str) -> str:
    at = int(random.integers(0, len(text)))
    return text[:at] + sign + text[at:]


_SPOILS = [_totals, _headers_again, _ragged, _no_header, _named_twice, _unnamed, _odd_names]
_TEXTS: list[Callable[[np.random.Generator, str], str]] = [
    lambda _, text: "sep=;\n" + text,
    lambda _, text: "Report of sales\nmade on 2024-01-01\n\n" + text,
    lambda random, text: _with(random, text, '"'),
    lambda random, text: _with(random, text, "\x00"),
    lambda random, text: text[: int(random.integers(0, len(text)))],
    lambda _, text: text.replace("\n", "\n\n", 5),
    lambda _, text: text.replace("\n", "\r\n", 50),
    lambda _, text: text.replace(",", ', "', 3),
    lambda _, text: text.splitlines()[0],
    lambda random, text: "".join(random.permutation(list(text[:3000]))),
    lambda _random, _text: '{"x": 1, "y": 2}\n{"x": 2, "y": 3}\n',
]
