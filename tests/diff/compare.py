"""Compares two answers field by field, and two refusals word by word; ids must correspond one to one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from seamlessfs.model.ids import ROOT_INODE_ID
from tests.diff.servers import Answer

TIME_TOLERANCE_MS = 60_000
"""Both servers got the call at the same moment. Times that a program sets lie decades back, so what moved and what
did not is told apart all the same."""
RECENT_MS = 1_600_000_000_000
"""Times after this were taken from a clock."""

SHOWN_MAX = 400

DATANODES = {"locs", "isCached", "storageTypes", "storageIDs", "blockToken", "poolId"}
"""Which datanodes a block is on is each cluster's own affair; their number is compared where a block is allocated."""
OF_ROOT = {"modification_time", "childrenNum"}
"""The root changes with every program that runs."""
IDS = {"fileId": "inode", "blockId": "block", "generationStamp": "stamp"}
TIMES = {"modification_time", "access_time"}
SAME_ON_BOTH = {0, (1 << 64) - 1}
"""No id at all, and the id of what is reserved."""

_POOL = re.compile(r"BP-[-\w.]+-\d+|BP-0(?=:)")
_IDS_IN_TEXT = re.compile(
    r"(?P<block>(?<=blk_)-?\d+)_(?P<stamp>-?\d+)|(?<=inode )(?P<inode>\d+)|(?<=\bid = )(?P<id>\d+)"
    r"|(?<=/\.inodes/)(?P<path>\d+)|(?<=/)(?P<below>\d{5,})(?=[/\s:]|$)"
)
_KIND = {"id": "block", "path": "inode", "below": "inode"}


@dataclass(frozen=True)
class Difference:
    """Where two answers differ; `where` is a path of field names without indices, `class` or `text`."""

    where: str
    stock: Any
    ours: Any

    def __str__(self) -> str:
        return f"{self.where}: stock {str(self.stock)[:SHOWN_MAX]!r}, ours {str(self.ours)[:SHOWN_MAX]!r}"


@dataclass
class Ids:
    """Which id of the one server is which of the other."""

    _to_ours: dict[tuple[str, int], int] = field(default_factory=dict)
    _to_stock: dict[tuple[str, int], int] = field(default_factory=dict)

    def correspond(self, kind: str, stock: int, ours: int) -> bool:
        """Whether the two mean the same; a pair of which neither was seen before does, from now on."""
        if stock in SAME_ON_BOTH or ours in SAME_ON_BOTH:
            return stock == ours
        known, back = self._to_ours.get((kind, stock)), self._to_stock.get((kind, ours))
        if known is None and back is None:
            self._to_ours[kind, stock], self._to_stock[kind, ours] = ours, stock
            return True
        return known == ours and back == stock


def compare(stock: Answer, ours: Answer, ids: Ids) -> list[Difference]:
    """Every difference between the two answers to one call."""
    if stock.message is not None and ours.message is not None:
        return list(_messages(stock.message, ours.message, ids, ""))
    if stock.message is not None or ours.message is not None:
        return [Difference("outcome", str(stock), str(ours))]
    found = []
    if stock.class_name != ours.class_name:
        found.append(Difference("class", stock.class_name, ours.class_name))
    if not _same_text(stock.text, ours.text, ids):
        found.append(Difference("text", stock.text, ours.text))
    return found


def _messages(stock: Message, ours: Message, ids: Ids, where: str) -> Iterator[Difference]:
    if stock.DESCRIPTOR.name == "DatanodeInfoProto":
        return
    skipped = DATANODES | OF_ROOT if getattr(stock, "fileId", 0) == ROOT_INODE_ID else DATANODES
    for one in stock.DESCRIPTOR.fields:
        if one.name in skipped:
            continue
        path = f"{where}.{one.name}".lstrip(".")
        left, right = getattr(stock, one.name), getattr(ours, one.name)
        if one.is_repeated:
            yield from _lists(one, left, right, ids, path)
        elif one.type != FieldDescriptor.TYPE_MESSAGE:
            if not _same_value(one.name, left, right, ids):
                yield Difference(path, left, right)
        elif stock.HasField(one.name) != ours.HasField(one.name):
            yield Difference(path, _shown(stock, one.name), _shown(ours, one.name))
        elif stock.HasField(one.name):
            yield from _messages(left, right, ids, path)


def _lists(field_: FieldDescriptor, stock: Any, ours: Any, ids: Ids, path: str) -> Iterator[Difference]:
    if len(stock) != len(ours):
        yield Difference(f"{path}.length", _elements(stock), _elements(ours))
        return
    if field_.name == "partialListing" and [one.path for one in stock] != [one.path for one in ours]:
        yield Difference(f"{path}.order", _elements(stock), _elements(ours))
        return
    for left, right in zip(stock, ours, strict=True):
        if field_.type == FieldDescriptor.TYPE_MESSAGE:
            yield from _messages(left, right, ids, path)
        elif left != right:
            yield Difference(path, left, right)


def _elements(values: Any) -> list[Any]:
    """What tells the elements of a list apart: their names, where they have one."""
    return [getattr(value, "path", None) or " ".join(str(value).split()) for value in values]


def _shown(message: Message, name: str) -> str:
    return " ".join(str(getattr(message, name)).split()) if message.HasField(name) else "absent"


def _same_value(name: str, stock: Any, ours: Any, ids: Ids) -> bool:
    if stock == ours and name not in IDS:
        return True
    if name in TIMES:
        return min(stock, ours) > RECENT_MS and abs(stock - ours) <= TIME_TOLERANCE_MS and max(stock, ours) < 1 << 62
    return name in IDS and ids.correspond(IDS[name], stock, ours)


def _same_text(stock: str, ours: str, ids: Ids) -> bool:
    found_stock, found_ours = list(_ids_in(stock)), list(_ids_in(ours))
    if _without_ids(stock) != _without_ids(ours):
        return False
    return all(
        left[0] == right[0] and ids.correspond(left[0], left[1], right[1])
        for left, right in zip(found_stock, found_ours, strict=True)
    )


def _ids_in(text: str) -> Iterator[tuple[str, int]]:
    for match in _IDS_IN_TEXT.finditer(text):
        for kind, value in match.groupdict().items():
            if value is not None:
                yield _KIND.get(kind, kind), int(value)


def _without_ids(text: str) -> str:
    return _POOL.sub("POOL", _IDS_IN_TEXT.sub("#", text))
