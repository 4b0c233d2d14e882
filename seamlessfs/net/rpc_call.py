"""What a handler of Hadoop RPC gets and gives, and the bounds of a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from google.protobuf.message import Message

from seamlessfs.model.principal import Principal
from seamlessfs.net.histogram import Histogram


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """What is known of a connection when its user is to be admitted. `peer`: numeric address and port."""

    user: str
    real_user: str | None
    protocol: str
    peer: tuple[str, int]


@dataclass(slots=True, eq=False)
class CallContext:
    """Who calls what, from where. (`client_id`, `call_id`) is the key of the retry cache."""

    principal: Principal
    client_id: bytes
    call_id: int
    retry_count: int
    protocol: str
    method: str
    caller_context: str
    peer: tuple[str, int]


Answer = Message | bytes
"""A response, or one that was serialized before."""

Handler = Callable[[CallContext, Any], Answer | Awaitable[Answer]]
"""Serves a method: a plain answer is sent at once, an awaitable runs as a task; answers go out in any order."""

Authenticate = Callable[[ConnectionInfo], Principal]
"""Admits a user, or raises an error of the tree (ImpersonationDenied, AccessDenied), which ends the connection."""


class Served(NamedTuple):
    """A method that a server has, and how long its calls take: from being taken to the answer, in nanoseconds."""

    handler: Handler
    request: type[Message]
    took: Histogram


@dataclass(frozen=True, slots=True)
class RpcLimits:
    """Bounds of a server.

    Attributes:
        connections_max: connections at the same time; further ones are dropped.
        calls_per_connection: calls of one connection in flight; above it the connection is not read.
        connections_per_address: connections from one address. `connections_per_user`: those of one user; both leave
            room for others when one goes wild.
        half_open_max: connections that have not said who they are; a further one ends the oldest of them.
        half_open_per_address: of them from one address.
        calls_per_user: calls of one user in flight; above it the user's connections are not served.
        waiting_bytes_per_user: calls of one user that wait; what comes on top is answered "Server too busy".
        buffered_bytes_max: received bytes of all connections; above it the slowest sender of a large frame is dropped.
        unread_bytes_max: unread answers of all connections; above it who has not read for longest is dropped.
        handshake_timeout_s: from the first packet to the connection context.
        frame_timeout_s: from the first byte of a call to its last.
        idle_timeout_s: silence of a connection without calls in flight. Clients ping each 60 s while they wait.
        write_timeout_s: how long a peer may leave its answers unread.
        write_buffer_bytes: unread answers above which a connection is not served.
        events_per_turn: calls served before other connections have their turn.
    """

    connections_max: int = 10_000
    calls_per_connection: int = 1000
    connections_per_address: int = 4_000
    connections_per_user: int = 8_000
    half_open_max: int = 2_000
    half_open_per_address: int = 500
    calls_per_user: int = 4_000
    waiting_bytes_per_user: int = 8 << 20
    buffered_bytes_max: int = 512 << 20
    unread_bytes_max: int = 512 << 20
    handshake_timeout_s: float = 20.0
    frame_timeout_s: float = 120.0
    idle_timeout_s: float = 300.0
    write_timeout_s: float = 120.0
    write_buffer_bytes: int = 1 << 20
    events_per_turn: int = 64
