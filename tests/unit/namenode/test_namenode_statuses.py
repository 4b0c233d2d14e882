"""Encoded answers are those of the messages, and are forgotten when a batch changes what they show."""

from __future__ import annotations

import pytest

from seamlessfs.namenode.statuses import Pages, encode_found
from seamlessfs.namespace.ops.reading import Found, Page
from seamlessfs.wire.convert.status import file_status_to_pb, listing_to_pb
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from tests.support.namespace_harness import Harness


@pytest.fixture
def h() -> Harness:
    harness = Harness()
    harness.mkdirs("/d/sub")
    for name in ("a", "b" * 200, "ü"):
        harness.write_file(f"/d/{name}", (70,))
    return harness


def page_of(h: Harness, start_after: bytes = b"", limit: int | None = None) -> Page:
    page = h.namespace.find_page(h.view(), h.ctx(), "/d", start_after, limit)
    assert isinstance(page, Page)
    return page


def expected(h: Harness, start_after: bytes = b"", limit: int | None = None) -> bytes:
    listing = h.namespace.get_listing(h.view(), h.ctx(), "/d", start_after, limit)
    assert listing is not None
    return pb.GetListingResponseProto(dirList=listing_to_pb(listing)).SerializeToString()


@pytest.mark.parametrize("path", ["/", "/d", "/d/sub", "/d/a"])
def test_a_status_is_that_of_the_message(h: Harness, path: str) -> None:
    found = h.namespace.find(h.view(), h.ctx(), path)
    assert isinstance(found, Found)
    assert encode_found(found) == pb.GetFileInfoResponseProto(fs=file_status_to_pb(found.status)).SerializeToString()


@pytest.mark.parametrize(("start_after", "limit"), [(b"", None), (b"", 2), (b"a", 1), (b"zz", None)])
def test_a_page_is_that_of_the_message(h: Harness, start_after: bytes, limit: int | None) -> None:
    assert Pages().encoded(h.view(), page_of(h, start_after, limit)) == expected(h, start_after, limit)


def test_a_page_is_forgotten_when_an_entry_of_its_directory_is_written(h: Harness) -> None:
    pages = Pages()
    pages.encoded(h.view(), page_of(h))
    pages.encoded(h.view(), page_of(h, b"a"))
    kept = pages.size_bytes
    h.mkdirs("/elsewhere")
    pages.forget(h.written)
    assert pages.size_bytes == kept
    h.run(lambda tx: h.namespace.set_permission(tx, h.ctx(), "/d/a", 0o600))
    pages.forget(h.written)
    assert pages.size_bytes == 0
    assert pages.encoded(h.view(), page_of(h)) == expected(h)


def test_the_oldest_pages_make_room(h: Harness) -> None:
    size = len(expected(h))
    pages = Pages(bytes_max=size)
    pages.encoded(h.view(), page_of(h))
    pages.encoded(h.view(), page_of(h, b"a"))
    assert 0 < pages.size_bytes <= size
