"""The form of a write set in the journal.

    payload = version:u8 count:u32 entry* digest:u64       little endian; digest is the xxh3-64 of all before it
    entry   = key_length:u16 value_length:u32 key value    value_length 0xFFFFFFFF: the key is deleted, no value

The digest travels with the payload, so that a journal that sends it elsewhere is checked end to end.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Final

import xxhash

from seamlessfs.model.errors import CorruptStore

VERSION: Final = 1
_DELETED: Final = 0xFFFFFFFF
_HEAD: Final = Struct("<BI")
_ENTRY: Final = Struct("<HI")
_DIGEST: Final = Struct("<Q")


def encode(writes: Mapping[bytes, bytes | None]) -> bytes:
    """The payload of a write set; keys below 64 KiB, values below 4 GiB."""
    parts = [_HEAD.pack(VERSION, len(writes))]
    append = parts.append
    lengths = _ENTRY.pack
    for key, value in writes.items():
        if value is None:
            append(lengths(len(key), _DELETED))
            append(key)
        else:
            append(lengths(len(key), len(value)))
            append(key)
            append(value)
    body = b"".join(parts)
    return body + _DIGEST.pack(xxhash.xxh3_64_intdigest(body))


def decode(payload: bytes) -> dict[bytes, bytes | None]:
    """The write set of a payload, in the order in which it was written.

    Raises:
        CorruptStore: the payload is damaged, or of a version that this program does not know.
    """
    end = len(payload) - _DIGEST.size
    if end < _HEAD.size or _DIGEST.unpack_from(payload, end)[0] != xxhash.xxh3_64_intdigest(memoryview(payload)[:end]):
        raise CorruptStore(f"write set of {len(payload)} bytes is damaged: its digest does not match")
    version, count = _HEAD.unpack_from(payload)
    if version != VERSION:
        raise CorruptStore(f"write set of version {version}: this program reads {VERSION}; start the newer program")
    writes: dict[bytes, bytes | None] = {}
    position = _HEAD.size
    for _ in range(count):
        if position + _ENTRY.size > end:
            raise CorruptStore(f"write set of {len(payload)} bytes ends within entry {len(writes)} of {count}")
        key_length, value_length = _ENTRY.unpack_from(payload, position)
        position += _ENTRY.size
        key = payload[position : position + key_length]
        position += key_length
        if value_length == _DELETED:
            writes[key] = None
        else:
            writes[key] = payload[position : position + value_length]
            position += value_length
    if position != end:
        raise CorruptStore(f"write set of {len(payload)} bytes: its {count} entries end at {position}, not at {end}")
    return writes
