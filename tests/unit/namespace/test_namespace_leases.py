from __future__ import annotations

import pytest

from seamlessfs.model.block import Block
from seamlessfs.model.errors import (
    AlreadyBeingCreated,
    IllegalArgument,
    LeaseExpired,
    RecoveryInProgress,
    RemoteIOError,
)
from seamlessfs.model.ids import InodeId
from seamlessfs.namespace.ops.recovering import Recoverable, Release
from seamlessfs.store.records import BlockRecord, BlockState
from tests.support.namespace_harness import PIPELINE, Harness


@pytest.fixture
def h() -> Harness:
    return Harness()


def recover(h: Harness, path: str, *, ready: bool = True, busy: bool = False) -> Release:
    return h.run(lambda tx: h.namespace.recover_lease(tx, h.ctx(), path, lambda _: ready, lambda _: busy))


def begin(h: Harness, path: str) -> Recoverable:
    """Takes a file whose last block is open; returns what has to be recovered."""
    release = recover(h, path)
    assert not release.closed
    assert release.recover is not None
    return release.recover


def commit(h: Harness, block: Block, *, lost: int = 0, ready: bool = True) -> Release:
    return h.run(lambda tx: h.namespace.commit_recovered(tx, h.ctx(), block, lost, PIPELINE, lambda _: ready))


def drop(h: Harness, block: Block, *, lost: int = 0, ready: bool = True) -> tuple[Release, BlockRecord | None]:
    return h.run(lambda tx: h.namespace.drop_recovered(tx, h.ctx(), block, lost, lambda _: ready))


def is_closed(h: Harness, path: str = "/f") -> bool:
    return h.namespace.is_file_closed(h.view(), h.ctx(), path)


def test_a_client_may_call_itself_nothing(h: Harness) -> None:
    inode_id = h.create("/f", client="").inode_id
    h.create("/d/f", client="")
    with pytest.raises(AlreadyBeingCreated, match="because  is already the current lease holder"):
        h.create("/f", client="")
    assert not h.namespace.is_file_closed(h.view(), h.ctx(), "/f")
    h.restart()
    h.namespace.renew_lease("", h.now_ms)
    with pytest.raises(LeaseExpired, match=r"\[Lease.  Holder: , pending creates: 2\]"):
        h.complete("/none", h.create("/g").inode_id, None, client="")
    assert h.complete("/f", inode_id, None, client="")
    assert h.namespace.is_file_closed(h.view(), h.ctx(), "/f")
    h.now_ms += h.limits.hard_lease_ms + 1
    assert [holder for holder, _ in h.namespace.expired_leases(h.view(), h.now_ms)] == ["", "c1"]


def test_only_silent_holders_expire(h: Harness) -> None:
    first = h.create("/f", client="A").inode_id
    second = h.create("/g", client="B").inode_id
    h.create("/d/h", client="A")
    h.delete("/d")
    h.now_ms += h.limits.hard_lease_ms
    h.namespace.renew_lease("B", h.now_ms)
    h.now_ms += 1
    assert h.namespace.expired_leases(h.view(), h.now_ms) == [("A", first)]
    h.now_ms += h.limits.hard_lease_ms
    assert h.namespace.expired_leases(h.view(), h.now_ms) == [("A", first), ("B", second)]


@pytest.mark.parametrize("jump_ms", [-900_000, 10 * 1_200_000])
def test_a_wall_clock_that_jumps_ends_no_lease(h: Harness, jump_ms: int) -> None:
    h.create("/f", client="A")
    h.jump_ms = jump_ms
    h.create("/g", client="B")
    assert h.namespace.expired_leases(h.view(), h.ctx().steady_ms) == []
    with pytest.raises(AlreadyBeingCreated, match="currently owned by A"):
        h.create("/f", client="B")
    h.jump_ms = 0
    h.now_ms += h.limits.soft_lease_ms + 1
    with pytest.raises(RecoveryInProgress, match="lease recovery is in progress"):
        h.create("/f", client="C")


def test_after_a_restart_every_holder_counts_as_heard_of(h: Harness) -> None:
    inode_id = h.create("/f", client="A").inode_id
    h.now_ms += 10 * h.limits.hard_lease_ms
    h.restart()
    assert h.namespace.expired_leases(h.view(), h.now_ms) == []
    h.now_ms += h.limits.hard_lease_ms + 1
    assert h.namespace.expired_leases(h.view(), h.now_ms) == [("A", inode_id)]


