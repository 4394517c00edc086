"""The hash of a canonical table's content, which names its snapshot. Neither file layout nor library versions change it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contender.data.coercion import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROWS_AT_ONCE = 1 << 20


def content_id(table: pa.Table) -> str:
    """Hex SHA-256 of a canonical table: per column its name, type and length, its validity mask, then its values."""
    digest = hashlib.sha256()
    for field in table.schema:
        digest.update(f"{field.name}\x00{kind_of(field.type)}\x00{table.num_rows}\x00".encode())
        parts = list(_parts(table[field.name]))
        for part in parts:
            digest.update(_little(part.is_valid().cast(pa.uint8())))
        if pa.types.is_large_string(field.type):
            for part in parts:
                digest.update(_little(pc.binary_length(part.fill_null(""))))
            for part in parts:
                digest.update(_characters(part.fill_null("")))
            continue
        for part in parts:
            plain = part.cast(pa.uint8()) if pa.types.is_boolean(field.type) else part
            plain = plain.cast(pa.int64()) if pa.types.is_temporal(field.type) else plain
            digest.update(_little(plain.fill_null(0)))
    return digest.hexdigest()


def _little(numbers: pa.Array) -> Any:
    """The bytes of numbers without nulls, little-endian on every machine."""
    array = numbers.to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).data


def _parts(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    """The column in slices, so that only a slice is ever copied."""
    for chunk in column.chunks:
        for start in range(0, len(chunk), _ROWS_AT_ONCE):
            yield chunk.slice(start, _ROWS_AT_ONCE)


def _characters(text: pa.Array) -> memoryview:
    """The UTF-8 bytes of a text column without nulls, one after another, without a copy."""
    _, offsets, characters = text.buffers()
    if characters is None or not len(text):
        return memoryview(b"")
    ends = np.frombuffer(offsets, dtype=np.int64)
    return memoryview(characters)[ends[text.offset] : ends[text.offset + len(text)]]
