from __future__ import annotations

import pytest

from seamlessfs.model.block import Block
from seamlessfs.model.errors import FileNotFound, LeaseExpired, NotReplicatedYet, RemoteIOError
from seamlessfs.model.ids import BlockId, GenerationStamp, InodeId
from seamlessfs.namespace.context import NamespaceLimits
from seamlessfs.namespace.ops.writing import require_ready
from seamlessfs.store.records import BlockState
from tests.support.namespace_harness import PIPELINE, Harness


@pytest.fixture
def h() -> Harness:
    return Harness()


def of_length(block: Block, length: int) -> Block:
    return Block(block.id, block.generation_stamp, length)


def test_a_file_of_two_blocks_is_written_and_read(h: Harness) -> None:
    status = h.create("/a/b/f")
    assert status.name == b""
    assert status.inode_id
    assert status.replication == 4
    assert status.policy_id == 16
    first = h.add_block(status.inode_id)
    h.now_ms += 5
    second = h.add_block(status.inode_id, previous=of_length(first, 100))
    assert second.id == first.id + 1
    assert second.generation_stamp > first.generation_stamp
    open_blocks = h.namespace.get_blocks(h.view(), h.ctx(), "/a/b/f")
    assert open_blocks.under_construction
    assert open_blocks.file_length == 100
    assert [b.state for b in open_blocks.blocks] == [BlockState.COMMITTED, BlockState.UNDER_CONSTRUCTION]
    assert open_blocks.last is not None
    assert open_blocks.last.pipeline == PIPELINE
    summary = h.namespace.get_content_summary(h.view(), h.ctx(), "/a")
    assert (summary.length, summary.files, summary.directories, summary.space_consumed) == (100, 1, 2, 800)
    assert h.complete("/a/b/f", status.inode_id, of_length(second, 42))
    closed = h.namespace.get_blocks(h.view(), h.ctx(), "/a/b/f")
    assert not closed.under_construction
    assert closed.file_length == 142
    assert [(b.offset, b.block.length, b.state.name, b.home_idc, b.peer_idc) for b in closed.blocks] == [
        (0, 100, "COMPLETE", "a", "b"),
        (100, 42, "COMPLETE", "a", "b"),
    ]
    info = h.info("/a/b/f")
    assert info is not None
    assert info.length == 142
    assert info.modified_at_ms == h.now_ms
    summary = h.namespace.get_content_summary(h.view(), h.ctx(), "/")
    assert (summary.length, summary.space_consumed) == (142, 568)


@pytest.mark.parametrize(
    ("offset", "length", "offsets"),
    [
        (0, 0, [0]),
        (0, 1, [0]),
        (99, 1, [0]),
        (99, 2, [0, 100]),
        (100, 0, [100]),
        (0, 1 << 62, [0, 100, 200]),
        (249, 9, [200]),
        (250, 9, []),
        (999, 0, []),
    ],
)
def test_a_range_of_blocks(h: Harness, offset: int, length: int, offsets: list[int]) -> None:
    h.write_file("/f", (100, 100, 50))
    found = h.namespace.get_blocks(h.view(), h.ctx(), "/f", offset, length)
    assert [b.offset for b in found.blocks] == offsets
    assert found.last is not None
    assert found.last.offset == 200


def test_the_open_block_that_a_file_begins_with_is_in_every_range(h: Harness) -> None:
    h.add_block(h.create("/f").inode_id)
    for offset, length in ((0, 0), (0, 1), (7, 1), (0, (1 << 63) - 1)):
        found = h.namespace.get_blocks(h.view(), h.ctx(), "/f", offset, length)
        assert (found.file_length, found.blocks) == (0, (found.last,))


def test_a_block_is_no_longer_than_its_files_block_size(h: Harness) -> None:
    inode_id = h.create("/f").inode_id
    with pytest.raises(RemoteIOError, match="with length 101: 0 to 100 bytes are possible"):
        h.complete("/f", inode_id, of_length(h.add_block(inode_id), 101))


def test_a_block_size_of_0_is_taken_for_1() -> None:
    h = Harness(NamespaceLimits(block_bytes_min=0))
    assert h.create("/f", block_size=0).block_size == 1


