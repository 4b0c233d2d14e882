"""Answers of getBlockLocations as bytes: what many of them share, the replicas' places, is serialized once.

Shape: as `located_blocks_to_pb` serializes, byte for byte.
"""

from __future__ import annotations

from seamlessfs.model.block import ExtendedBlock, LocatedBlock, LocatedBlocks, ReplicaLocation
from seamlessfs.wire.convert.blocks import datanode_info_to_pb, empty_token, storage_type_to_pb
from seamlessfs.wire.convert.integers import to_unsigned
from seamlessfs.wire.rpc.frames import encode_varint

PLACES_MAX = 1 << 14
_TOKEN = empty_token().SerializeToString()
_CORRUPT = tuple(bytes((0x20, corrupt, 0x2A, len(_TOKEN))) + _TOKEN for corrupt in (False, True))

_Place = tuple[ReplicaLocation, bytes, bytes, bytes]
"""A location and its fields: the datanode, the storage's type, the storage's id."""


class LocatedEncoder:
    """Serializes located blocks. A location that is the same object as before costs nothing."""

    def __init__(self) -> None:
        self._places: dict[int, _Place] = {}

    def response(self, located: LocatedBlocks) -> bytes:
        """A GetBlockLocationsResponseProto."""
        blocks = {id(block): self._block(block) for block in located.blocks}
        parts = [b"\x08", encode_varint(to_unsigned(located.file_length))]
        for encoded in blocks.values():
            parts += (b"\x12", encode_varint(len(encoded)), encoded)
        parts.append(b"\x18\x01" if located.under_construction else b"\x18\x00")
        last = located.last_block
        if last is not None:
            encoded = blocks.get(id(last)) or self._block(last)
            parts += (b"\x22", encode_varint(len(encoded)), encoded)
        parts.append(b"\x28\x01" if located.last_block_complete else b"\x28\x00")
        body = b"".join(parts)
        return b"\x0a%b%b" % (encode_varint(len(body)), body)

    def _block(self, located: LocatedBlock) -> bytes:
        places = [self._place(location) for location in located.locations]
        block = _extended(located.block)
        parts = [b"\x0a", encode_varint(len(block)), block, b"\x10", encode_varint(to_unsigned(located.offset))]
        parts += [datanode for _, datanode, _, _ in places]
        parts.append(_CORRUPT[located.corrupt])
        if places:
            parts += (b"\x32", encode_varint(len(places)), bytes(len(places)))
            parts += [kind for _, _, kind, _ in places]
            parts += [storage for _, _, _, storage in places]
        return b"".join(parts)

    def _place(self, location: ReplicaLocation) -> _Place:
        place = self._places.get(id(location))
        if place is None or place[0] is not location:
            if len(self._places) >= PLACES_MAX:
                self._places.clear()
            datanode = datanode_info_to_pb(location.datanode).SerializeToString()
            storage = location.storage_id.encode()
            place = self._places[id(location)] = (
                location,
                b"\x1a%b%b" % (encode_varint(len(datanode)), datanode),
                b"\x38%b" % encode_varint(storage_type_to_pb(location.storage_type)),
                b"\x42%b%b" % (encode_varint(len(storage)), storage),
            )
        return place


def _extended(block: ExtendedBlock) -> bytes:
    pool, numbers = block.pool_id.encode(), block.block
    return b"\x0a%b%b\x10%b\x18%b\x20%b" % (
        encode_varint(len(pool)),
        pool,
        encode_varint(to_unsigned(numbers.id)),
        encode_varint(to_unsigned(numbers.generation_stamp)),
        encode_varint(to_unsigned(numbers.length)),
    )
