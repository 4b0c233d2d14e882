"""One blocking connection to an RPC server: one call at a time."""

from __future__ import annotations

import contextlib
import select
import socket
import time

from google.protobuf.message import Message

from seamlessfs.model.errors import CallTimeout, NamenodeUnreachable, ProtocolError
from seamlessfs.wire.rpc.client import ClientConnection, Response, Status
from seamlessfs.wire.rpc.limits import PROTOCOL_VERSION

_RECEIVE_BYTES = 1 << 18

Address = tuple[str, int]


class RpcSocket:
    """A connection whose preamble goes out with its first call.

    Owner: one thread at a time. `usable` is False once the connection must not be used again.

    Raises:
        NamenodeUnreachable: nobody listens at the address, or it cannot be reached in time.
    """

    def __init__(
        self, address: Address, wire: ClientConnection, *, connect_timeout_s: float, source_address: str | None
    ) -> None:
        self.address = address
        self.usable = True
        self.idle_since_s = 0.0
        self._wire = wire
        self._unsent = wire.preamble()
        source = None if source_address is None else (source_address, 0)
        try:
            self._socket = socket.create_connection(address, connect_timeout_s, source)
        except OSError as error:
            raise NamenodeUnreachable(f"{_name(address)}: {_reason(error)}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def call(
        self, call_id: int, retry_count: int, protocol: str, method: str, request: Message, timeout_s: float
    ) -> Response:
        """Sends a call and waits for its answer.

        Raises:
            CallTimeout: no answer in time; it may still have been carried out.
            NamenodeUnreachable: the connection broke; the call may have been carried out.
            ProtocolError: the peer does not speak Hadoop RPC.
        """
        self.usable = False
        deadline_s = time.monotonic() + timeout_s
        frame = self._wire.encode_call(call_id, retry_count, method, protocol, PROTOCOL_VERSION, request)
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendall(self._unsent + frame)
            self._unsent = b""
            response = self._receive(deadline_s)
        except TimeoutError as error:
            text = f"{method} at {_name(self.address)}: no answer within {timeout_s:g} s"
            raise CallTimeout(text) from error
        except OSError as error:
            raise NamenodeUnreachable(f"{_name(self.address)}: {_reason(error)}") from error
        if response.status is not Status.FATAL:
            if response.call_id != call_id:
                raise ProtocolError(f"{_name(self.address)} answered call {response.call_id} instead of {call_id}")
            self.usable = True
        return response

    def is_fresh(self) -> bool:
        """Whether an idle connection is still open and silent, as it has to be between calls."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        self.usable = False
        with contextlib.suppress(OSError):
            self._socket.close()

    def _receive(self, deadline_s: float) -> Response:
        while True:
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0:
                raise TimeoutError
            self._socket.settimeout(remaining_s)
            data = self._socket.recv(_RECEIVE_BYTES)
            if not data:
                raise ConnectionResetError("the server closed the connection")
            try:
                responses = self._wire.receive_data(data)
            except ProtocolError as error:
                raise ProtocolError(f"{_name(self.address)} does not answer in Hadoop RPC: {error}") from error
            if len(responses) > 1:
                raise ProtocolError(f"{_name(self.address)} gave {len(responses)} answers to one call")
            if responses:
                return responses[0]


def _name(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