def test_a_repeated_add_block_is_told_the_block_it_got(h: Harness) -> None:
    inode_id = h.create("/f").inode_id
    first = h.add_block(inode_id)
    again = h.namespace.prepare_block(h.view(), h.ctx(), "/f", inode_id, "c1", None)
    assert again.retry_of is not None
    assert again.retry_of.block == first
    second = h.add_block(inode_id, previous=of_length(first, 100))
    again = h.namespace.prepare_block(h.view(), h.ctx(), "/f", inode_id, "c1", of_length(first, 100))
    assert again.retry_of is not None
    assert again.retry_of.id == second.id
    assert again.offset == 100
    with pytest.raises(RemoteIOError, match="passed 'previous' block null does not match actual last block"):
        h.namespace.prepare_block(h.view(), h.ctx(), "/f", inode_id, "c1", None)
    stale = Block(second.id, GenerationStamp(second.generation_stamp + 9), 5)
    with pytest.raises(RemoteIOError, match="does not match actual last block"):
        h.namespace.prepare_block(h.view(), h.ctx(), "/f", inode_id, "c1", stale)


def test_the_block_before_the_last_must_be_ready(h: Harness) -> None:
    inode_id = h.create("/f").inode_id
    first = h.add_block(inode_id)
    second = h.add_block(inode_id, previous=of_length(first, 100))
    target = h.namespace.prepare_block(h.view(), h.ctx(), "/f", inode_id, "c1", of_length(second, 100))
    assert target.must_be_ready == (first.id,)
    assert target.home_idc == "a"
    assert target.offset == 200
    with pytest.raises(NotReplicatedYet, match="Not replicated yet: /f"):
        require_ready(target, lambda _: False)
    require_ready(target, lambda _: True)
    third = h.add_block(inode_id, previous=of_length(second, 100))
    states = [b.state.name for b in h.namespace.get_blocks(h.view(), h.ctx(), "/f").blocks]
    assert states == ["COMPLETE", "COMMITTED", "UNDER_CONSTRUCTION"]
    assert h.complete("/f", inode_id, of_length(third, 1))


def test_complete_waits_for_replicas_and_may_be_repeated(h: Harness) -> None:
    inode_id = h.create("/f").inode_id
    last = of_length(h.add_block(inode_id), 10)
    assert not h.complete("/f", inode_id, last, ready=False)
    assert not h.namespace.is_file_closed(h.view(), h.ctx(), "/f")
    info = h.info("/f")
    assert info is not None
    assert info.length == 10
    assert h.complete("/f", inode_id, last)
    assert h.complete("/f", inode_id, last)
    with pytest.raises(LeaseExpired, match=r"File is not open for writing: /f \(inode \d+\) Holder c1 does not have"):
        h.complete("/f", inode_id, Block(last.id, GenerationStamp(1), 10))
    with pytest.raises(LeaseExpired, match="Holder c2 does not have any open files"):
        h.complete("/f", inode_id, None, client="c2")


def test_a_file_without_blocks_is_completed_without_a_last_one(h: Harness) -> None:
    inode_id = h.create("/f").inode_id
    assert h.complete("/f", inode_id, None)
    assert h.complete("/f", inode_id, None)
    found = h.namespace.get_blocks(h.view(), h.ctx(), "/f")
    assert (found.file_length, found.last, found.blocks, found.under_construction) == (0, None, (), False)


def test_errors_of_writers_name_the_file_and_the_holders(h: Harness) -> None:
    inode_id = h.create("/d/f", client="A").inode_id
    expected = (
        rf"Client \(=B\) is not the lease owner \(=A: /d/f \(inode {inode_id}\) Holder B does not have any open files\."
    )
    with pytest.raises(LeaseExpired, match=expected):
        h.namespace.prepare_block(h.view(), h.ctx(), "/none", inode_id, "B", None)
    h.delete("/d")
    with pytest.raises(FileNotFound, match=rf"File does not exist: /d/f \(inode {inode_id}\) Holder A does not have"):
        h.complete("/d/f", inode_id, None, client="A")
    with pytest.raises(FileNotFound, match="File does not exist: "):
        h.add_block(inode_id, client="A")


def test_the_id_wins_over_the_path(h: Harness) -> None:
    inode_id = h.create("/old/f").inode_id
    h.run(lambda tx: h.namespace.rename2(tx, h.ctx(), "/old", "/new"))
    block = h.add_block(inode_id)
    with pytest.raises(FileNotFound, match="File does not exist: /old/f"):
        h.complete("/old/f", InodeId(0), of_length(block, 1))
    assert h.complete("/old/f", inode_id, of_length(block, 1))
    info = h.info("/new/f")
    assert info is not None
    assert info.length == 1


