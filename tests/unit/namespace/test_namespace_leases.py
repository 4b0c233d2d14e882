from __future__ import annotations

import pytest

from seamlessfs.model.block import Block
from seamlessfs.model.errors import AlreadyBeingCreated, IllegalArgument, LeaseExpired, RecoveryInProgress
from seamlessfs.store.records import BlockState
from tests.support.namespace_harness import Harness


@pytest.fixture
def h() -> Harness:
    return Harness()


def recover(h: Harness, path: str, *, ready: bool = True, length: int | None = 0) -> bool:
    return h.run(lambda tx: h.namespace.recover_lease(tx, h.ctx(), path, "R", lambda _: ready, lambda _: length))


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
    assert recover(h, "/f")
    found = h.namespace.get_blocks(h.view(), h.ctx(), "/f")
    assert (found.blocks, found.last, found.under_construction) == ((), None, False)
    assert recover(h, "/f")
    with pytest.raises(LeaseExpired, match="File is not open for writing"):
        h.add_block(inode_id, client="A")


def test_recovering_keeps_what_is_safe_and_refuses_the_old_writer_meanwhile(h: Harness) -> None:
    inode_id = h.create("/f", client="A").inode_id
    block = h.add_block(inode_id, client="A")
    assert not recover(h, "/f", length=None)
    record = h.namespace.block(h.view(), block.id)
    assert record is not None
    assert record.state is BlockState.UNDER_RECOVERY
    with pytest.raises(RecoveryInProgress, match="another recovery is in progress by HDFS_NameNode on 127"):
        h.create("/f", client="C")
    with pytest.raises(Exception, match="is UNDER_RECOVERY but not UNDER_CONSTRUCTION"):
        h.run(lambda tx: h.namespace.update_block_for_pipeline(tx, h.ctx(), block, "A"))
    with pytest.raises(LeaseExpired, match=r"Client \(=A\) is not the lease owner \(=HDFS_NameNode: /f"):
        h.complete("/f", inode_id, Block(block.id, block.generation_stamp, 99), client="A")
    assert h.namespace.recovering(h.view()) == [inode_id]
    assert not recover(h, "/f", length=77, ready=False)
    assert recover(h, "/f", length=77)
    info = h.info("/f")
    assert info is not None
    assert info.length == 77
    assert h.namespace.recovering(h.view()) == []
    assert h.namespace.is_file_closed(h.view(), h.ctx(), "/f")


def test_a_released_file_lost_with_its_directory_counts_as_closed(h: Harness) -> None:
    inode_id = h.create("/d/f", client="A").inode_id
    h.delete("/d")
    assert h.run(lambda tx: h.namespace.release(tx, h.ctx(), inode_id, lambda _: True, lambda _: None))


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
