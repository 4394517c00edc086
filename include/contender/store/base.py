"""The artifact store's protocol, and documents in it. Keys are relative POSIX paths; their meaning is not known here.

Every store promises: a value is written whole or not at all; of concurrent ``put_if_absent`` calls exactly one wins; a
content key is never rewritten with other content; a read value is the written one, by its SHA-256. All stores keep the
last promise alike: a document ends with its own hash, and a file is read by the hash in a document.
"""

from __future__ import annotations

import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from contender.canonical import sha256
from contender.errors import BackendError, ConfigError
from contender.frozen import Frozen

Document = TypeVar("Document", bound=Frozen)

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]*(/[A-Za-z0-9_][A-Za-z0-9._+=-]*)*")
# The last field of a stored document, exactly as ``_sealed`` writes it: the SHA-256 of the JSON without this field.
_SEAL = re.compile(rb',\n "document_sha256": "([0-9a-f]{64})"\n}\Z')
PREFLIGHT = "preflight/"  # below it is what ``preflight`` writes; no document ever lives there
PROBE = f"{PREFLIGHT}probe"
_RACERS = 8


_INSTALLATION = "installation/id.json"


class Installation(Frozen):
    """The name of everything that shares one store, which no other installation on the same MLflow has."""

    id: str


class ArtifactStore(Protocol):
    """What Contender needs of a store.

    All methods raise BackendError when the store does not answer, and ConfigError for an invalid key.
    """

    def read(self, key: str) -> bytes:
        """The value; raises ``KeyError`` when there is none. The caller checks its hash (see the module docstring)."""
        ...

    def write(self, key: str, content: bytes) -> None:
        """Put the value, replacing an earlier one in a single step."""
        ...

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Put the value unless the key is taken; whether this call won.

        Raises:
            ConfigError: the store has no conditional writes. A run's first step already needs one, so such a store is
                refused before the data is read, not after an hour of training.
        """
        ...

    def put_file(self, key: str, path: Path) -> str:
        """Put a file's content, however large, in a single step; its hex SHA-256."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the key has a value."""
        ...

    def holds(self, key: str, sha256: str) -> bool:
        """Whether the key has the value of this hash. A store may answer by what it recorded when a file was put whole."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """All keys below a folder, sorted."""
        ...

    def children(self, prefix: str) -> list[str]:
        """The names directly below a folder (of the whole store when it is empty), sorted."""
        ...

    def local(self, key: str, *, sha256: str | None = None) -> Path:
        """A local, read-only file with the value; it stays at least as long as this store object lives.

        Args:
            sha256: the expected hash of the value; None accepts any value.

        Raises:
            KeyError: there is no value.
            BackendError: the value has another hash.
        """
        ...

    def url(self, key: str) -> str:
        """Where a person finds the value."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments with which ``open_store`` opens this store in another process.

        They may hold secrets: never pass them in a command line, an XCom or a log.
        """
        ...


def is_key(text: str) -> bool:
    """Whether a text is a valid key: letters, digits and ``._+=-`` between single slashes, no leading dot or ``..``."""
    return ".." not in text and _KEY.fullmatch(text) is not None


def checked_key(key: str) -> str:
    """The key itself, when it is valid.

    Raises:
        ConfigError: it is not.
    """
    if not is_key(key):
        msg = f"store: {key[:200]!r} is not a key; expected letters, digits and ._+=- between single slashes"
        raise ConfigError(msg)
    return key


def changed(place: str) -> BackendError:
    """The error for a value that does not hash to what was written."""
    return BackendError(f"{place}: was changed or cut after it was written; restore the file")


def preflight(store: ArtifactStore) -> None:
    """Check that the store reads back what was written, and that of several who put one key exactly one wins.

    A server may answer one write after the other rightly and yet let several win that come at once (SeaweedFS up to
    4.16), so once a day, in one process, eight race. What was found is otherwise not stored: another process may reach
    another server.

    Raises:
        ConfigError: a check failed; no retry helps.
    """
    # Text conversion, line-end conversion and truncation at a zero byte would each change this content.
    content = b'{"written by": "Contender, to see whether this store can be trusted", "\xc3\xa9": 1}\r\n\x00'
    store.write(PROBE, content)
    if store.put_if_absent(PROBE, content):
        raise no_conditional_writes(store.url(PROBE), "overwrote what was there")
    if store.read(PROBE) != content:
        msg = (
            f"store: {store.url(PROBE)} does not read back as it was written: the server, or a proxy before it, changes "
            "what it stores; nothing is kept there. Give the contender_store connection another uri or endpoint_url"
        )
        raise ConfigError(msg)
    raced = f"{PREFLIGHT}raced/{datetime.now(UTC):%Y-%m-%d}"  # written by who saw exactly one win
    if not store.exists(raced):
        _race(store)
        store.write(raced, b"exactly one of eight won")


def _race(store: ArtifactStore) -> None:
    """Let eight put one new key at the same moment.

    Raises:
        ConfigError: several won.
        BackendError: none did.
    """
    key, start = f"{PREFLIGHT}race/{uuid.uuid4().hex}", Barrier(_RACERS)

    def put(number: int) -> bool:
        start.wait()
        return store.put_if_absent(key, b"racer %d" % number)

    with ThreadPoolExecutor(_RACERS) as pool:
        won = sum(pool.map(put, range(_RACERS)))
    if won > 1:
        raise no_conditional_writes(store.url(key), f"told {won} of {_RACERS} that came at once that they were first")
    if won == 0:
        raise BackendError(f"store: {store.url(key)}: nobody could put it; try again")


def installation(store: ArtifactStore) -> str:
    """The id of the installation that this store belongs to; random, made by whoever asks first."""
    found = known_installation(store)
    if found is None:
        put_document_if_absent(store, _INSTALLATION, Installation(id=uuid.uuid4().hex))
        found = require_document(store, _INSTALLATION, Installation).id
    return found


def known_installation(store: ArtifactStore) -> str | None:
    """The id of the installation, when it has one. Writes nothing."""
    found = read_document(store, _INSTALLATION, Installation)
    return None if found is None else found.id


def no_conditional_writes(place: str, got: str) -> ConfigError:
    """The error for a store without conditional writes; ``got`` is what it did instead."""
    return ConfigError(
        f"store: {place}: this store cannot decide who was first, so two runs could both take the title: asked to put a "
        f"key only if it is absent (If-None-Match: *), it {got}. Nothing was started. Give the contender_store "
        "connection a server that honours conditional writes, as AWS S3 does, or a folder that all workers share"
    )


def read_document(store: ArtifactStore, key: str, model: type[Document]) -> Document | None:
    """The stored document, or None when there is none."""
    try:
        return require_document(store, key, model)
    except KeyError:
        return None


def require_document(store: ArtifactStore, key: str, model: type[Document]) -> Document:
    """The stored document.

    Raises:
        KeyError: an earlier step has not written it.
        BackendError: the stored bytes were changed, or are not a document of this model.
    """
    content = store.read(key)
    seal = _SEAL.search(content)
    body = b"" if seal is None else content[: seal.start()] + b"\n}"
    if seal is None or sha256(body) != seal[1].decode():
        raise changed(store.url(key))
    return parse_document(body, model, store.url(key))


def write_document(store: ArtifactStore, key: str, document: Frozen) -> None:
    """Store a document as indented JSON, replacing an earlier one."""
    store.write(key, _sealed(document))


def put_document_if_absent(store: ArtifactStore, key: str, document: Frozen) -> bool:
    """Store a document unless the key is taken; whether this call won."""
    return store.put_if_absent(key, _sealed(document))


def parse_document(content: bytes, model: type[Document], place: str) -> Document:
    """A document from its JSON.

    Raises:
        BackendError: it is not a document of this model.
    """
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        msg = (
            f"{place}: not a {model.__name__} of this version of Contender "
            f"({where + ': ' if where else ''}{first['msg'][:200]}); restore the file"
        )
        raise BackendError(msg) from None


def _sealed(document: Frozen) -> bytes:
    body = document.model_dump_json(indent=1).encode()
    return body.removesuffix(b"\n}") + f',\n "document_sha256": "{sha256(body)}"\n}}'.encode()
