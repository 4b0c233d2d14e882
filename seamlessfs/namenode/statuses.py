"""Answers of getFileInfo and getListing as bytes, made once and given again while nothing has changed.

What a record shows is made of the record's bytes and the inherited policy alone, so that it can be kept under them and
is never stale. A page of a directory is kept until a batch writes an entry of that directory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache

from seamlessfs.model.ids import PolicyId
from seamlessfs.namespace.answers import status_of
from seamlessfs.namespace.ops.reading import Found, Page
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, WriteSet
from seamlessfs.store.records import decode_inode
from seamlessfs.wire.convert.status import file_status_to_pb
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.rpc.frames import encode_varint

STATUSES_MAX = 1 << 16
PAGES_BYTES_MAX = 64 << 20
_NAME_AT, _NAME_END = 2, 4
"""Where the empty name is in an encoded status: behind the type, one byte each with its tag."""
_PREFIX_BYTES = len(keys.entry(keys.NO_PARENT, b""))


@lru_cache(STATUSES_MAX)
def _encoded(value: bytes, inherited: PolicyId) -> tuple[bytes, bytes]:
    """What comes before and behind the name in the status of a record."""
    status = file_status_to_pb(status_of(decode_inode(value), b"", inherited)).SerializeToString()
    assert status[_NAME_AT:_NAME_END] == b"\x12\0", "type and name come first"
    return status[:_NAME_AT] + b"\x12", status[_NAME_END:]


def encode_found(found: Found) -> bytes:
    """A GetFileInfoResponseProto."""
    if found.is_root:
        return pb.GetFileInfoResponseProto(fs=file_status_to_pb(found.status)).SerializeToString()
    head, tail = _encoded(found.value, found.inherited)
    return b"\x0a%b%b\0%b" % (encode_varint(len(head) + 1 + len(tail)), head, tail)


def _encode_page(rows: Iterable[tuple[bytes, bytes]], remaining: int, inherited: PolicyId) -> bytes:
    """A GetListingResponseProto."""
    parts = []
    for key, value in rows:
        head, tail = _encoded(value, inherited)
        name = key[_PREFIX_BYTES:]
        size = encode_varint(len(name))
        parts.append(b"\x0a%b" % encode_varint(len(head) + len(size) + len(name) + len(tail)))
        parts += (head, size, name, tail)
    listing = b"%b\x10%b" % (b"".join(parts), encode_varint(remaining))
    return b"\x0a%b%b" % (encode_varint(len(listing)), listing)


class Pages:
    """Pages of directories, those that were asked for last. `forget` must be told of every batch that is durable."""

    def __init__(self, bytes_max: int = PAGES_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._pages: OrderedDict[Page, bytes] = OrderedDict()
        self._of: dict[bytes, set[Page]] = {}
        """Pages of each directory, by the beginning of its entries' keys."""
        self.size_bytes = 0

    def encoded(self, view: ReadView, page: Page) -> bytes:
        """A GetListingResponseProto of what is durable."""
        answer = self._pages.get(page)
        if answer is None:
            answer = _encode_page(*page.read(view), page.inherited)
            self._keep(page, answer)
        else:
            self._pages.move_to_end(page)
        return answer

    def forget(self, writes: WriteSet) -> None:
        """A batch is durable. Cost: a look at each key, while there are pages."""
        if self._of:
            for prefix in {key[:_PREFIX_BYTES] for key in writes} & self._of.keys():
                for page in tuple(self._of[prefix]):
                    self._drop(page)

    def _keep(self, page: Page, answer: bytes) -> None:
        self._pages[page] = answer
        self._of.setdefault(keys.entry(page.directory, b""), set()).add(page)
        self.size_bytes += len(answer)
        while self.size_bytes > self._bytes_max:
            self._drop(next(iter(self._pages)))

    def _drop(self, page: Page) -> None:
        self.size_bytes -= len(self._pages.pop(page))
        prefix = keys.entry(page.directory, b"")
        self._of[prefix].discard(page)
        if not self._of[prefix]:
            del self._of[prefix]
