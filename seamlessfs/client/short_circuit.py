"""Short-circuit reads: replicas on this machine are read from their files, and over the network when that cannot be.

A short cut never fails a read: whatever goes wrong with it is counted, and the same replica is asked for over the
network, where damage is found again and reported.
"""

from __future__ import annotations

import enum
import logging
import socket
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from seamlessfs.client.local_datanode import FilesRefused, LocalDatanode, LocalReplica
from seamlessfs.client.local_file import LocalFile
from seamlessfs.model.block import ExtendedBlock, ReplicaLocation
from seamlessfs.model.errors import ChecksumMismatch, CorruptStore, SeamlessError
from seamlessfs.net.domain_socket import socket_path

FILES_MAX = 256
"""Replicas kept open, with two descriptors each: HDFS's dfs.client.read.shortcircuit.streams.cache.size."""

EXPIRY_S = 300.0
"""A replica that nobody reads is closed after so long, once another one is asked for: HDFS's ...cache.expiry.ms."""

AVOID_S = 10.0
"""How long a socket, or a replica, that cannot be used is not tried again."""

AVOIDED_MAX = 1024
"""Replicas so remembered; more would only be if many files were being written and read here at once."""

ADDRESSES_MAX = 10_000
"""Addresses of which is known whether they are this machine's: those of the largest clusters."""

log = logging.getLogger(__name__)

T = TypeVar("T")
_Key = tuple[Path, ExtendedBlock]


class Outcome(enum.StrEnum):
    """What became of a read of a replica on this machine: the keys of the counts."""

    READ = "read"
    MAPPED = "mapped"
    UNREACHABLE = "unreachable"
    """No socket, nobody behind it, no permission, or no answer in time."""
    REFUSED = "refused"
    """The datanode does not pass these files: being written, of another stamp, damaged, gone."""
    AVOIDED = "avoided"
    """One of the above was so a moment ago."""
    MISMATCH = "mismatch"
    """The file differs from its checksums, or was changed while it was read."""
    FAILED = "failed"
    """The file could not be read."""
    REVOKED = "revoked"
    """Not a read: files that the datanode took back, or that it left behind when it ended."""


@dataclass(slots=True)
class _Opened:
    replica: LocalReplica
    used_mono_s: float