def test_holders_without_files_are_forgotten_and_strangers_not_remembered(h: Harness) -> None:
    for i in range(5):
        h.write_file(f"/f{i}", client="c1")
        h.namespace.renew_lease(f"stranger{i}", h.now_ms)
    assert len(h.namespace.leases) == 1
    h.now_ms += h.limits.hard_lease_ms + 1
    assert h.namespace.expired_leases(h.view(), h.now_ms) == []
    assert len(h.namespace.leases) == 0


def test_recovering_drops_a_block_that_nobody_wrote(h: Harness) -> None:
    inode_id = h.create("/f", client="A").inode_id
    h.add_block(inode_id, client="A")
    recoverable = begin(h, "/f")
    release, gone = drop(h, Block(recoverable.record.id, recoverable.recovery_id))
    assert release == Release(True, inode_id)
    assert gone == recoverable.record._replace(txid=gone.txid if gone else 0)
    found = h.namespace.get_blocks(h.view(), h.ctx(), "/f")
    assert (found.blocks, found.last, found.under_construction) == ((), None, False)
    assert recover(h, "/f").closed
    with pytest.raises(LeaseExpired, match="File is not open for writing"):
        h.add_block(inode_id, client="A")


@pytest.mark.parametrize("kept", [0, 13])
def test_bytes_that_every_machine_lost_are_given_up_only_when_that_is_said(h: Harness, kept: int) -> None:
    inode_id = h.create("/f", client="A").inode_id
    first = h.add_block(inode_id, client="A")
    h.add_block(inode_id, client="A", previous=Block(first.id, first.generation_stamp, 100))
    h.run(lambda tx: h.namespace.fsync(tx, h.ctx(), "/f", inode_id, "A", 40))
    recoverable = begin(h, "/f")
    recovered = Block(recoverable.record.id, recoverable.recovery_id, kept)
    give_up = commit if kept else drop
    with pytest.raises(RemoteIOError):
        give_up(h, recovered, lost=39 - kept)
    give_up(h, recovered, lost=40 - kept)
    assert is_closed(h)
    info = h.info("/f")
    assert info is not None
    assert info.length == 100 + kept


def test_promised_bytes_are_not_dropped_or_cut(h: Harness) -> None:
    inode_id = h.create("/f", client="A").inode_id
    h.add_block(inode_id, client="A")
    h.run(lambda tx: h.namespace.fsync(tx, h.ctx(), "/f", inode_id, "A", 40))
    recoverable = begin(h, "/f")
    block_id, stamp = recoverable.record.id, recoverable.recovery_id
    with pytest.raises(RemoteIOError, match="40 synced bytes"):
        drop(h, Block(block_id, stamp))
    with pytest.raises(RemoteIOError, match="40 to 100 bytes are possible"):
        commit(h, Block(block_id, stamp, 39))
    assert not is_closed(h)
    assert commit(h, Block(block_id, stamp, 40)).closed


def test_recovering_refuses_the_old_writer_until_the_end_and_after_it(h: Harness) -> None:
    inode_id = h.create("/f", client="A").inode_id
    block = h.add_block(inode_id, client="A")
    recoverable = begin(h, "/f")
    assert recoverable.recovery_id > block.generation_stamp
    assert (recoverable.record.state, recoverable.record.pipeline) == (BlockState.UNDER_RECOVERY, PIPELINE)
    with pytest.raises(RecoveryInProgress, match="another recovery is in progress by HDFS_NameNode on 127"):
        h.create("/f", client="C")
    renewed = Block(block.id, recoverable.recovery_id, 99)
    for refused in (
        lambda tx: h.namespace.update_block_for_pipeline(tx, h.ctx(), block, "A"),
        lambda tx: h.namespace.update_pipeline(tx, h.ctx(), "A", block, renewed, PIPELINE),
    ):
        with pytest.raises(RemoteIOError, match="is UNDER_RECOVERY but not UNDER_CONSTRUCTION"):
            h.run(refused)
    with pytest.raises(LeaseExpired, match=r"Client \(=A\) is not the lease owner \(=HDFS_NameNode: /f"):
        h.complete("/f", inode_id, Block(block.id, block.generation_stamp, 99), client="A")
    assert h.namespace.recovering(h.view()) == [inode_id]
    assert commit(h, Block(block.id, recoverable.recovery_id, 77)) == Release(True, inode_id)
    info = h.info("/f")
    assert info is not None
    assert info.length == 77
    record = h.namespace.block(h.view(), block.id)
    assert record is not None
    assert (record.state, record.generation_stamp) == (BlockState.COMPLETE, recoverable.recovery_id)
    assert h.namespace.recovering(h.view()) == []
    assert is_closed(h)
    with pytest.raises(RemoteIOError, match="is COMPLETE but not UNDER_CONSTRUCTION"):
        h.run(lambda tx: h.namespace.update_pipeline(tx, h.ctx(), "A", block, renewed, PIPELINE))


