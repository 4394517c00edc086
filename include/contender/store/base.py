"""The artifact store: bytes under keys, written whole or not at all. Keys are relative POSIX paths.

The promises every store keeps: a reader never sees half of a value; ``put_if_absent`` lets exactly one of many writers
win; what has a content key is never rewritten with other content.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import ValidationError

from contender.errors import BackendError
from contender.frozen import Frozen

Document = TypeVar("Document", bound=Frozen)


class ArtifactStore(Protocol):
    """What Contender needs of a store. All methods raise BackendError when the store does not answer."""

    def read(self, key: str) -> bytes:
        """The value; raises ``KeyError`` when there is none."""
        ...

    def write(self, key: str, content: bytes) -> None:
        """Put the value, replacing an earlier one in a single step."""
        ...

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Put the value unless the key is taken; whether this call won."""
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

    def put_file(self, key: str, path: Path) -> str:
        """Put a file's content, replacing an earlier value in a single step; its SHA-256."""
        ...

    def local(self, key: str, *, sha256: str | None = None) -> Path:
        """A local file with the value, not to be changed; raises ``KeyError`` when there is none.

        Args:
            sha256: what the value must hash to; None takes what is there.
        """
        ...

    def url(self, key: str) -> str:
        """Where a person finds the value."""
        ...


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
        BackendError: what is stored there is not such a document.
    """
    content = store.read(key)
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        msg = (
            f"{store.url(key)}: not a {model.__name__} of this version of Contender "
            f"({where + ': ' if where else ''}{first['msg'][:200]}); restore the file"
        )
        raise BackendError(msg) from None


def write_document(store: ArtifactStore, key: str, document: Frozen) -> None:
    """Store a document, readable by people too."""
    store.write(key, document.model_dump_json(indent=1).encode())
