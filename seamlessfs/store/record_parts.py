"""The parts that the store's records are made of: names behind their lengths, block ids, hints."""

from __future__ import annotations

from seamlessfs.model.ids import BlockId, StorageHint

_HINT_BYTES = 4
_SHIFT_MAX = 63


def pack_names(*names: str) -> bytes:
    parts = bytearray()
    for name in names:
        raw = name.encode()
        parts.append(len(raw))
        parts += raw
    return bytes(parts)


def read_names(value: bytes, at: int, count: int) -> tuple[list[str], int]:
    names = []
    for _ in range(count):
        end = at + 1 + value[at]
        names.append(value[at + 1 : end].decode())
        at = end
    if at > len(value):
        raise IndexError(f"its names end at byte {at}")
    return names, at


def pack_hints(hints: tuple[StorageHint, ...]) -> bytes:
    return b"".join(hint.to_bytes(_HINT_BYTES, "big") for hint in hints)


def read_hints(value: bytes, at: int) -> tuple[StorageHint, ...]:
    if (len(value) - at) % _HINT_BYTES:
        raise IndexError(f"its last hint is of {(len(value) - at) % _HINT_BYTES} bytes")
    starts = range(at, len(value), _HINT_BYTES)
    return tuple(StorageHint(int.from_bytes(value[start : start + _HINT_BYTES], "big")) for start in starts)


def pack_ids(ids: tuple[BlockId, ...]) -> bytes:
    out = bytearray()
    previous = 0
    for block_id in ids:
        difference = block_id - previous
        previous = block_id
        rest = difference * 2 if difference >= 0 else -difference * 2 - 1
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def read_ids(value: bytes, at: int, count: int) -> tuple[BlockId, ...]:
    ids = []
    previous = 0
    for _ in range(count):
        raw = shift = 0
        while value[at] > 0x7F:
            if shift > _SHIFT_MAX:
                raise ValueError(f"the number at byte {at} has more than 64 bits")
            raw |= (value[at] & 0x7F) << shift
            shift += 7
            at += 1
        raw |= value[at] << shift
        at += 1
        previous += raw // 2 if raw % 2 == 0 else -(raw + 1) // 2
        ids.append(BlockId(previous))
    return tuple(ids)
