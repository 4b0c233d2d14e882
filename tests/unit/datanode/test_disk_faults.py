"""The n-th call of a write, copy, append or deletion fails: what was acknowledged stays true, and no more is said.

EIO: the disk is bad, its volume is out of use. ENOSPC: this write is refused, the volume goes on.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TransferNode
from write_script import DATA, ENDS, Outcome, append, block_id, copy, request, write

from seamlessfs.model.block import ReplicaState
from seamlessfs.model.errors import ReplicaNotFound
from seamlessfs.model.ids import GenerationStamp
from seamlessfs.wire.xfer.ops import Stage
from tests.support.faulty_calls import CHANGES, Fault, FaultyCalls
from tests.support.observe import until

MakeNode = Callable[..., TransferNode]
Act = Callable[[Any], Outcome]
CALLS_MAX = 60
UNIMPORTANT = "seamlessfs.xxh3"
"""The file of digests: what it cannot take is not kept, and harms nobody."""


def prepared_for(act: Act, node: TransferNode) -> None:
    if act is append:
        assert write(node).final


def content_of(node: TransferNode, number: int = 1) -> bytes:
    """What the files hold as far as the replica's length goes, verified as a reader does."""
    found = node.store.find(block_id(number))
    assert found is not None
    replica = node.store.look(block_id(number))
    assert replica is not None
    return replica.files[0].read_bytes()[: found[1].length]


def restarted(node: TransferNode) -> None:
    node.stop()
    node.start()


def settled(node: TransferNode) -> None:
    until(lambda: node.server.active == 0, "the connection to end", 10)


def each_call(make_node: MakeNode, act: Act, error: str) -> list[tuple[int, TransferNode, Outcome, str, str]]:
    """Runs the operation on one fresh node a call, with that call failing; yields what became of it."""
    found = []
    for nth in range(1, CALLS_MAX):
        node = make_node()
        prepared_for(act, node)
        with FaultyCalls(node.folder, [Fault(CHANGES, nth=nth, error=error)]) as calls:
            outcome = act(node)
            settled(node)
        if not calls.hits:
            assert outcome.final, "the operation succeeds when nothing fails"
            return found
        found.append((nth, node, outcome, *calls.hits[0]))
    raise AssertionError(f"more than {CALLS_MAX} calls")


@pytest.mark.parametrize("act", [write, copy, append])
def test_eio_takes_the_volume_out_of_use_and_is_never_acknowledged(make_node: MakeNode, act: Act) -> None:
    cases = each_call(make_node, act, "EIO")
    assert len(cases) > 8
    for nth, node, outcome, call, path in cases:
        told = f"call {nth}: {call} {path}"
        if path.endswith(UNIMPORTANT):
            assert outcome.final, told
            continue
        assert not outcome.final, told
        assert node.store.volumes[0].failed, told
        assert node.store.find(block_id(1)) is None, told
        assert node.store.reports()[0].failed, told
        restarted(node)
        found = node.store.find(block_id(1))
        if outcome.synced:
            assert found is not None, told
            assert found[1].length >= outcome.synced, told
        if found is not None:
            assert content_of(node) == DATA[: found[1].length], told


@pytest.mark.parametrize("act", [write, copy, append])
def test_enospc_refuses_the_write_and_nothing_else(make_node: MakeNode, act: Act) -> None:
    cases = each_call(make_node, act, "ENOSPC")
    assert len(cases) > 8
    for nth, node, outcome, call, path in cases:
        told = f"call {nth}: {call} {path}"
        assert outcome.final == path.endswith(UNIMPORTANT), told
        assert not node.store.volumes[0].failed, told
        assert write(node, number=2).final, told
        found = node.store.find(block_id(1))
        if outcome.synced and act is not copy:
            assert found is not None, told
            assert found[1].length >= outcome.synced, told
        if found is not None:
            assert content_of(node) == DATA[: found[1].length], told
            assert (found[0] is ReplicaState.FINALIZED) <= (outcome.final or act is append), told
        restarted(node)
        again = node.store.find(block_id(1))
        assert content_of(node, 2) == DATA[: ENDS[-1]], told
        if found is not None and found[0] is not ReplicaState.TEMPORARY:
            assert again is not None, told
            assert content_of(node) == DATA[: again[1].length], told


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_sync_that_failed_is_not_tried_again(make_node: MakeNode, error: str) -> None:
    """After a failed fsync the next one says yes without having written what the first one lost."""
    node = make_node()
    with FaultyCalls(node.folder, [Fault("fdatasync|fsync", match="*blk_*", error=error)]):
        outcome = write(node)
        settled(node)
    assert (outcome.acked, outcome.synced, outcome.final) == (1400, 0, False)
    found = node.store.find(block_id(1))
    if error == "ENOSPC":
        assert found is not None
        assert (found[0], found[1].length) == (ReplicaState.RWR, 5000)
    else:
        assert found is None
    for stage in (Stage.PIPELINE_CLOSE_RECOVERY, Stage.PIPELINE_SETUP_STREAMING_RECOVERY):
        assert recovery_refused(node, stage)


def recovery_refused(node: TransferNode, stage: Stage) -> bool:
    from frame_peer import Peer

    peer = Peer(node)
    bounds = {"min_bytes_received": 1400, "max_bytes_received": 5000}
    peer.stream.sendall(request(1, stage, length=5000, latest_generation_stamp=1002, **bounds))
    ended = peer.ended()
    peer.close()
    return ended