def test_a_recovery_begins_again_under_a_newer_id_unless_one_is_under_way(h: Harness) -> None:
    inode_id = h.create("/f", client="A").inode_id
    h.add_block(inode_id, client="A")
    first = begin(h, "/f")
    assert recover(h, "/f", busy=True) == Release(False, inode_id)
    second = begin(h, "/f")
    assert second.recovery_id > first.recovery_id
    assert second.record.generation_stamp == first.record.generation_stamp
    assert commit(h, Block(second.record.id, second.recovery_id, 5)).closed
    assert commit(h, Block(first.record.id, first.recovery_id, 3)).inode_id == 0
    assert drop(h, Block(first.record.id, first.recovery_id)) == (Release(True, InodeId(0)), None)
    info = h.info("/f")
    assert info is not None
    assert info.length == 5


def test_a_recovery_of_a_stamp_that_is_not_newer_is_refused(h: Harness) -> None:
    block = h.add_block(h.create("/f", client="A").inode_id, client="A")
    begin(h, "/f")
    with pytest.raises(RemoteIOError, match="its stamp is not newer"):
        commit(h, Block(block.id, block.generation_stamp, 5))


def test_a_recovery_survives_a_restart(h: Harness) -> None:
    inode_id = h.create("/f", client="A").inode_id
    h.add_block(inode_id, client="A")
    first = begin(h, "/f")
    h.restart()
    assert h.namespace.recovering(h.view()) == [inode_id]
    release = h.run(lambda tx: h.namespace.release(tx, h.ctx(), inode_id, lambda _: True, lambda _: False))
    assert release.recover is not None
    assert release.recover.recovery_id > first.recovery_id


def test_a_committed_last_block_is_waited_for(h: Harness) -> None:
    inode_id = h.create("/f", client="A").inode_id
    block = h.add_block(inode_id, client="A")
    assert not h.complete("/f", inode_id, Block(block.id, block.generation_stamp, 50), client="A", ready=False)
    assert recover(h, "/f", ready=False) == Release(False, inode_id, waiting=(block.id,))
    with pytest.raises(LeaseExpired):
        h.complete("/f", inode_id, Block(block.id, block.generation_stamp, 50), client="A")
    assert recover(h, "/f") == Release(True, inode_id)
    info = h.info("/f")
    assert info is not None
    assert info.length == 50


@pytest.mark.parametrize(("found", "length"), [(0, 0), (20, 20), (50, 50)])
def test_a_committed_last_block_that_nobody_confirms_is_recovered(h: Harness, found: int, length: int) -> None:
    """Its writer may have closed the file after he reached no datanode: its length is no more than his word."""
    inode_id = h.create("/f", client="A").inode_id
    block = h.add_block(inode_id, client="A")
    assert not h.complete("/f", inode_id, Block(block.id, block.generation_stamp, 50), client="A", ready=False)
    assert recover(h, "/f", ready=False).waiting == (block.id,)
    again = recover(h, "/f", ready=False).recover
    assert again is not None
    assert again.record.length == 50
    recovered = Block(block.id, again.recovery_id, found)
    closed = commit(h, recovered, lost=50 - found) if found else drop(h, recovered, lost=50)[0]
    assert closed == Release(True, inode_id)
    info = h.info("/f")
    assert info is not None
    assert info.length == length


