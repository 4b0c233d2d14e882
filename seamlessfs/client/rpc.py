"""Blocking Hadoop RPC to one server or to several of which one is active."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import threading
import time
import uuid
from collections.abc import Iterator, Sequence

from google.protobuf.message import DecodeError, Message

from seamlessfs.client.rpc_retry import NO_RETRY, Next, RetryPolicy, plan_next
from seamlessfs.client.rpc_socket import Address, RpcSocket
from seamlessfs.model.errors import (
    CallTimeout,
    ConfigurationError,
    NamenodeUnreachable,
    NoSuchMethod,
    ProtocolError,
    Retriable,
    StandbyServer,
)
from seamlessfs.wire.rpc.client import ClientConnection, Status
from seamlessfs.wire.rpc.limits import CALL_ID_MAX
from seamlessfs.wire.rpc.protocols import messages_of

__all__ = ["NO_RETRY", "RetryPolicy", "RpcChannel"]

_IDLE_S_MAX = 10.0
"""Stock clients close idle connections after 10 s, and servers count on it."""
_IDLE_CONNECTIONS_MAX = 64

_REPEATABLE = (StandbyServer, Retriable, NamenodeUnreachable, CallTimeout)


class _Process:
    """What one process has of a channel: its connections, its client id, its numbering of calls."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.client_id = uuid.uuid4().bytes
        self.call_ids = itertools.count()
        self.idle: list[RpcSocket] = []
        self.connections: set[RpcSocket] = set()
        self.closings = 0


