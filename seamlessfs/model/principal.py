"""Who calls."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class AuthMethod(enum.Enum):
    """How the connection's authentication layer came to know the user."""

    SIMPLE = "SIMPLE"
    KERBEROS = "KERBEROS"
    TOKEN = "TOKEN"  # noqa: S105 - the method's name, not a secret
    PROXY = "PROXY"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of an operation: made by the connection's authentication layer, carried by every call.

    Attributes:
        user: short name whose permissions count.
        real_user: the authenticated user that acts for `user`, or None when they are the same.
        groups: the user's groups, primary one first.
        address: numeric address of the caller's end of the connection, "" when there is none.
        superuser: whether permission checks are skipped.
    """

    user: str
    groups: tuple[str, ...] = ()
    real_user: str | None = None
    auth_method: AuthMethod = AuthMethod.SIMPLE
    address: str = ""
    superuser: bool = False