@pytest.mark.parametrize("dropped", [True, False])
def test_a_block_before_the_last_without_replicas_is_waited_for_too(h: Harness, dropped: bool) -> None:
    inode_id = h.create("/f", client="A").inode_id
    first = h.add_block(inode_id, client="A")
    h.add_block(inode_id, client="A", previous=Block(first.id, first.generation_stamp, 100))
    recoverable = begin(h, "/f")
    recovered = Block(recoverable.record.id, recoverable.recovery_id, 0 if dropped else 7)
    release = drop(h, recovered, ready=False)[0] if dropped else commit(h, recovered, ready=False)
    assert release == Release(False, inode_id, waiting=(first.id,))
    assert not is_closed(h)
    assert h.namespace.recovering(h.view()) == [inode_id]
    assert recover(h, "/f") == Release(True, inode_id)
    info = h.info("/f")
    assert info is not None
    assert info.length == 100 + recovered.length


def test_another_client_takes_a_file_only_from_a_silent_holder(h: Harness) -> None:
    inode_id = h.create("/f", client="A").inode_id
    h.add_block(inode_id, client="A")

    def take(path: str = "/f") -> Release | None:
        return h.run(lambda tx: h.namespace.release_silent(tx, h.ctx(), path, lambda _: True, lambda _: False))

    h.now_ms += h.limits.soft_lease_ms
    assert take() is None
    assert take("/none") is None
    assert take("/") is None
    h.now_ms += 1
    release = take()
    assert release is not None
    assert release.recover is not None
    again = take()
    assert again is not None
    assert again.recover is not None
    assert commit(h, Block(release.recover.record.id, again.recover.recovery_id, 1)).closed
    assert take() is None


def test_a_released_file_lost_with_its_directory_counts_as_closed(h: Harness) -> None:
    inode_id = h.create("/d/f", client="A").inode_id
    h.add_block(inode_id, client="A")
    recoverable = begin(h, "/d/f")
    h.delete("/d")
    assert h.run(lambda tx: h.namespace.release(tx, h.ctx(), inode_id, lambda _: True, lambda _: False)).closed
    assert commit(h, Block(recoverable.record.id, recoverable.recovery_id, 9)) == Release(True, InodeId(0))


def test_answers_are_kept_with_their_effects(h: Harness) -> None:
    client = b"0123456789abcdef"
    retries = h.namespace.retries

    def remember(call_id: int, answer: bytes) -> None:
        h.gather(lambda tx: retries.remember(tx, h.now_ms, client, call_id, answer))

    assert retries.answer(h.view(), client, 1) is None
    remember(1, b"one")
    assert retries.answer(h.view(), client, 1) is None, "not durable yet"
    assert h.gather(lambda tx: retries.answer(tx, client, 1)) == b"one"
    h.seal()
    h.now_ms += 60_000
    remember(-2, b"")
    h.seal()
    h.restart()
    retries = h.namespace.retries
    assert retries.answer(h.view(), client, 1) == b"one"
    assert retries.answer(h.view(), client, -2) == b""
    assert retries.answer(h.view(), b"another", 1) is None


def test_an_answer_of_a_call_that_failed_is_not_kept(h: Harness) -> None:
    retries = h.namespace.retries

    def fails(tx: object) -> None:
        retries.remember(tx, h.now_ms, b"c", 1, b"lost")  # type: ignore[arg-type]
        raise IllegalArgument("on purpose")

    with pytest.raises(IllegalArgument):
        h.run(fails)
    assert retries.answer(h.view(), b"c", 1) is None


def test_answers_expire_after_their_time_in_bounded_steps(h: Harness) -> None:
    retries = h.namespace.retries
    for call_id in range(5):
        h.run(lambda tx, n=call_id: retries.remember(tx, h.now_ms, b"c", n, b"r"))  # type: ignore[misc]
    h.now_ms += h.limits.retry_cache_ms - 1
    assert h.run(lambda tx: retries.expire(tx, h.now_ms, 3)) == 0
    h.now_ms += 120_000
    counts = [h.run(lambda tx: retries.expire(tx, h.now_ms, 3)) for _ in range(3)]
    assert counts == [3, 2, 0]
    assert len(retries) == 0
    assert list(h.view().scan(b"T|", b"T}")) == []
