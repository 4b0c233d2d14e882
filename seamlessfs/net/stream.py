"""A blocking stream over a TCP socket, for the bulk of the data.

Time-outs are the kernel's (SO_RCVTIMEO, SO_SNDTIMEO), not Python's: a read or write is then one system call instead
of poll and call, MSG_WAITALL fills a buffer in one call, and os.sendfile waits by itself.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import struct
import time
from collections.abc import Sequence
from types import TracebackType

from seamlessfs.model.errors import CallTimeout, ProtocolError

Buffer = bytes | bytearray | memoryview

_TIMEVAL = struct.Struct("ll")
_VARINT_BYTES_MAX = 5
_IOV_MAX = 1024
_SEND = int(socket.MSG_NOSIGNAL)
_SEND_MORE = int(socket.MSG_NOSIGNAL | socket.MSG_MORE)


class BlockingStream:
    """Exact reads, vectored writes and byte counts over a connected socket.

    Owner: one thread may read while another writes; the socket is closed by `close`.

    Attributes:
        bytes_sent, bytes_received: everything that passed, in bytes. Whoever uses `socket` directly (sendfile) adds
            to them with `count`.
        least_bytes: what has to arrive within the read time-out, unless less is left to read; 0: one byte.
    """

    __slots__ = ("_pid", "bytes_received", "bytes_sent", "least_bytes", "read_timeout_s", "socket", "write_timeout_s")

    def __init__(
        self, connection: socket.socket, *, read_timeout_s: float = 60.0, write_timeout_s: float = 480.0
    ) -> None:
        connection.settimeout(None)
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self._pid = os.getpid()
        self.bytes_sent = 0
        self.bytes_received = 0
        self.least_bytes = 0
        self.set_timeouts(read_timeout_s=read_timeout_s, write_timeout_s=write_timeout_s)

    def set_timeouts(self, *, read_timeout_s: float | None = None, write_timeout_s: float | None = None) -> None:
        """Changes how long a read or write may make no progress. 0 waits for ever; None leaves it."""
        if read_timeout_s is not None:
            self.read_timeout_s = read_timeout_s
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(read_timeout_s))
        if write_timeout_s is not None:
            self.write_timeout_s = write_timeout_s
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(write_timeout_s))

    @property
    def peer(self) -> str:
        """`ip:port` of the other side, for messages; "closed connection" after its end."""
        try:
            name = self.socket.getpeername()
        except OSError:
            return "closed connection"
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)

    def count(self, *, sent: int = 0, received: int = 0) -> None:
        """Adds bytes that passed through `socket` directly."""
        self.bytes_sent += sent
        self.bytes_received += received

    def recv_some_into(self, buffer: bytearray | memoryview) -> int:
        """One read of what is there, at least a byte; 0 at the end of the stream.

        Raises:
            CallTimeout: nothing came in time. ConnectionError: the connection broke.
        """
        try:
            received = self.socket.recv_into(buffer)
        except BlockingIOError as error:
            raise self._timed_out("send", self.read_timeout_s) from error
        self.bytes_received += received
        return received

    def recv_exactly_into(self, buffer: bytearray | memoryview) -> None:
        """Fills the buffer.

        Raises:
            ConnectionError: the stream ended first. CallTimeout: no byte came in time.
        """
        view = memoryview(buffer)
        wanted = len(view)
        filled = 0
        while filled < wanted:
            try:
                received = self.socket.recv_into(view[filled:] if filled else view, 0, socket.MSG_WAITALL)
            except BlockingIOError as error:
                raise self._timed_out("send", self.read_timeout_s) from error
            if not received:
                raise ConnectionResetError(f"{self.peer} ended the stream after {filled} of {wanted} bytes")
            filled += received
            if received < self.least_bytes and filled < wanted:
                raise CallTimeout(f"{self.peer} sent {received} bytes in {self.read_timeout_s:g} s")
        self.bytes_received += wanted

    def recv_exactly(self, size: int) -> bytes:
        """Reads `size` bytes; errors as `recv_exactly_into`."""
        if not size:
            return b""
        try:
            data = self.socket.recv(size, socket.MSG_WAITALL)
        except BlockingIOError as error:
            raise self._timed_out("send", self.read_timeout_s) from error
        if not data:
            raise ConnectionResetError(f"{self.peer} ended the stream before {size} bytes")
        self.bytes_received += len(data)
        if len(data) == size:
            return data
        rest = bytearray(size - len(data))
        self.recv_exactly_into(rest)
        return data + rest

    def recv_or_end(self, size: int) -> bytes | None:
        """Reads `size` bytes, or returns None if the stream ends before the first; errors as `recv_exactly_into`."""
        first = bytearray(1)
        if not self.recv_some_into(first):
            return None
        return bytes(first) + self.recv_exactly(size - 1)

    def read_varint_delimited(self, limit_bytes: int) -> bytes:
        """Reads a message that has its length, a varint, before it, all of it within about one read time-out.

        Raises:
            ProtocolError: longer than the limit. ConnectionError: the stream ended first. CallTimeout: nothing came in
                time, or the message did not end in time: a byte now and then does not keep the reader waiting.
        """
        end_s = time.monotonic() + self.read_timeout_s if self.read_timeout_s else math.inf
        length = shift = 0
        for _ in range(_VARINT_BYTES_MAX):
            byte = self.recv_exactly(1)[0]
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            self._require_time(end_s)
        else:
            raise ProtocolError(f"{self.peer}: length of a message takes more than {_VARINT_BYTES_MAX} bytes")
        if length > limit_bytes:
            raise ProtocolError(f"{self.peer}: message of {length} bytes is longer than {limit_bytes}")
        return self._recv_by(length, end_s)

    def _recv_by(self, size: int, end_s: float) -> bytes:
        """As `recv_exactly`, and ends when the time has passed although bytes still come."""
        parts = []
        while size:
            try:
                data = self.socket.recv(size, socket.MSG_WAITALL)
            except BlockingIOError as error:
                raise self._timed_out("send", self.read_timeout_s) from error
            if not data:
                raise ConnectionResetError(f"{self.peer} ended the stream {size} bytes before the end of a message")
            self.bytes_received += len(data)
            parts.append(data)
            size -= len(data)
            if size:
                self._require_time(end_s)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _require_time(self, end_s: float) -> None:
        if time.monotonic() >= end_s:
            raise CallTimeout(f"{self.peer} took longer than {self.read_timeout_s:g} s to send a message")

    def sendall(self, data: Buffer, *, more: bool = False) -> None:
        """Writes all of `data`; `more` tells the kernel that the rest of the packet follows at once.

        Raises:
            ConnectionError: the connection broke. CallTimeout: the peer took nothing in time.
        """
        self.send_vectors((data,), more=more)

    def send_vectors(self, parts: Sequence[Buffer], *, more: bool = False) -> None:
        """Writes the parts in order, in one system call where the socket takes them; errors as `sendall`."""
        flags = _SEND_MORE if more else _SEND
        pending = [part if isinstance(part, bytes) else memoryview(part).cast("B") for part in parts if len(part)]
        while pending:
            try:
                sent = self.socket.sendmsg(pending[:_IOV_MAX], (), flags)
            except BlockingIOError as error:
                raise self._timed_out("take", self.write_timeout_s) from error
            self.bytes_sent += sent
            pending = _after(pending, sent)

    def _timed_out(self, verb: str, seconds: float) -> CallTimeout:
        return CallTimeout(f"{self.peer} did not {verb} a byte for {seconds:g} s")

    def shutdown_write(self) -> None:
        """Tells the peer that nothing more is sent; harmless on a broken connection."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Closes the socket; a thread that waits in it wakes up with an error.

        A child of a fork closes only its own descriptor: the connection is its parent's.
        """
        if self._pid == os.getpid():
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def __enter__(self) -> BlockingStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return _TIMEVAL.pack(whole, int((seconds - whole) * 1_000_000))


def _after(parts: list[bytes | memoryview], sent: int) -> list[bytes | memoryview]:
    """What remains of `parts` when the first `sent` bytes are gone."""
    for index, part in enumerate(parts):
        if sent < len(part):
            return [memoryview(part)[sent:], *parts[index + 1 :]]
        sent -= len(part)
    return []
