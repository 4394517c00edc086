"""Documents in a store: there, not there, or named as what they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contender.documents import ShardReport
from contender.errors import BackendError
from contender.store.base import read_document, require_document, write_document

if TYPE_CHECKING:
    from contender.store.local import LocalStore

REPORT = ShardReport(index=3, done=2, failed=1, untried=("k",))


def test_a_document_reads_back_as_it_was_written(store: LocalStore) -> None:
    write_document(store, "p/report.json", REPORT)
    assert read_document(store, "p/report.json", ShardReport) == REPORT
    assert require_document(store, "p/report.json", ShardReport) == REPORT


def test_a_document_that_is_not_there_is_none_or_an_error(store: LocalStore) -> None:
    assert read_document(store, "p/report.json", ShardReport) is None
    with pytest.raises(KeyError, match=r"p/report\.json"):
        require_document(store, "p/report.json", ShardReport)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Invalid JSON"),
        (b'{"index": 3, "done": 2', "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
        (b"[]", "should be an object"),
        (b'{"index": 3, "done": 2}', "failed: Field required"),
        (b'{"index": 3, "done": 2, "failed": 1, "new": 0}', "new: Extra inputs"),
    ],
)
def test_what_is_no_such_document_is_named_with_the_reason(store: LocalStore, content: bytes, why: str) -> None:
    store.write("p/report.json", content)
    with pytest.raises(BackendError, match=rf"p/report\.json: not a ShardReport .*{why}.*; restore the file") as caught:
        read_document(store, "p/report.json", ShardReport)
    assert len(str(caught.value)) < 600
