"""The transfer port, and the UNIX socket: accepts connections and serves the operations on each, a thread for each."""

from __future__ import annotations

import contextlib
import enum
import logging
import socket
import threading
import time
from collections import Counter, OrderedDict
from concurrent.futures import ThreadPoolExecutor

from seamlessfs.datanode.checksums import block_checksum
from seamlessfs.datanode.context import TransferContext
from seamlessfs.datanode.ledger import Peer
from seamlessfs.datanode.log import event
from seamlessfs.datanode.op_check import PipelineLoop, check_op
from seamlessfs.datanode.receive import write_block
from seamlessfs.datanode.send import read_block
from seamlessfs.datanode.short_circuit import serve_local
from seamlessfs.datanode.transfer import transfer_block
from seamlessfs.model.errors import CallTimeout, ProtocolError, SeamlessError
from seamlessfs.net.domain_socket import DomainListener, socket_path
from seamlessfs.net.log_gate import LogGate
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.limits import op_bytes_max
from seamlessfs.wire.xfer.op_header import OP_HEADER_BYTES, parse_op_header
from seamlessfs.wire.xfer.ops import (
    BlockChecksumOp,
    Operation,
    ReadBlockOp,
    TransferBlockOp,
    UnservedOp,
    WriteBlockOp,
    decode_op,
)
from seamlessfs.wire.xfer.response import OpResponse

BACKLOG = 1024
"""Connections that the kernel holds while all threads are busy."""

EVICTION_WAIT_S = 5.0
"""How long a new connection waits for the thread of an idle one that was closed for it."""

ACCEPT_RETRY_S = 0.1
"""Pause after a failed accept (no descriptors left), so that it does not spin."""


class Refusal(enum.StrEnum):
    """Why a connection was ended from this side: the keys of the counters."""

    IDLE_EVICTED = "idle_evicted"
    """It waited for its next operation when all threads were taken and somebody new came."""
    ALL_BUSY = "all_busy"
    PROTOCOL = "protocol"
    TIMEOUT = "timeout"
    FAULT = "fault"
    """An operation failed in a way that is a mistake of this program."""


