"""The artifact store: bytes under keys, written whole or not at all. Keys are relative POSIX paths.

The promises every store keeps: a reader never sees half of a value; ``put_if_absent`` lets exactly one of many writers
win; what has a content key is never rewritten with other content; whatever is read is what was written, by its SHA-256.
The last one is kept in one way for all stores: a document's last field is the hash of all before it, and a file is read
by the hash that a document names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from contender.canonical import sha256
from contender.errors import BackendError, ConfigError
from contender.frozen import Frozen

Document = TypeVar("Document", bound=Frozen)

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]*(/[A-Za-z0-9_][A-Za-z0-9._+=-]*)*")
_SEAL = re.compile(rb',\n "document_sha256": "([0-9a-f]{64})"\n}\Z')
PROBE = "preflight/probe"


class ArtifactStore(Protocol):
    """What Contender needs of a store. All methods raise BackendError when the store does not answer, and ConfigError
    for a key that is none.
    """

    def read(self, key: str) -> bytes:
        """The value; raises ``KeyError`` when there is none. Whoever reads it knows its hash: see the module."""
        ...

    def write(self, key: str, content: bytes) -> None:
        """Put the value, replacing an earlier one in a single step."""
        ...

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Put the value unless the key is taken; whether this call won.

        Raises:
            ConfigError: the store cannot tell. A run needs this from its first step on, so a store on which nothing
                could be promoted is refused before the data is read, not after an hour of training.
        """
        ...

    def put_file(self, key: str, path: Path) -> str:
        """Put a file's content, however large, in a single step; its hex SHA-256."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the key has a value."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """All keys below a folder, sorted."""
        ...

    def children(self, prefix: str) -> list[str]:
        """The names directly below a folder (of the whole store when it is empty), sorted."""
        ...

    def local(self, key: str, *, sha256: str | None = None) -> Path:
        """A local file with the value, not to be changed; it stays at least as long as this store object lives.

        Args:
            sha256: what the value must hash to; None takes what is there.

        Raises:
            KeyError: there is no value.
            BackendError: it is another one.
        """
        ...

    def url(self, key: str) -> str:
        """Where a person finds the value."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """What ``open_store`` makes this store of again, in another process. May hold secrets: never in arguments,
        XCom or a log.
        """
        ...


def is_key(text: str) -> bool:
    """Whether it can be a key: letters, digits and ``._+=-`` between single slashes, nothing hidden, no way up."""
    return ".." not in text and _KEY.fullmatch(text) is not None


def checked_key(key: str) -> str:
    """The key, unless it is none.

    Raises:
        ConfigError: it is none.
    """
    if not is_key(key):
        msg = f"store: {key[:200]!r} is not a key; expected letters, digits and ._+=- between single slashes"
        raise ConfigError(msg)
    return key


def changed(place: str) -> BackendError:
    """What to say of a value that is not the one that was written."""
    return BackendError(f"{place}: was changed or cut after it was written; restore the file")


def preflight(store: ArtifactStore) -> None:
    """See that the store gives back what is put, and refuses to put a key twice. Costs three requests; answers are not
    kept, for another process may ask another server.

    Raises:
        ConfigError: it does not; no retry helps.
    """
    content = b'{"written by": "Contender, to see whether this store can be trusted", "\xc3\xa9": 1}\r\n\x00'
    store.write(PROBE, content)
    if store.put_if_absent(PROBE, content):
        raise no_conditions(store.url(PROBE), "overwrote what was there")
    if store.read(PROBE) != content:
        msg = (
            f"store: {store.url(PROBE)} does not read back as it was written: the server, or a proxy before it, changes "
            "what it stores; nothing is kept there. Give the contender_store connection another uri or endpoint_url"
        )
        raise ConfigError(msg)


def no_conditions(place: str, got: str) -> ConfigError:
    """What to say of a store that does not know how to put a value only if there is none."""
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
        BackendError: what is stored there is not what was written, or not such a document.
    """
    content = store.read(key)
    seal = _SEAL.search(content)
    body = b"" if seal is None else content[: seal.start()] + b"\n}"
    if seal is None or sha256(body) != seal[1].decode():
        raise changed(store.url(key))
    return parse_document(body, model, store.url(key))


def write_document(store: ArtifactStore, key: str, document: Frozen) -> None:
    """Store a document, readable by people too."""
    store.write(key, _sealed(document))


def put_document_if_absent(store: ArtifactStore, key: str, document: Frozen) -> bool:
    """Store a document unless the key is taken; whether this call won."""
    return store.put_if_absent(key, _sealed(document))


def parse_document(content: bytes, model: type[Document], place: str) -> Document:
    """A document from its JSON.

    Raises:
        BackendError: it is not such a document.
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
