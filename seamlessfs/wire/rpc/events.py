"""What a server sees of a connection, in the order of the bytes.

An event with a `reply` wants those bytes written at its place; after `Closed` nothing follows, and the connection ends
once its reply is written.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Call:
    """One call of a method.

    Attributes:
        client_id: 16 bytes that name the client; with `call_id` the key of the retry cache.
        retry_count: how many times this call was sent before.
        version: the protocol version that the client was compiled against.
        body: the serialized request, or None when the frame ends before it does.
        caller_context: free text for the audit log, "" when there is none.
        state_id: the last txid that the client has seen, None when it does not follow them.
    """

    call_id: int
    client_id: bytes
    retry_count: int
    method: str
    protocol: str
    version: int
    body: bytes | None
    caller_context: str = ""
    state_id: int | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """The preamble was right. `sasl`: the client wants to negotiate how it authenticates."""

    service_class: int
    sasl: bool


@dataclass(frozen=True, slots=True)
class SaslNegotiated:
    """A step of the negotiation; `reply` may be empty."""

    reply: bytes


@dataclass(frozen=True, slots=True)
class ContextEstablished:
    """The client said who it is. The receiver decides whether that is allowed; `ServerConnection.refuse` if not."""

    user: str
    real_user: str | None
    protocol: str


@dataclass(frozen=True, slots=True)
class Ping:
    """The client is still there. No answer."""


@dataclass(slots=True, eq=False)
class CallReceived:
    call: Call


@dataclass(frozen=True, slots=True)
class CallRefused:
    """A frame that is not a call was answered, or one that was not wanted now; the connection goes on."""

    reply: bytes
    reason: str
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer broke the protocol: write the reply (may be empty), then close."""

    reply: bytes
    reason: str


Event = Connected | SaslNegotiated | ContextEstablished | Ping | CallReceived | CallRefused | Closed
