"""The form of a segment file of the embedded journal.

    segment = magic:8 version:u32 zero:u32 first_txid:u64 seed:u64 digest:u64  frame*  zeros*
    frame   = magic:4 length:u32 txid:u64 digest:u64 payload[length]                   little endian

`first_txid` is the number that the first frame has; numbers have no gaps. A digest is the xxh3-64 of everything before
it in its header (and the payload after it), seeded with `seed` in frames. The seed is random: neither a payload that
looks like a frame nor what an earlier use of the disk left there can pass for a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

import xxhash

from seamlessfs.model.ids import Txid

VERSION: Final = 1
SEGMENT_MAGIC: Final = b"SFSJRNL\n"
FRAME_MAGIC: Final = b"SFb\xf5"
PAYLOAD_BYTES_MAX: Final = 1 << 30
"""Far above what a batch holds; a length above it is damage, not data."""
_SEGMENT: Final = Struct("<8sIIQQ")
_FRAME: Final = Struct("<4sIQ")
_DIGEST: Final = Struct("<Q")
SEGMENT_HEADER_BYTES: Final = _SEGMENT.size + _DIGEST.size
FRAME_HEADER_BYTES: Final = _FRAME.size + _DIGEST.size


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    first_txid: Txid
    seed: int

    def to_bytes(self) -> bytes:
        head = _SEGMENT.pack(SEGMENT_MAGIC, VERSION, 0, self.first_txid, self.seed)
        return head + _DIGEST.pack(xxhash.xxh3_64_intdigest(head))

    @classmethod
    def from_bytes(cls, data: bytes) -> SegmentHeader:
        """Reads the header of a segment.

        Raises:
            ValueError: it is not one; the message says why.
        """
        if len(data) < SEGMENT_HEADER_BYTES:
            raise ValueError(f"only {len(data)} bytes, a header has {SEGMENT_HEADER_BYTES}")
        magic, version, _, first_txid, seed = _SEGMENT.unpack_from(data)
        if magic != SEGMENT_MAGIC:
            raise ValueError(f"it begins with {magic!r}, not with {SEGMENT_MAGIC!r}")
        if _DIGEST.unpack_from(data, _SEGMENT.size)[0] != xxhash.xxh3_64_intdigest(data[: _SEGMENT.size]):
            raise ValueError("the digest of the header does not match")
        if version != VERSION:
            raise ValueError(f"format {version}, this program reads {VERSION}")
        return cls(Txid(first_txid), seed)


def frame_header(txid: Txid, payload: bytes, seed: int) -> bytes:
    """What goes before a payload."""
    head = _FRAME.pack(FRAME_MAGIC, len(payload), txid)
    return head + _DIGEST.pack(_digest(head, payload, seed))


def parse_frame(data: memoryview, offset: int, seed: int) -> tuple[Txid, memoryview] | str:
    """The frame at `offset`, or why there is none."""
    payload_at = offset + FRAME_HEADER_BYTES
    if payload_at > len(data):
        return f"{len(data) - offset} bytes are left, a frame has at least {FRAME_HEADER_BYTES}"
    magic, length, txid = _FRAME.unpack_from(data, offset)
    if magic != FRAME_MAGIC:
        return f"{bytes(magic)!r} where a frame begins with {FRAME_MAGIC!r}"
    if length > PAYLOAD_BYTES_MAX or payload_at + length > len(data):
        return f"a frame of {length} bytes, but {len(data) - payload_at} are left"
    payload = data[payload_at : payload_at + length]
    head = data[offset : offset + _FRAME.size]
    if _DIGEST.unpack_from(data, offset + _FRAME.size)[0] != _digest(head, payload, seed):
        return f"the digest of the frame of batch {txid} does not match"
    return Txid(txid), payload


def next_frame(data: bytes, offset: int, seed: int) -> int | None:
    """Where the first whole frame at or behind `offset` begins, if there is any."""
    view = memoryview(data)
    while (found := data.find(FRAME_MAGIC, offset)) >= 0:
        if not isinstance(parse_frame(view, found, seed), str):
            return found
        offset = found + 1
    return None


def _digest(head: bytes | memoryview, payload: bytes | memoryview, seed: int) -> int:
    digest = xxhash.xxh3_64(head, seed=seed)
    digest.update(payload)
    return digest.intdigest()