class TransferServer:
    """Owns the listening sockets, their threads, and the connections being served.

    Attributes:
        refusals: how often each reason was used.
    """

    def __init__(self, context: TransferContext) -> None:
        self._context = context
        self._listeners: list[socket.socket] = []
        self._acceptors: list[threading.Thread] = []
        self._domain_socket: DomainListener | None = None
        self._slots = threading.BoundedSemaphore(context.settings.max_xceivers)
        self._workers = ThreadPoolExecutor(context.settings.max_xceivers, thread_name_prefix="xceiver")
        self._guard = threading.Lock()
        self._busy: set[BlockingStream] = set()
        self._idle: OrderedDict[BlockingStream, None] = OrderedDict()
        """Those between two operations, or in the head of one; the one that has been longest is first."""
        self._writers: set[BlockingStream] = set()
        self.refusals: Counter[Refusal] = Counter(dict.fromkeys(Refusal, 0))
        self._gate = LogGate()
        self._stopping = False
        self._pause = threading.Event()

    @property
    def active(self) -> int:
        """Connections that are in an operation now."""
        return len(self._busy)

    def start(self) -> int:
        """Listens; returns the port.

        Raises:
            OSError: the address cannot be had. ConfigurationError: the UNIX socket cannot be.
        """
        settings = self._context.settings
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server(
            (settings.host, settings.xfer_port), family=family, backlog=BACKLOG, reuse_port=False
        )
        self._listeners.append(listener)
        port: int = listener.getsockname()[1]
        if settings.domain_socket_path:
            path = socket_path(settings.domain_socket_path, settings.advertised_xfer_port or port)
            self._domain_socket = DomainListener(path, BACKLOG)
            self._listeners.append(self._domain_socket.socket)
            self._context.store.revoke = self._context.shm.revoke
        for each in self._listeners:
            acceptor = threading.Thread(target=self._accept, args=(each,), name="xceiver-accept", daemon=True)
            self._acceptors.append(acceptor)
            acceptor.start()
        return port

    def stop(self, grace_s: float) -> None:
        """Takes no more operations, lets those that run end for `grace_s`, then cuts them off."""
        self._stopping = True
        self._pause.set()
        if self._domain_socket is not None:
            self._domain_socket.unlink()
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for acceptor in self._acceptors:
            acceptor.join()
        with self._guard:
            self._cut(set(self._idle))
        self._workers.shutdown(wait=False, cancel_futures=True)
        drained = threading.Event()
        waiter = threading.Thread(target=self._await_workers, args=(drained,), daemon=True)
        waiter.start()
        if not drained.wait(grace_s):
            self._context.outgoing.cut()
            with self._guard:
                self._cut(self._busy.union(self._idle))
            waiter.join()
        self._context.shm.close()

    def evict_writers(self) -> int:
        """Cuts off everybody who is writing a block, which goes on without this datanode; returns how many."""
        with self._guard:
            self._cut(self._writers)
            return len(self._writers)

    def _await_workers(self, drained: threading.Event) -> None:
        self._workers.shutdown(wait=True)
        drained.set()

    @staticmethod
    def _cut(streams: set[BlockingStream]) -> None:
        for stream in streams:
            with contextlib.suppress(OSError):
                stream.socket.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping:
            try:
                connection, address = listener.accept()
            except OSError as error:
                if not self._stopping:
                    event(logging.ERROR, "accept_failed", error=error)
                    self._pause.wait(ACCEPT_RETRY_S)
                continue
            peer = str(address[0]) if address else self._context.settings.host
            if not self._take_slot():
                connection.close()
                self._refuse(Refusal.ALL_BUSY, peer, f"{self._context.settings.max_xceivers} operations are running")
                continue
            try:
                self._workers.submit(self._serve_connection, connection, peer)
            except RuntimeError:
                connection.close()
                self._slots.release()

    def _take_slot(self) -> bool:
        """A thread for a new connection: a free one, or that of the connection that has been idle for longest."""
        if self._slots.acquire(blocking=False):
            return True
        with self._guard:
            if not self._idle:
                return False
            oldest, _ = self._idle.popitem(last=False)
            self._cut({oldest})
        self.refusals[Refusal.IDLE_EVICTED] += 1
        return self._slots.acquire(timeout=EVICTION_WAIT_S)

    def _refuse(self, reason: Refusal, peer: str, error: object, level: int = logging.WARNING) -> None:
        """Counts a connection that is ended, and says so, once in a while for each peer."""
        with self._guard:
            self.refusals[reason] += 1
        times = self._gate.passes(f"{reason} {peer}", time.monotonic())
        if times:
            event(level, "connection_dropped", peer=peer, reason=reason, error=error, times=times)

    def _serve_connection(self, connection: socket.socket, peer: str) -> None:
        stream = None
        try:
            settings = self._context.settings
            stream = BlockingStream(
                connection,
                read_timeout_s=settings.first_op_timeout_ms / 1000,
                write_timeout_s=settings.write_timeout_ms / 1000,
            )
            self._serve_operations(stream, peer)
        except CallTimeout as error:
            self._refuse(Refusal.TIMEOUT, peer, error, logging.DEBUG)
        except ConnectionError as error:
            event(logging.DEBUG, "connection_ended", peer=peer, error=error)
        except ProtocolError as error:
            self._refuse(Refusal.PROTOCOL, peer, error)
        except (SeamlessError, OSError) as error:
            event(logging.WARNING, "connection_dropped", peer=peer, error=error, kind=type(error).__name__)
        except Exception as error:  # noqa: BLE001 a fault in one operation must not end silently with its thread
            self._refuse(Refusal.FAULT, peer, f"{error!r} at {_origin(error)}", logging.ERROR)
        finally:
            if stream is not None:
                with self._guard:
                    self._busy.discard(stream)
                    self._idle.pop(stream, None)
            connection.close()
            self._slots.release()

    def _serve_operations(self, stream: BlockingStream, peer: str) -> None:
        settings = self._context.settings
        again = True
        while again and not self._stopping:
            with self._guard:
                self._busy.discard(stream)
                self._idle[stream] = None
            before = Peer(peer, stream.bytes_sent, stream.bytes_received)
            head = stream.recv_or_end(OP_HEADER_BYTES)
            if head is None:
                return
            stream.set_timeouts(read_timeout_s=settings.read_timeout_ms / 1000)
            kind = parse_op_header(head)
            op = decode_op(kind, stream.read_varint_delimited(op_bytes_max))
            with self._guard:
                if self._idle.pop(stream, self) is self:
                    return
                self._busy.add(stream)
            again = self._dispatch(stream, op, before)
            stream.set_timeouts(read_timeout_s=settings.socket_keepalive_ms / 1000)

    def _dispatch(self, stream: BlockingStream, op: Operation, peer: Peer) -> bool:
        try:
            check_op(op, self._context.identity())
        except PipelineLoop as loop:
            stream.sendall(OpResponse(Status.ERROR, first_bad_link=loop.address, message=loop.message).encode())
            raise
        if isinstance(op, ReadBlockOp):
            return read_block(self._context, stream, op, peer)
        if isinstance(op, WriteBlockOp):
            with self._guard:
                self._writers.add(stream)
            try:
                return write_block(self._context, stream, op, peer)
            finally:
                with self._guard:
                    self._writers.discard(stream)
        if isinstance(op, BlockChecksumOp):
            return block_checksum(self._context, stream, op, peer)
        if isinstance(op, TransferBlockOp):
            return transfer_block(self._context, stream, op, peer)
        if isinstance(op, UnservedOp):
            refusal = f"{op.op.name} is not supported by this datanode"
            stream.sendall(OpResponse(Status.ERROR_UNSUPPORTED, message=refusal).encode())
            return False
        return serve_local(self._context, stream, op)


def _origin(error: BaseException) -> str:
    """File and line where an unexpected error was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