class RpcChannel:
    """Calls methods of a server, the active one if there are several.

    Thread-safe: each call has a connection to itself, taken from a pool. Fork-safe: a child makes connections and a
    client id of its own; those of its parent are neither used nor shut down there.

    Args:
        addresses: host and port of each server; the one that answered last is asked first.
        user: whose permissions count. `real_user`: who acts for that user, when it is another one.
        connect_timeout_s: for each attempt to connect. `call_timeout_s`: for each answer.
        source_address: numeric local address that connections come from.
        retry: how often a call is repeated when a server is unreachable, a standby, or asks to come back later.

    Raises:
        ConfigurationError: there is no address.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        user: str,
        real_user: str | None = None,
        connect_timeout_s: float = 20.0,
        call_timeout_s: float = 120.0,
        source_address: str | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        if not addresses:
            raise ConfigurationError("no namenode address: give at least one host:port")
        self._addresses = [(host, port) for host, port in addresses]
        self._user = user
        self._real_user = real_user
        self._connect_timeout_s = connect_timeout_s
        self._call_timeout_s = call_timeout_s
        self._source_address = source_address
        self._retry = retry or RetryPolicy()
        self._preferred = 0
        self._processes: dict[int, _Process] = {}

    def call(self, protocol: str, method: str, request: Message, *, timeout_s: float | None = None) -> Message:
        """Calls a method and returns its response.

        A call that may have been carried out already is repeated under the same client and call id.

        Raises:
            SeamlessError: what the server answered, as the class that stands for it.
            NamenodeUnreachable: no address could be reached; names each and why.
            CallTimeout: no answer in time, from any address.
            ProtocolError: the server does not speak Hadoop RPC.
        """
        messages = messages_of(protocol, method)
        if messages is None:
            raise NoSuchMethod(f"{protocol} has no method {method} known here")
        process = self._process()
        call_id = next(process.call_ids) & CALL_ID_MAX
        timeout_s = self._call_timeout_s if timeout_s is None else timeout_s
        body = self._call_with_retries(process, call_id, protocol, method, request, timeout_s)
        response = messages.response()
        try:
            response.ParseFromString(bytes(body))
        except DecodeError as error:
            raise ProtocolError(f"answer to {method} is not a {response.DESCRIPTOR.name}: {error}") from error
        return response

    def close(self) -> None:
        """Closes the connections of this process; a later call opens new ones."""
        process = self._process()
        with process.lock:
            process.closings += 1
            idle, process.idle = process.idle, []
            process.connections.difference_update(idle)
        for connection in idle:
            connection.close()

    def _call_with_retries(
        self, process: _Process, call_id: int, protocol: str, method: str, request: Message, timeout_s: float
    ) -> memoryview:
        index = self._preferred
        failures: dict[Address, str] = {}
        for attempts in itertools.count(1):
            address = self._addresses[index]
            try:
                body = self._attempt(process, address, call_id, attempts - 1, protocol, method, request, timeout_s)
            except _REPEATABLE as error:
                failures[address] = error.message
                step = plan_next(error, attempts, len(self._addresses), self._retry)
                if step.action is Next.RAISE:
                    if isinstance(error, NamenodeUnreachable):
                        raise self._unreachable(method, failures) from error
                    raise
                if step.action is Next.NEXT_ADDRESS:
                    index = (index + 1) % len(self._addresses)
                if step.pause_ms:
                    jitter = 0.5 + random.random()  # noqa: S311 - spreads clients, guards nothing
                    time.sleep(step.pause_ms * jitter / 1000)
            else:
                self._preferred = index
                return body
        raise AssertionError("the attempts are bounded by the policy")

    def _attempt(
        self,
        process: _Process,
        address: Address,
        call_id: int,
        retry_count: int,
        protocol: str,
        method: str,
        request: Message,
        timeout_s: float,
    ) -> memoryview:
        with self._connection(process, address, protocol) as connection:
            response = connection.call(call_id, retry_count, protocol, method, request, timeout_s)
        if response.status is not Status.SUCCESS:
            raise response.error()
        return response.body

    @contextlib.contextmanager
    def _connection(self, process: _Process, address: Address, protocol: str) -> Iterator[RpcSocket]:
        connection = self._take_idle(process, address)
        closings = process.closings
        if connection is None:
            wire = ClientConnection(process.client_id, self._user, self._real_user, protocol)
            connection = RpcSocket(
                address, wire, connect_timeout_s=self._connect_timeout_s, source_address=self._source_address
            )
            process.connections.add(connection)
        try:
            yield connection
        finally:
            self._give_back(process, connection, closings)

    def _take_idle(self, process: _Process, address: Address) -> RpcSocket | None:
        """An idle connection to the address, the one used last; drops those that are too old or were closed."""
        expired: list[RpcSocket] = []
        found: RpcSocket | None = None
        now_s = time.monotonic()
        with process.lock:
            kept: list[RpcSocket] = []
            for connection in reversed(process.idle):
                if now_s - connection.idle_since_s > _IDLE_S_MAX:
                    expired.append(connection)
                elif found is not None or connection.address != address:
                    kept.append(connection)
                elif connection.is_fresh():
                    found = connection
                else:
                    expired.append(connection)
            kept.reverse()
            process.idle = kept
            process.connections.difference_update(expired)
        for connection in expired:
            connection.close()
        return found

    def _give_back(self, process: _Process, connection: RpcSocket, closings: int) -> None:
        connection.idle_since_s = time.monotonic()
        with process.lock:
            if connection.usable and process.closings == closings and len(process.idle) < _IDLE_CONNECTIONS_MAX:
                process.idle.append(connection)
                return
            process.connections.discard(connection)
        connection.close()

    def _process(self) -> _Process:
        """What this process has; after a fork the child's copies of its parent's descriptors are closed."""
        pid = os.getpid()
        process = self._processes.get(pid)
        if process is None:
            inherited = [self._processes[key] for key in list(self._processes)]
            self._processes = {pid: self._processes.setdefault(pid, _Process())}
            process = self._processes[pid]
            for other in inherited:
                if other is not process:
                    for connection in list(other.connections):
                        connection.close()
        return process

    def _unreachable(self, method: str, failures: dict[Address, str]) -> NamenodeUnreachable:
        reasons = "; ".join(failures[address] for address in self._addresses if address in failures)
        return NamenodeUnreachable(f"{method}: no server answered ({reasons}): check that one runs at these addresses")
