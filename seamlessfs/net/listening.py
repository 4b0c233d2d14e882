"""Whether an address can be listened on, asked before anything else is done."""

from __future__ import annotations

import socket

from seamlessfs.model.errors import ConfigurationError


def require_free(host: str, port: int, setting: str) -> None:
    """Binds the address for a moment.

    Args:
        setting: name of the port's setting, for the message.

    Raises:
        ConfigurationError: it cannot be bound: somebody listens there, the machine does not have the address, ...
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; "
            f"stop what uses it, or set {setting} or its host to what this machine has free"
        ) from error
