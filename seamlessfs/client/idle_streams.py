"""Connections on which a datanode waits for another request, kept for the next one who has one."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from dataclasses import dataclass

from seamlessfs.net.stream import BlockingStream

IDLE_S = 3.0
"""A datanode waits 4 s for the next request on a connection; ours are given up before that."""
IDLE_MAX = 64
"""Idle connections of a process; more would only be open when many threads read from many datanodes at once."""

Address = tuple[str, int]
"""Host and port; of a UNIX socket its path and 0."""


@dataclass(frozen=True, slots=True, eq=False)
class _Idle:
    """An idle connection. Two are equal only if they are the same."""

    address: Address
    since_mono_s: float
    stream: BlockingStream


class IdleStreams:
    """Idle connections of a client. Thread-safe without a lock, and fork-safe: a child never uses its parent's."""

    def __init__(self) -> None:
        self._by_pid: dict[int, deque[_Idle]] = {}

    def acquire(self, address: Address) -> BlockingStream | None:
        """An idle connection that is still open, or None."""
        idle = self._idle()
        for entry in reversed(list(idle)):
            if entry.address != address or not _take(idle, entry):
                continue
            if time.monotonic() - entry.since_mono_s < IDLE_S and is_quiet(entry.stream.socket):
                return entry.stream
            entry.stream.close()
        return None

    def release(self, address: Address, stream: BlockingStream) -> None:
        """Keeps a connection on which the datanode now waits for another request; gives up those kept for too long."""
        idle, now_s = self._idle(), time.monotonic()
        idle.append(_Idle(address, now_s, stream))
        entries = list(idle)
        for number, entry in enumerate(entries):
            if len(entries) - number <= IDLE_MAX and now_s - entry.since_mono_s < IDLE_S:
                return
            if _take(idle, entry):
                entry.stream.close()

    def close(self) -> None:
        """Closes those of this process."""
        for entry in self._by_pid.pop(os.getpid(), deque()):
            entry.stream.close()

    def _idle(self) -> deque[_Idle]:
        """Those of this process, oldest first."""
        return self._by_pid.setdefault(os.getpid(), deque())


def _take(idle: deque[_Idle], entry: _Idle) -> bool:
    """Removes an entry; False if another thread was faster."""
    try:
        idle.remove(entry)
    except ValueError:
        return False
    return True


def is_quiet(connection: socket.socket) -> bool:
    """Whether an idle connection is open: bytes on it, or its end, mean that the datanode is through with it."""
    try:
        connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
