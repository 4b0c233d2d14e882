from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from seamlessfs.model.errors import ConfigurationError
from seamlessfs.security import secret

KEY = b"k" * 32


def test_a_proof_is_an_hmac_over_length_prefixed_parts() -> None:
    message = b"datanode" + b"".join(len(part).to_bytes(4, "big") + part for part in (b"nn", b"dn", b"uuid-1"))
    expected = hmac.new(KEY, message, hashlib.sha256).digest()
    assert secret.datanode_proof(KEY, b"nn", b"dn", "uuid-1") == expected


def test_a_proof_changes_with_every_input() -> None:
    proofs = {
        secret.namenode_proof(KEY, b"dn", b"nn"),
        secret.namenode_proof(KEY, b"nn", b"dn"),
        secret.namenode_proof(b"other" * 7, b"dn", b"nn"),
        secret.namenode_proof(KEY, b"d", b"nnn"),
        secret.datanode_proof(KEY, b"dn", b"nn", ""),
        secret.datanode_proof(KEY, b"dn", b"nn", "a"),
        secret.datanode_proof(KEY, b"dn", b"nna", ""),
    }
    assert len(proofs) == 7
    assert not secret.proofs_equal(*list(proofs)[:2])
    assert secret.proofs_equal(secret.namenode_proof(KEY, b"a", b"b"), secret.namenode_proof(KEY, b"a", b"b"))


def test_a_created_secret_can_be_loaded_and_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    made = secret.create_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret.load_secret(path) == made
    with pytest.raises(FileExistsError):
        secret.create_secret(path)
    assert secret.load_secret(path) == made


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret.create_secret(path)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="mode 0640: it must be 0600"):
        secret.load_secret(path)


@pytest.mark.parametrize("content", [b"", b"short\n", b"x" * 5000])
def test_a_secret_of_the_wrong_size_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="write a new one"):
        secret.load_secret(path)


def test_an_absent_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=str(tmp_path / "none")):
        secret.load_secret(tmp_path / "none")
