"""The journal in local files: one write and one fdatasync a batch.

A directory of segments `<first txid>.journal`; the last one is appended to. A crash may leave a torn frame at the very
end of the last segment, one that was never acknowledged: it is cut off before the next append. A damaged frame with
anything whole behind it, or in an earlier segment, is damage to what was acknowledged: the journal is not opened.

Small frames are written over zeros that were written ahead: the file system then has no new length to make durable,
which makes an fdatasync faster by a third or more. Zeros at the end of the last segment are its end, like a torn frame.

After a refusal of the disk the journal takes no more: what a failed fdatasync has left in memory or on disk is unknown.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seamlessfs.journal.frames import (
    FRAME_HEADER_BYTES,
    PAYLOAD_BYTES_MAX,
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    frame_header,
    next_frame,
    parse_frame,
)
from seamlessfs.model.errors import ConfigurationError, CorruptStore
from seamlessfs.model.ids import Txid

SEGMENT_BYTES: Final = 64 << 20
"""A new segment is begun beyond this: large enough that making one is rare, small enough to trim and to read whole."""
ZEROS_AHEAD_BYTES: Final = 1 << 20
"""Zeros that are written ahead at a time."""
SMALL_FRAME_BYTES: Final = 16 << 10
"""Larger frames are not worth it: writing their place twice costs more than the length."""
_BEGINNING: Final = Txid(0)
_SUFFIX: Final = ".journal"
_UNFINISHED_SUFFIX: Final = ".new"
_RESTORE: Final = "restore the file, or store and journal from a backup"


@dataclass(frozen=True, slots=True)
class _Segment:
    path: Path
    header: SegmentHeader


class EmbeddedJournal:
    """A journal in a directory that belongs to one process at a time."""

    def __init__(
        self,
        path: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        start_after: Txid = _BEGINNING,
        fdatasync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        """Opens the journal, which changes nothing that is there; makes it when the directory has none.

        Args:
            start_after: the number that the first payload of a new journal follows, as after a restore of the store.
            fdatasync: makes a file durable.

        Raises:
            CorruptStore: acknowledged payloads are damaged. ConfigurationError: another process has the journal open.
        """
        self._path = path
        self._segment_bytes = segment_bytes
        self._fdatasync = fdatasync
        self._fdatasyncs = 0
        self._failure: OSError | None = None
        self._trimming = threading.Lock()
        if not path.is_dir():
            path.mkdir(parents=True)
            _fsync_directory(path.parent)
        self._lock_fd = _lock(path)
        self._fd = -1
        self._end = 0
        """Where the next frame goes."""
        self._written: int | None = 0
        """How far the file has been written, zeros ahead included; None: what is behind the end must be cut off."""
        try:
            for unfinished in path.glob(f"*{_UNFINISHED_SUFFIX}"):
                unfinished.unlink()
            self._segments = [_read_header(file) for file in sorted(path.glob(f"*{_SUFFIX}"))]
            if self._segments:
                self._open_last()
            else:
                self._last_txid = start_after
                self._begin_segment()
        except BaseException:
            self.close()
            raise

    @property
    def last_txid(self) -> Txid:
        return self._last_txid

    @property
    def fdatasyncs(self) -> int:
        return self._fdatasyncs

    def append(self, txid: Txid, payload: bytes) -> None:
        """Writes one frame and waits until the disk has it.

        Raises:
            OSError: the disk refuses; the journal takes no more until it is opened again.
            ValueError: the number is not the next one, or the payload too large; nothing has been written.
        """
        if self._failure is not None:
            raise OSError(self._failure.errno, f"journal {self._path} failed before: {self._failure}")
        if txid != self._last_txid + 1 or len(payload) > PAYLOAD_BYTES_MAX:
            raise ValueError(f"batch {txid} of {len(payload)} bytes cannot follow batch {self._last_txid}")
        try:
            if self._end > self._segment_bytes:
                self._end_segment()
                self._begin_segment()
            size_bytes = self._write(frame_header(txid, payload, self._segments[-1].header.seed), payload)
            self._fdatasync(self._fd)
        except OSError as error:
            self._failure = error
            self._take_back()
            raise OSError(error.errno, f"journal {self._path} cannot take batch {txid}: {error}") from error
        self._fdatasyncs += 1
        self._end += size_bytes
        self._last_txid = txid

    def roll(self) -> Txid:
        """As in Journal: begins a new segment, unless the last one is empty."""
        if self._failure is not None:
            raise OSError(self._failure.errno, f"journal {self._path} failed before: {self._failure}")
        if self._segments[-1].header.first_txid <= self._last_txid:
            try:
                self._end_segment()
                self._begin_segment()
            except OSError as error:
                self._failure = error
                raise OSError(error.errno, f"journal {self._path} cannot begin a segment: {error}") from error
        return Txid(self._last_txid + 1)

    def replay(self, after: Txid) -> Iterator[tuple[Txid, bytes]]:
        """As in Journal. Cost: one segment in memory at a time."""
        first = self._segments[0].header.first_txid
        if first > after + 1:
            raise CorruptStore(
                f"journal {self._path} begins with batch {first}, but batches from {after + 1} on are asked for: "
                "the store is older than the journal; restore a newer store"
            )
        for index, segment in enumerate(self._segments):
            following = self._segments[index + 1 :]
            if following and following[0].header.first_txid <= after + 1:
                continue
            for txid, payload, _ in _frames(segment, following[0] if following else None):
                if txid > after:
                    yield txid, bytes(payload)

    def trim(self, up_to: Txid) -> None:
        with self._trimming:
            while len(self._segments) > 1 and self._segments[1].header.first_txid <= up_to + 1:
                self._segments.pop(0).path.unlink()

    def close(self) -> None:
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock_fd = -1

    def _open_last(self) -> None:
        """Finds the end of the last segment and makes sure that the disk has what is before it."""
        last = self._segments[-1]
        txid = Txid(last.header.first_txid - 1)
        end = SEGMENT_HEADER_BYTES
        for txid, _, frame_end in _frames(last, None):  # noqa: B007 - the last one counts
            end = frame_end
        self._fd = os.open(last.path, os.O_WRONLY)
        os.fsync(self._fd)
        self._last_txid, self._end, self._written = txid, end, None

    def _write(self, frame: bytes, payload: bytes) -> int:
        """Writes a frame at the end and, when they are used up, zeros behind it; answers the size of the frame."""
        if self._written is None:
            os.ftruncate(self._fd, self._end)
            self._written = self._end
        parts = [memoryview(frame), memoryview(payload)]
        size_bytes = len(frame) + len(payload)
        written = 0
        if self._end + size_bytes > self._written and size_bytes <= SMALL_FRAME_BYTES:
            zeros = memoryview(bytes(ZEROS_AHEAD_BYTES))
            with suppress(OSError):  # a disk with room for the frame alone
                written = os.pwritev(self._fd, [*parts, zeros], self._end)
        if written < size_bytes:
            _write_all(self._fd, parts, self._end)
        self._written = max(self._written, self._end + max(written, size_bytes))
        return size_bytes

    def _end_segment(self) -> None:
        """Cuts off the zeros: only the last segment may end in them."""
        os.ftruncate(self._fd, self._end)
        os.fsync(self._fd)

    def _begin_segment(self) -> None:
        """Makes the next segment; it gets its name only when its header is on disk."""
        header = SegmentHeader(Txid(self._last_txid + 1), int.from_bytes(os.urandom(8), "little"))
        path = self._path / f"{header.first_txid:020d}{_SUFFIX}"
        unfinished = path.with_suffix(_UNFINISHED_SUFFIX)
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write_all(fd, [memoryview(header.to_bytes())], 0)
            os.fsync(fd)
            unfinished.rename(path)
            _fsync_directory(self._path)
        except OSError:
            os.close(fd)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._segments.append(_Segment(path, header))
        self._fd, self._end, self._written = fd, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES

    def _take_back(self) -> None:
        """After a refusal: cuts off what may have been written, so that a restart does not find it. Best effort."""
        try:
            os.ftruncate(self._fd, self._end)
            os.fsync(self._fd)
        except OSError:
            return


def _lock(path: Path) -> int:
    fd = os.open(path / "in_use.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise ConfigurationError(
            f"journal {path} is in use by another process: stop that one, or configure another directory"
        ) from error
    return fd


def _read_header(path: Path) -> _Segment:
    with path.open("rb") as file:
        data = file.read(SEGMENT_HEADER_BYTES)
    try:
        header = SegmentHeader.from_bytes(data)
    except ValueError as error:
        raise CorruptStore(f"journal file {path} at offset 0: {error}; {_RESTORE}") from error
    if path.name != f"{header.first_txid:020d}{_SUFFIX}":
        raise CorruptStore(
            f"journal file {path} at offset 0: begins with batch {header.first_txid}: it was renamed; {_RESTORE}"
        )
    return _Segment(path, header)


def _frames(segment: _Segment, following: _Segment | None) -> Iterator[tuple[Txid, memoryview, int]]:
    """The frames of a segment: number, payload, and the offset behind it.

    Raises:
        CorruptStore: a frame is damaged or missing. What is torn at the end of the last segment just ends it.
    """
    data = segment.path.read_bytes()
    view = memoryview(data)
    offset = SEGMENT_HEADER_BYTES
    expected = segment.header.first_txid
    while offset < len(data):
        frame = parse_frame(view, offset, segment.header.seed)
        if isinstance(frame, str):
            _check_torn(segment, data, offset, frame, following)
            break
        txid, payload = frame
        if txid != expected:
            raise CorruptStore(
                f"journal file {segment.path} at offset {offset}: batch {txid}, not batch {expected}; {_RESTORE}"
            )
        offset += FRAME_HEADER_BYTES + len(payload)
        yield txid, payload, offset
        expected = Txid(expected + 1)
    if following is not None and following.header.first_txid != expected:
        raise CorruptStore(
            f"journal file {segment.path} at offset {offset}: ends before batch {expected}, "
            f"but {following.path.name} is the next file; {_RESTORE}"
        )


def _check_torn(segment: _Segment, data: bytes, offset: int, damage: str, following: _Segment | None) -> None:
    """Accepts damage that only a crash during the last append can have left."""
    whole = next_frame(data, offset, segment.header.seed)
    if following is None and whole is None:
        return
    behind = f"a whole frame follows at offset {whole}" if whole is not None else "later files follow"
    raise CorruptStore(
        f"journal file {segment.path} at offset {offset}: {damage}, and {behind}: acknowledged batches are damaged; "
        f"{_RESTORE}"
    )


def _write_all(fd: int, parts: list[memoryview], offset: int) -> None:
    while parts:
        written = os.pwritev(fd, parts, offset)
        offset += written
        while parts and written >= len(parts[0]):
            written -= len(parts.pop(0))
        if parts and written:
            parts[0] = parts[0][written:]


def _fsync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
