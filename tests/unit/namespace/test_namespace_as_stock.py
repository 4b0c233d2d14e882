"""What random programs found to be otherwise than on stock HDFS: mended, and kept so where there is no stock HDFS."""

from __future__ import annotations

import pytest

from seamlessfs.model.block import Block
from seamlessfs.model.errors import AccessDenied, FileNotFound, ListingStartNotFound
from seamlessfs.model.ids import InodeId
from seamlessfs.model.principal import Principal
from seamlessfs.store.records import BlockState
from tests.support.namespace_harness import PIPELINE, Harness

ALICE = Principal("alice", ("staff",))


@pytest.fixture
def h() -> Harness:
    return Harness()


def of_length(block: Block, length: int) -> Block:
    return Block(block.id, block.generation_stamp, length)


def committed(h: Harness, path: str) -> tuple[InodeId, Block]:
    """An open file whose only block of 7 bytes is committed and not ready."""
    inode_id = h.create(path).inode_id
    block = of_length(h.add_block(inode_id), 7)
    assert not h.complete(path, inode_id, block, ready=False)
    return inode_id, block


def test_readers_of_an_open_file_ask_datanodes_for_a_committed_block(h: Harness) -> None:
    inode_id, block = committed(h, "/f")
    found = h.namespace.get_blocks(h.view(), h.ctx(), "/f")
    assert found.last is not None
    assert (found.file_length, found.last.state) == (0, BlockState.COMMITTED)
    assert h.complete("/f", inode_id, block)
    assert h.namespace.get_blocks(h.view(), h.ctx(), "/f").file_length == 7


def test_a_block_is_charged_in_full_until_it_is_complete(h: Harness) -> None:
    inode_id, block = committed(h, "/f")
    assert h.namespace.get_content_summary(h.view(), h.ctx(), "/f").space_consumed == 4 * 100
    h.run(lambda tx: h.namespace.finish_block(tx, block.id))
    assert h.namespace.get_content_summary(h.view(), h.ctx(), "/f").space_consumed == 4 * 7
    assert h.complete("/f", inode_id, block)
    assert h.namespace.get_content_summary(h.view(), h.ctx(), "/f").space_consumed == 4 * 7


@pytest.mark.parametrize("complete", [False, True])
def test_the_last_block_can_be_taken_back_however_far_it_is(h: Harness, complete: bool) -> None:
    inode_id, block = committed(h, "/f")
    if complete:
        h.run(lambda tx: h.namespace.finish_block(tx, block.id))
    removed = h.run(lambda tx: h.namespace.abandon_block(tx, h.ctx(), block, inode_id, "/f", "c1"))
    assert removed is not None
    assert h.namespace.get_content_summary(h.view(), h.ctx(), "/f").space_consumed == 0
    assert h.complete("/f", inode_id, None)


def test_only_a_committed_block_can_be_finished(h: Harness) -> None:
    inode_id = h.create("/f").inode_id
    block = h.add_block(inode_id)
    h.run(lambda tx: h.namespace.finish_block(tx, block.id))
    record = h.namespace.block(h.view(), block.id)
    assert record is not None
    assert (record.state, record.pipeline) == (BlockState.UNDER_CONSTRUCTION, PIPELINE)


def test_the_time_of_a_directory_does_not_go_back(h: Harness) -> None:
    later = h.now_ms + 1000
    h.run(lambda tx: h.namespace.set_times(tx, h.ctx(), "/", later, -1))
    h.mkdirs("/d")
    info = h.info("/")
    assert info is not None
    assert info.modified_at_ms == later


def test_what_may_not_be_deleted_may_not_be_moved_to_the_trash(h: Harness) -> None:
    h.mkdirs("/a", 0o777)
    h.mkdirs("/a/mine", caller=ALICE)
    h.mkdirs("/a/mine/theirs/full")

    def move(to_trash: bool) -> None:
        h.run(lambda tx: h.namespace.rename2(tx, h.ctx(ALICE), "/a/mine", "/a/moved", to_trash=to_trash))

    with pytest.raises(AccessDenied, match='access=ALL, inode="/a/mine/theirs"'):
        move(to_trash=True)
    move(to_trash=False)
    assert h.info("/a/moved") is not None


def test_below_raw_everybody_looks_and_only_superusers_change(h: Harness) -> None:
    h.mkdirs("/a", 0o777)
    assert h.info("/.reserved/raw/a", ALICE) is not None
    with pytest.raises(AccessDenied, match="Superuser privilege is required"):
        h.mkdirs("/.reserved/raw/a/b", caller=ALICE)
    assert h.mkdirs("/.reserved/raw/a/b")
    assert h.names("/a") == ["b"]


def test_a_page_follows_an_inode_that_is_there(h: Harness) -> None:
    with pytest.raises(ListingStartNotFound, match=r"^Can't find startAfter /\.reserved/\.inodes/1$"):
        h.namespace.get_listing(h.view(), h.ctx(), "/", b"/.reserved/.inodes/1")


def test_summaries_name_the_first_directory_that_may_not_be_read_and_usage_the_last(h: Harness) -> None:
    h.mkdirs("/d")
    for name in ("a", "b"):
        h.mkdirs(f"/d/{name}", 0o700)
    with pytest.raises(AccessDenied, match='inode="/d/a"'):
        h.namespace.get_content_summary(h.view(), h.ctx(ALICE), "/d")
    with pytest.raises(AccessDenied, match='inode="/d/b"'):
        h.namespace.get_quota_usage(h.view(), h.ctx(ALICE), "/d")
    with pytest.raises(FileNotFound, match=r"^File/Directory does not exist: /none$"):
        h.namespace.get_quota_usage(h.view(), h.ctx(), "/none")


def test_a_delete_names_what_stands_first_in_its_way(h: Harness) -> None:
    h.mkdirs("/c/b/d/e")
    with pytest.raises(AccessDenied, match='access=WRITE, inode="/c"'):
        h.delete("/c/b", caller=ALICE)
    h.run(lambda tx: h.namespace.set_permission(tx, h.ctx(), "/c", 0o777))
    with pytest.raises(AccessDenied, match='access=ALL, inode="/c/b"'):
        h.delete("/c/b", recursive=False, caller=ALICE)
