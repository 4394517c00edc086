"""Documents in a store: read back, missing, changed, or of another kind; and the preflight."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contender.canonical import sha256
from contender.documents.outcome import Failure
from contender.documents.sweep import TaskReport
from contender.errors import BackendError, ConfigError
from contender.store.base import parse_document, preflight, read_document, require_document, write_document
from contender.store.local import LocalStore

REPORT = TaskReport(index=3, done=2, failed=1, untried=("k",))


def test_a_document_reads_back_as_it_was_written(store: LocalStore) -> None:
    write_document(store, "p/report.json", REPORT)
    assert read_document(store, "p/report.json", TaskReport) == REPORT
    assert require_document(store, "p/report.json", TaskReport) == REPORT


def test_a_document_that_is_not_there_is_none_or_an_error(store: LocalStore) -> None:
    assert read_document(store, "p/report.json", TaskReport) is None
    with pytest.raises(KeyError, match=r"p/report\.json"):
        require_document(store, "p/report.json", TaskReport)


def test_a_document_can_be_read_and_says_its_hash_last(store: LocalStore) -> None:
    write_document(store, "p/report.json", REPORT)
    document = json.loads(store.read("p/report.json"))
    seal = document.pop("document_sha256")
    assert document == REPORT.model_dump(mode="json")
    assert seal == sha256(json.dumps(document, indent=1).encode())


def test_no_byte_of_a_document_can_change_or_be_missing(store: LocalStore) -> None:
    write_document(store, "p/report.json", REPORT)
    content = store.read("p/report.json")
    changes = [
        content[:n] + bytes([content[n] ^ 1 << bit]) + content[n + 1 :] for n in range(len(content)) for bit in (0, 5)
    ]
    cut = [content[:n] for n in range(len(content))]
    for changed in (
        *changes,
        *cut,
        content + b" ",
        content + b"\n",
        content + content,
        b"{}",
        b'{"index": 3, "done": 2, "failed": 1}',
    ):
        store.write("p/report.json", changed)
        with pytest.raises(
            BackendError, match=r"p/report\.json: was changed or cut after it was written; restore the file"
        ):
            read_document(store, "p/report.json", TaskReport)


def test_a_document_of_another_version_is_named_with_the_reason(store: LocalStore) -> None:
    write_document(store, "p/report.json", Failure(step="train"))
    why = r"p/report\.json: not a TaskReport of this version of Contender \(index: Field required\); restore the file"
    with pytest.raises(BackendError, match=why):
        read_document(store, "p/report.json", TaskReport)


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
def test_what_is_no_such_document_is_named_with_the_reason(content: bytes, why: str) -> None:
    with pytest.raises(BackendError, match=rf"place: not a TaskReport .*{why}.*; restore the file") as caught:
        parse_document(content, TaskReport, "place")
    assert len(str(caught.value)) < 600


class Mangling(LocalStore):
    """Like a proxy that stores the chunks' headers with the object."""

    def write(self, key: str, content: bytes) -> None:
        super().write(key, b"%x\r\n" % len(content) + content + b"\r\n0\r\n")


class Overwriting(LocalStore):
    """Like a server that ignores the condition of a write."""

    def put_if_absent(self, key: str, content: bytes) -> bool:
        self.write(key, content)
        return True


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Mangling, "preflight/probe does not read back as it was written: the server, or a proxy before it, changes"),
        (Overwriting, "preflight/probe: this store cannot decide who was first, so two runs could both take the title"),
    ],
)
def test_a_store_that_breaks_a_promise_fails_the_preflight(tmp_path: Path, kind: type[LocalStore], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        preflight(kind(tmp_path))