class ShortCircuit:
    """The replicas that one process of a client has open. Thread-safe; not to be used after a fork.

    Args:
        template: path of the datanodes' socket with `_PORT` for the transfer port.
        verify: check what is read against its checksums.

    Attributes:
        counts: how often each outcome was; a key for each, so that nobody who looks at them sees them grow.
    """

    def __init__(
        self, template: str, client_name: str, *, verify: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.counts: Counter[Outcome] = Counter(dict.fromkeys(Outcome, 0))
        self._template = template
        self._client_name = client_name
        self._verify = verify
        self._clock = clock
        self._guard = threading.Lock()
        self._datanodes: dict[Path, LocalDatanode] = {}
        self._opened: OrderedDict[_Key, _Opened] = OrderedDict()
        """The one that was used last is last."""
        self._avoided: dict[Path | _Key, float] = {}
        self._local: dict[str, bool] = {}

    def read_into(self, replica: ReplicaLocation, block: ExtendedBlock, offset: int, view: memoryview) -> bool:
        """Fills `view` from a replica's file, verified; False: it has to be asked for over the network."""

        def read(file: LocalFile) -> bool:
            file.read_into(offset, view, self._verify)
            return True

        return self._use(replica, block, read, Outcome.READ) is not None

    def map(self, replica: ReplicaLocation, block: ExtendedBlock, offset: int, length: int) -> memoryview | None:
        """A range of a replica's file as memory, verified; None: it has to be asked for over the network."""
        return self._use(replica, block, lambda file: file.map(offset, length, self._verify), Outcome.MAPPED)

    def close(self) -> None:
        """Gives everything back to the datanodes."""
        with self._guard:
            self._opened.clear()
            datanodes = list(self._datanodes.values())
            self._datanodes.clear()
        for datanode in datanodes:
            datanode.close()

    def _use(
        self, replica: ReplicaLocation, block: ExtendedBlock, work: Callable[[LocalFile], T], done: Outcome
    ) -> T | None:
        if not self._is_local(replica.datanode.id.ip):
            return None
        key = (socket_path(self._template, replica.datanode.id.xfer_port), block)
        opened = self._find(key) or self._fetch(key)
        if opened is None:
            return None
        try:
            result = work(opened.file)
        except (SeamlessError, OSError, ValueError) as error:
            mismatch = isinstance(error, ChecksumMismatch)
            self._forget(key, opened)
            self._avoid(key, Outcome.MISMATCH if mismatch else Outcome.FAILED, error)
            return None
        self._count(done)
        return result

    def _find(self, key: _Key) -> LocalReplica | None:
        """Files that are open and may still be read."""
        now_s = self._clock()
        with self._guard:
            found = self._opened.get(key)
            if found is not None:
                self._opened.move_to_end(key)
                found.used_mono_s = now_s
        self._expire(now_s)
        if found is None or found.replica.valid:
            return found.replica if found is not None else None
        self._count(Outcome.REVOKED)
        self._forget(key, found.replica)
        return None

    def _fetch(self, key: _Key) -> LocalReplica | None:
        path, block = key
        if self._is_avoided(key):
            self._count(Outcome.AVOIDED)
            return None
        with self._guard:
            datanode = self._datanodes.setdefault(path, LocalDatanode(path, self._client_name))
        try:
            replica = datanode.fetch(block)
        except FilesRefused as error:
            self._avoid(path if error.for_all else key, Outcome.REFUSED, error)
            return None
        except CorruptStore as error:
            self._avoid(key, Outcome.FAILED, error)
            return None
        except (SeamlessError, OSError) as error:
            self._avoid(path, Outcome.UNREACHABLE, error)
            return None
        if replica.segment is not None:
            self._keep(key, replica)
        return replica

    def _keep(self, key: _Key, replica: LocalReplica) -> None:
        now_s = self._clock()
        with self._guard:
            earlier = self._opened.pop(key, None)
            self._opened[key] = _Opened(replica, now_s)
        if earlier is not None:
            self._release(key, earlier.replica)
        self._expire(now_s)

    def _expire(self, now_s: float) -> None:
        """Closes what was not used for long, and what is too much."""
        while True:
            with self._guard:
                if not self._opened:
                    return
                key, oldest = next(iter(self._opened.items()))
                if len(self._opened) <= FILES_MAX and now_s - oldest.used_mono_s < EXPIRY_S:
                    return
                del self._opened[key]
            self._release(key, oldest.replica)

    def _forget(self, key: _Key, replica: LocalReplica) -> None:
        with self._guard:
            present = self._opened.get(key)
            if present is None or present.replica is not replica:
                return
            del self._opened[key]
        self._release(key, replica)

    def _release(self, key: _Key, replica: LocalReplica) -> None:
        with self._guard:
            datanode = self._datanodes.get(key[0])
        if datanode is not None:
            datanode.release(replica)

    def _avoid(self, what: Path | _Key, outcome: Outcome, error: Exception) -> None:
        self._count(outcome)
        log.info("no_short_circuit outcome=%s what=%s error=%s", outcome, what, error)
        now_s = self._clock()
        with self._guard:
            if len(self._avoided) >= AVOIDED_MAX:
                self._avoided = {each: until_s for each, until_s in self._avoided.items() if until_s > now_s}
            if len(self._avoided) < AVOIDED_MAX:
                self._avoided[what] = now_s + AVOID_S

    def _is_avoided(self, key: _Key) -> bool:
        now_s = self._clock()
        with self._guard:
            return any(self._avoided.get(what, 0.0) > now_s for what in (key, key[0]))

    def _count(self, outcome: Outcome) -> None:
        with self._guard:
            self.counts[outcome] += 1

    def _is_local(self, ip: str) -> bool:
        """Whether an address is this machine's: then a socket can be bound to it."""
        known = self._local.get(ip)
        if known is None:
            known = _can_bind(ip)
            if len(self._local) < ADDRESSES_MAX:
                self._local[ip] = known
        return known


def _can_bind(ip: str) -> bool:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((ip, 0))
    except OSError:
        return False
    return True
