"""Callers of Hadoop RPC in one thread, as many as wanted, each with one call in flight: the same load on any namenode.

A caller has a connection of its own, sends a call, waits for the answer, sends the next. What a call says is made
before it is sent, and an answer is looked at no further than its status, so that one core of callers keeps a server
busy; a failed call ends the run.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from google.protobuf.message import Message

from seamlessfs.wire.pb.hadoop.rpc_pb2 import RpcResponseHeaderProto
from seamlessfs.wire.rpc import frames
from seamlessfs.wire.rpc.client import ClientConnection
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL

USER = "bench"
RECEIVE_BYTES = 1 << 18
ANSWER_TIMEOUT_S = 60.0
_SUCCESS = b"\x10\x00"
"""The status in a response header, which follows the call id."""

MakeCall = Callable[[int, int], tuple[str, Message]]
"""Caller's number and call's number -> method and request."""


class CallFailed(Exception):
    """The server refused a call of the load."""


@dataclass
class Outcome:
    """What a run of the load did. Units: seconds; `waits_s`: from sending a call until its answer is there."""

    calls: int = 0
    seconds: float = 0.0
    waits_s: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.calls / self.seconds

    def wait_s(self, share: float) -> float:
        """The wait that this share of the calls did not exceed."""
        ordered = sorted(self.waits_s)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class _Caller:
    def __init__(self, number: int, address: tuple[str, int], user: str) -> None:
        self.number = number
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wire = ClientConnection(os.urandom(16), user, None, CLIENT_PROTOCOL)
        self.socket.sendall(self.wire.preamble())
        self.calls = 0
        self.number_of_run = 0
        self.sent_at_s = 0.0
        self._unread = b""

    def send(self, make: MakeCall) -> None:
        method, request = make(self.number, self.number_of_run)
        self.number_of_run += 1
        frame = self.wire.encode_call(self.calls, 0, method, CLIENT_PROTOCOL, 1, request)
        self.calls += 1
        self.sent_at_s = time.perf_counter()
        self.socket.sendall(frame)

    def receive(self) -> bool:
        """Takes what has come; returns whether the answer is complete."""
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise CallFailed("the server closed the connection")
        data = self._unread + data
        if len(data) < 4 or len(data) < 4 + struct.unpack_from(">I", data)[0]:
            self._unread = data
            return False
        self._unread = b""
        size, start = frames.decode_varint(data, 4)
        if _SUCCESS not in data[start : start + 8]:
            header = RpcResponseHeaderProto.FromString(data[start : start + size])
            raise CallFailed(f"{header.exceptionClassName}: {header.errorMsg}")
        return True


class Load:
    """So many callers, kept from run to run.

    Args:
        address: host and port of the namenode.
    """

    def __init__(self, address: tuple[str, int], callers: int, user: str = USER) -> None:
        self._callers: dict[int, _Caller] = {}
        self._poll = select.epoll()
        for number in range(callers):
            caller = _Caller(number, address, user)
            self._callers[caller.socket.fileno()] = caller
            self._poll.register(caller.socket, select.EPOLLIN)

    def run(self, make: MakeCall, calls: int) -> Outcome:
        """Makes so many calls, the same number with each caller; each numbers its own from 0.

        Raises:
            CallFailed: a call was refused. TimeoutError: an answer did not come.
        """
        share = max(1, calls // len(self._callers))
        outcome = Outcome()
        note = outcome.waits_s.append
        began_s = time.perf_counter()
        for caller in self._callers.values():
            caller.number_of_run = 0
            caller.send(make)
        waiting = len(self._callers)
        while waiting:
            ready = self._poll.poll(ANSWER_TIMEOUT_S)
            if not ready:
                raise TimeoutError(f"no answer for {ANSWER_TIMEOUT_S:.0f} s")
            for descriptor, _ in ready:
                caller = self._callers[descriptor]
                if not caller.receive():
                    continue
                note(time.perf_counter() - caller.sent_at_s)
                if caller.number_of_run < share:
                    caller.send(make)
                else:
                    waiting -= 1
        outcome.seconds = time.perf_counter() - began_s
        outcome.calls = len(outcome.waits_s)
        return outcome

    def close(self) -> None:
        self._poll.close()
        for caller in self._callers.values():
            caller.socket.close()
