"""Signatures: content that was changed or signed with another key is refused, and a key file is whole or missing."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from contender.errors import BackendError, ConfigError
from contender.release.signing import check_signature, create_key, sign


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "signing.pem"
    create_key(path)
    return path


def test_what_was_signed_is_accepted(key: Path) -> None:
    check_signature(b"manifest", sign(b"manifest", key), key)


@pytest.mark.parametrize("content", [b"manifesT", b"", b"manifest "])
def test_what_was_changed_since_is_refused(key: Path, content: bytes) -> None:
    with pytest.raises(BackendError, match=r"not signed with signing.pem or was changed since; it is not loaded"):
        check_signature(content, sign(b"manifest", key), key)


@pytest.mark.parametrize("signature", [b"", b"x" * 64, b"x" * 1_000])
def test_what_is_no_signature_is_refused(key: Path, signature: bytes) -> None:
    with pytest.raises(BackendError, match="was not signed with"):
        check_signature(b"manifest", signature, key)


def test_a_signature_of_another_key_is_refused(key: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    create_key(other)
    with pytest.raises(BackendError, match="was not signed with"):
        check_signature(b"manifest", sign(b"manifest", other), key)


def test_a_key_is_private_and_never_replaced(key: Path) -> None:
    before = key.read_bytes()
    create_key(key)
    assert key.read_bytes() == before
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert [path.name for path in key.parent.iterdir()] == ["signing.pem"]


def test_of_many_who_create_a_key_at_once_all_use_the_same(tmp_path: Path) -> None:
    key = tmp_path / "signing.pem"

    def create_and_sign(_: int) -> bytes:
        create_key(key)
        return sign(b"manifest", key)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(create_and_sign, range(8)))) == 1


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*missing.pem: No such file or directory; set signing_key in"):
        sign(b"", tmp_path / "missing.pem")


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_is_no_key_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.pem"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"signing key: .*bad.pem is not an unencrypted PEM private key"):
        sign(b"", path)


def test_a_key_of_another_kind_or_with_a_password_is_named(tmp_path: Path, key: Path) -> None:
    rsa = generate_private_key(65_537, 2_048)
    path = tmp_path / "rsa.pem"
    path.write_bytes(rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ConfigError, match=r"rsa.pem is not an Ed25519 private key"):
        sign(b"", path)
    path.write_bytes(rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    with pytest.raises(ConfigError, match=r"rsa.pem is not an unencrypted PEM private key"):
        sign(b"", path)
