"""From a step's fields to the request that one server gets: each has ids, blocks and datanodes of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from seamlessfs.wire.pb.hadoop import hdfs_pb2
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL, messages_of
from tests.diff.program import Changed, Ref, Step

PERMISSIONS = {"masked", "unmasked", "permission", "dirPerm"}
HOLDERS = {"clientName", "client", "holder"}
BLOCKS = {"previous", "last", "b", "block", "blk", "oldBlock", "newBlock"}
OPTIONAL_BLOCKS = {"previous", "last"}
UNKNOWN_BLOCK = 1
"""Id and stamp of a block that nobody has: what a reference to a step that answered none stands for."""

_SPANS = {
    FieldDescriptor.TYPE_UINT32: 1 << 32,
    FieldDescriptor.TYPE_UINT64: 1 << 64,
}
_SLOT = re.compile(r"\{(s\d+)\}")


class Slots:
    """What one server has answered in one run of a program.

    Attributes:
        folder: what `~` stands for.
        number: of the run; part of each holder's name, so that no other run's leases are counted.
    """

    def __init__(self, folder: str, number: int) -> None:
        self.folder = folder
        self.number = number
        self._answers: dict[str, Message] = {}

    def keep(self, name: str, answer: Message) -> None:
        self._answers[name] = answer

    def answer(self, name: str) -> Message | None:
        """What a step answered, if it was not refused."""
        return self._answers.get(name)

    def forget(self, name: str) -> None:
        self._answers.pop(name, None)

    def located(self, ref: Ref) -> hdfs_pb2.LocatedBlockProto | None:
        """The block that a step answered."""
        found = getattr(self._answers.get(ref.name), "block", None)
        return found if isinstance(found, hdfs_pb2.LocatedBlockProto) else None

    def file_id(self, name: str) -> int:
        """The id of the file that a step answered; 0: none."""
        return int(getattr(getattr(self._answers.get(name), "fs", None), "fileId", 0))

    def block(self, value: Ref | Changed) -> hdfs_pb2.ExtendedBlockProto | None:
        changed = value if isinstance(value, Changed) else Changed(value)
        if (located := self.located(changed.of)) is None:
            return None
        block = hdfs_pb2.ExtendedBlockProto()
        block.CopyFrom(located.b)
        block.generationStamp = (block.generationStamp + changed.stamp) % (1 << 64)
        block.blockId = (block.blockId + changed.id) % (1 << 64)
        if changed.length is not None:
            block.numBytes = changed.length % (1 << 64)
        return block

    def text(self, value: str) -> str:
        return _SLOT.sub(lambda found: str(self.file_id(found[1])), value.replace("~", self.folder))

    def holder(self, value: str) -> str:
        return f"{value}-{self.number}" if value else value


def request_of(step: Step, slots: Slots) -> Message:
    """The request of a step for one server."""
    messages = messages_of(CLIENT_PROTOCOL, step.call)
    assert messages is not None, step.call
    request = messages.request()
    fields = request.DESCRIPTOR.fields_by_name
    for name, value in step.fields.items():
        if value is not None:
            _set(request, fields[name], value, slots)
    return request


def _set(request: Message, field: FieldDescriptor, value: Any, slots: Slots) -> None:
    name = field.name
    if name in PERMISSIONS:
        getattr(request, name).perm = value
    elif name in BLOCKS:
        block = slots.block(value)
        if block is not None:
            getattr(request, name).CopyFrom(block)
        elif name not in OPTIONAL_BLOCKS:
            getattr(request, name).MergeFrom(_unknown(slots))
    elif name in HOLDERS:
        setattr(request, name, slots.holder(value))
    elif name in ("excludeNodes", "newNodes", "storageIDs"):
        getattr(request, name).extend(_datanodes(name, value if isinstance(value, list) else [value], slots))
    elif isinstance(value, Ref):
        setattr(request, name, slots.file_id(value.name))
    elif isinstance(value, list):
        getattr(request, name).extend(value)
    elif isinstance(value, str):
        text = slots.text(value)
        setattr(request, name, text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text)
    else:
        setattr(request, name, value % _SPANS[field.type] if field.type in _SPANS else value)


def _unknown(slots: Slots) -> hdfs_pb2.ExtendedBlockProto:
    return hdfs_pb2.ExtendedBlockProto(poolId="BP-0", blockId=UNKNOWN_BLOCK, generationStamp=UNKNOWN_BLOCK, numBytes=0)


def _datanodes(name: str, refs: Iterable[Ref], slots: Slots) -> list[Any]:
    found: list[Any] = []
    for ref in refs:
        located = slots.located(ref)
        if located is None:
            continue
        if name == "storageIDs":
            found += located.storageIDs
        elif name == "excludeNodes":
            found += located.locs[:1]  # as many on both sides, though stock may have found fewer for the block
        else:
            found += [node.id for node in located.locs]
    return found
