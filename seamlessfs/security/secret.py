"""The cluster secret, and the proofs by which a datanode and a namenode show each other that they know it.

Shape of what is signed, with every variable part behind its length so that no two inputs share an encoding::

    proof = HMAC-SHA256(secret, role || u32be len || part || u32be len || part ...)
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path

from seamlessfs.model.errors import ConfigurationError

NONCE_BYTES = 32
SECRET_BYTES_MIN = 16
SECRET_BYTES_MAX = 4096


def make_nonce() -> bytes:
    """A fresh challenge, never used twice."""
    return secrets.token_bytes(NONCE_BYTES)


def namenode_proof(secret: bytes, dn_nonce: bytes, nn_nonce: bytes) -> bytes:
    """What a namenode answers to a datanode's challenge."""
    return _sign(secret, b"namenode", dn_nonce, nn_nonce)


def datanode_proof(secret: bytes, nn_nonce: bytes, dn_nonce: bytes, uuid: str) -> bytes:
    """What a datanode answers to a namenode's challenge; binds the datanode's own id."""
    return _sign(secret, b"datanode", nn_nonce, dn_nonce, uuid.encode())


def proofs_equal(expected: bytes, given: bytes) -> bool:
    """Compares two proofs in time that does not depend on where they differ."""
    return hmac.compare_digest(expected, given)


def load_secret(path: Path) -> bytes:
    """Reads the secret from its file, without the white space around it.

    Raises:
        ConfigurationError: the file is absent, is readable by others than its owner, or holds too little or too much.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            secret = file.read(SECRET_BYTES_MAX + 1).strip()
    except OSError as error:
        raise ConfigurationError(f"Cannot read the cluster secret file {path}: {error.strerror}") from error
    if mode != 0o600:
        raise ConfigurationError(
            f"Cluster secret file {path} has mode {mode:04o}: it must be 0600, run `chmod 600 {path}`"
        )
    if not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
        raise ConfigurationError(
            f"Cluster secret file {path} holds {len(secret)} bytes: "
            f"{SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} are allowed, write a new one"
        )
    return secret


def create_secret(path: Path) -> bytes:
    """Writes a new random secret to a file that must not exist yet, readable by its owner only.

    Raises:
        FileExistsError: there is a secret already; nothing is changed.
    """
    secret = secrets.token_hex(NONCE_BYTES).encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(secret + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return secret


def _sign(secret: bytes, role: bytes, *parts: bytes) -> bytes:
    message = role + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(secret, message, "sha256")