@pytest.mark.parametrize(("call", "nth"), [("unlink", 1), ("unlink", 2)])
@pytest.mark.parametrize("error", ["EIO", "EROFS", "ENOSPC"])
def test_a_deletion_that_fails(make_node: MakeNode, call: str, nth: int, error: str) -> None:
    node = make_node()
    assert write(node).final
    number = getattr(errno, error)
    with (
        FaultyCalls(node.folder, [Fault(call, nth=nth, error=error)]),
        pytest.raises(OSError, match=rf"\[Errno {number}\]"),
    ):
        node.store.invalidate(block_id(1), GenerationStamp(1001))
    assert node.store.volumes[0].failed is (error != "ENOSPC")
    assert (node.store.find(block_id(1)) is None) is (error != "ENOSPC")
    if error == "ENOSPC":
        assert node.store.invalidate(block_id(1), GenerationStamp(1001))
    restarted(node)
    if node.store.find(block_id(1)) is not None:
        assert node.store.invalidate(block_id(1), GenerationStamp(1001))
    assert not list(node.folder.rglob("blk_*"))


def test_short_writes_are_written_on(make_node: MakeNode) -> None:
    node = make_node()
    with FaultyCalls(node.folder, [Fault("pwrite", short=3, times=None)]) as calls:
        outcome = write(node)
        settled(node)
    assert outcome.final
    assert len(calls.hits) > ENDS[-1] // 4
    restarted(node)
    assert content_of(node) == DATA[: ENDS[-1]]


def test_no_descriptors_refuse_one_write_and_fail_no_disk(make_node: MakeNode) -> None:
    node = make_node()
    with FaultyCalls(node.folder, [Fault("open", match="*blk_*", error="EMFILE", nth=2)]):
        assert not write(node).final
        settled(node)
    assert not node.store.volumes[0].failed
    assert not list(node.folder.rglob("blk_*"))
    assert write(node).final


def test_other_volumes_go_on(make_node: MakeNode, tmp_path: Any) -> None:
    node = make_node(data_dirs=(tmp_path / "one", tmp_path / "two"))
    numbers = range(1, 7)
    for number in numbers:
        assert write(node, number).final
    bad, good = node.store.volumes
    on_bad = set(node.store.finalized_on(bad))
    assert len(on_bad) == 3
    with FaultyCalls(tmp_path / "one", [Fault("fdatasync", error="EIO")]):
        outcomes = [write(node, number) for number in range(7, 9)]
        settled(node)
    assert [outcome.final for outcome in outcomes].count(False) == 1
    assert (bad.failed, good.failed) == (True, False)
    assert [report.failed for report in node.store.reports()] == [True, False]
    for number in numbers:
        assert (node.store.find(block_id(number)) is None) is (block_id(number) in on_bad)
    assert all(write(node, number).final for number in range(20, 24))
    assert len(node.store.finalized_on(good)) == 3 + 1 + 4


@pytest.mark.parametrize("act", [write, copy, append])
def test_what_is_final_was_made_durable_behind_its_last_byte_and_its_last_name(make_node: MakeNode, act: Act) -> None:
    node = make_node()
    prepared_for(act, node)
    with FaultyCalls(node.folder) as calls:
        assert act(node).final
        settled(node)
    seen = [(call, Path(path)) for call, path in calls.seen]
    for kind in ("", ".meta"):
        written = [at for at, (call, path) in enumerate(seen) if "write" in call and is_block_file(path, kind)]
        assert any(call == "fdatasync" and is_block_file(path, kind) for call, path in seen[written[-1] :])
    named = [at for at, (call, path) in enumerate(seen) if call in ("rename", "replace") and "blk_" in path.name]
    assert any(call == "fsync" and "finalized" in path.parts for call, path in seen[named[-1] :])


def test_the_last_packet_is_not_acknowledged_before_the_replica_is_final(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node()

    def refuse(writer: object) -> None:
        raise ReplicaNotFound(f"Replica {writer} was taken away from its writer")

    monkeypatch.setattr(node.store, "finalize", refuse)
    outcome = write(node)
    assert outcome.acked == ENDS[-1]
    assert not outcome.final


def test_a_replica_is_durable_under_a_new_stamp_before_its_writer_goes_on(make_node: MakeNode) -> None:
    """Else it has its old stamp again after a power cut, while the namenode counts on the new one."""
    node = make_node()
    assert write(node).final
    with FaultyCalls(node.folder) as calls:
        node.store.reopen(block_id(1), GenerationStamp(1005))
    seen = [(call, Path(path)) for call, path in calls.seen]
    named = [at for at, (call, path) in enumerate(seen) if call in ("rename", "replace") and "blk_" in path.name]
    assert any(call == "fsync" and path.name == "rbw" for call, path in seen[named[-1] :])


def test_nobody_goes_on_with_what_could_not_be_made_durable(make_node: MakeNode) -> None:
    node = make_node()
    assert write(node).final
    writer = node.store.reopen(block_id(1), GenerationStamp(1005))
    writer.distrusted = True
    with pytest.raises(ReplicaNotFound, match="could not be made durable"):
        node.store.reopen(block_id(1), GenerationStamp(1006))


def is_block_file(path: Path, suffix: str) -> bool:
    return path.name.startswith("blk_") and path.suffix == suffix


def test_a_deletion_of_an_older_stamp_leaves_the_replica(make_node: MakeNode) -> None:
    node = make_node()
    assert write(node).final
    assert not node.store.invalidate(block_id(1), GenerationStamp(1000))
    assert content_of(node) == DATA[: ENDS[-1]]


def test_a_writer_of_an_older_stamp_cannot_go_on_with_a_newer_replica(make_node: MakeNode) -> None:
    node = make_node()
    assert write(node).final
    node.store.reopen(block_id(1), GenerationStamp(1005))
    with pytest.raises(ReplicaNotFound, match="the block was taken from the writer"):
        node.store.reopen(block_id(1), GenerationStamp(1004))