def test_an_abandoned_block_is_gone_and_abandoning_twice_is_fine(h: Harness) -> None:
    inode_id = h.create("/f").inode_id
    block = h.add_block(inode_id)
    gone = h.run(lambda tx: h.namespace.abandon_block(tx, h.ctx(), block, inode_id, "/f", "c1"))
    assert gone is not None
    assert gone.block == block
    assert h.run(lambda tx: h.namespace.abandon_block(tx, h.ctx(), block, inode_id, "/f", "c1")) is None
    assert h.namespace.block(h.view(), block.id) is None
    following = h.add_block(inode_id)
    assert following.id > block.id
    assert following.generation_stamp > block.generation_stamp


def test_fsync_shows_a_length_that_only_grows(h: Harness) -> None:
    inode_id = h.create("/f").inode_id
    block = h.add_block(inode_id)
    for length, shown in ((30, 30), (-1, 30), (20, 30), (60, 60)):
        h.run(lambda tx, n=length: h.namespace.fsync(tx, h.ctx(), "/f", inode_id, "c1", n))  # type: ignore[misc]
        info = h.info("/f")
        assert info is not None
        assert info.length == shown
    found = h.namespace.get_blocks(h.view(), h.ctx(), "/f")
    assert found.file_length == 0
    assert found.last is not None
    assert found.last.block.length == 60
    with pytest.raises(RemoteIOError, match="over its block size"):
        h.run(lambda tx: h.namespace.fsync(tx, h.ctx(), "/f", inode_id, "c1", 101))
    with pytest.raises(RemoteIOError, match="60 to 100 bytes are possible"):
        h.complete("/f", inode_id, of_length(block, 59))
    assert h.complete("/f", inode_id, of_length(block, 60))


def test_a_new_stamp_is_the_blocks_only_after_update_pipeline(h: Harness) -> None:
    inode_id = h.create("/f").inode_id
    block = h.add_block(inode_id)
    stamp = h.run(lambda tx: h.namespace.update_block_for_pipeline(tx, h.ctx(), block, "c1"))
    record = h.namespace.block(h.view(), block.id)
    assert stamp > block.generation_stamp
    assert record is not None
    assert record.generation_stamp == block.generation_stamp
    with pytest.raises(LeaseExpired, match="is accessed by a non lease holder B"):
        h.run(lambda tx: h.namespace.update_block_for_pipeline(tx, h.ctx(), block, "B"))
    new = Block(block.id, stamp, 12)
    h.run(lambda tx: h.namespace.update_pipeline(tx, h.ctx(), "c1", block, new, PIPELINE[:1]))
    record = h.namespace.block(h.view(), block.id)
    assert record is not None
    assert record.block == new
    assert record.pipeline == PIPELINE[:1]
    for wrong, text in (
        (Block(block.id, stamp, 12), "does not have a larger generation stamp than the last block"),
        (Block(block.id, GenerationStamp(stamp + 1), 11), r"\(size=12\) to a smaller size block"),
        (Block(block.id, GenerationStamp(stamp + 1), 12), "that generation stamp was never given out"),
        (Block(BlockId(block.id + 1), GenerationStamp(stamp + 1), 12), "is another block"),
    ):
        with pytest.raises(RemoteIOError, match=text):
            h.run(lambda tx, b=wrong: h.namespace.update_pipeline(tx, h.ctx(), "c1", new, b, ()))  # type: ignore[misc]
    assert h.complete("/f", inode_id, of_length(new, 12))
    with pytest.raises(RemoteIOError, match="is COMPLETE but not UNDER_CONSTRUCTION"):
        h.run(lambda tx: h.namespace.update_block_for_pipeline(tx, h.ctx(), new, "c1"))


def test_commit_times_never_go_back(h: Harness) -> None:
    early = h.now_ms
    h.write_file("/f", (10,))
    h.now_ms -= 500
    h.write_file("/g", (10,))
    h.now_ms += 600
    h.write_file("/h", (10,))
    assert [record.committed_at_ms for record in h.namespace.blocks(h.view())] == [early, early, early + 100]


def test_a_complete_block_is_found_quickly_and_so_is_one_of_an_unlinked_file(h: Harness) -> None:
    def version(block: Block) -> tuple[int, int] | None:
        return h.namespace.complete_version(h.view(), block.id)

    inode_id = h.create("/f").inode_id
    block = h.add_block(inode_id)
    assert version(block) is None
    assert h.complete("/f", inode_id, Block(block.id, block.generation_stamp, 7))
    assert version(block) == (block.generation_stamp, 7)
    h.delete("/f")
    assert h.namespace.file(h.view(), inode_id) is None
    assert version(block) == (block.generation_stamp, 7)
    h.reap_all()
    assert version(block) is None
    assert h.namespace.complete_version(h.view(), BlockId(1 << 63)) is None
