"""Ed25519 signatures over release manifests. The private key is a file outside the artifact store."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from contender.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def create_key(path: Path) -> None:
    """Write a new private key (PEM, mode 0600) unless the file exists."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with NamedTemporaryFile(dir=path.parent, prefix=".pending-") as pending:  # created with mode 0600
        pending.write(pem)
        pending.flush()
        with suppress(FileExistsError):  # a link never replaces a key that another process has created meanwhile
            os.link(pending.name, path)


def sign(content: bytes, key: Path) -> bytes:
    """The signature of the content."""
    return _load(key).sign(content)


def check_signature(content: bytes, signature: bytes, key: Path) -> None:
    """Check that the content was signed with the key and not changed since.

    Raises:
        BackendError: the signature does not match.
    """
    from cryptography.exceptions import InvalidSignature

    try:
        _load(key).public_key().verify(signature, content)
    except InvalidSignature:
        msg = f"the release manifest was not signed with {key.name} or was changed since; it is not loaded"
        raise BackendError(msg) from None


def _load(key: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        loaded = load_pem_private_key(key.read_bytes(), password=None)
    except OSError as error:
        msg = f"signing key: cannot read {key}: {error.strerror}; set signing_key in the contender_store connection"
        raise ConfigError(msg) from None
    except (ValueError, TypeError):
        msg = f"signing key: {key} is not an unencrypted PEM private key"
        raise ConfigError(msg) from None
    if not isinstance(loaded, Ed25519PrivateKey):
        msg = f"signing key: {key} is not an Ed25519 private key"
        raise ConfigError(msg)
    return loaded
