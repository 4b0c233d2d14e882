"""Descriptors over the UNIX socket: what is passed, what is refused, and how it is taken back."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from local_peer import LocalPeer
from write_script import DATA, block_id, request

from seamlessfs.datanode import shm_registry
from seamlessfs.datanode.replica import Replica
from seamlessfs.model.block import Block, ChecksumType, ExtendedBlock, ReplicaState
from seamlessfs.model.errors import ConfigurationError
from seamlessfs.model.ids import GenerationStamp, PoolId
from seamlessfs.net.domain_socket import DomainListener, require_safe_path, socket_path
from seamlessfs.wire.checksum import META_HEADER_BYTES, chunk_checksums, decode_meta_header
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.ops import ReadBlockOp, Stage
from seamlessfs.wire.xfer.short_circuit import ReleaseResponse, RequestFdsOp, RequestShmOp, ShmId, ShmResponse, SlotId
from tests.support.observe import until

MakeNode = Callable[..., Any]
POOL_ID = PoolId("BP-1-127.0.0.1-1")


def extended(number: int, stamp: int = 1001, pool: PoolId = POOL_ID) -> ExtendedBlock:
    return ExtendedBlock(pool, Block(block_id(number), GenerationStamp(stamp), len(DATA)))


def path_of(node: Any) -> Path:
    return socket_path(node.settings.domain_socket_path, node.port)


@pytest.fixture
def node(make_node: MakeNode, socket_folder: Path, connect: Any) -> Any:
    """A datanode with a UNIX socket, a finalised replica 1, and replica 2 that is being written."""
    made = make_node(domain_socket_path=f"{socket_folder}/dn_PORT")
    for number in (1, 2):
        writer = connect(made)
        assert writer.ask(request(number)).status is Status.SUCCESS
        writer.packet(0, 0, DATA)
        assert writer.ack().ok
        if number == 1:
            writer.packet(1, len(DATA), b"", last=True)
            assert writer.ack().ok
    return made


@pytest.fixture
def local(node: Any) -> Iterator[Callable[[], LocalPeer]]:
    peers: list[LocalPeer] = []

    def make() -> LocalPeer:
        peers.append(LocalPeer(path_of(node)))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()


def test_data_and_meta_file_are_passed_to_read_only(local: Any) -> None:
    peer = local()
    data, meta = peer.files(extended(1))
    assert os.pread(data, 1 << 20, 0) == DATA
    head = os.pread(meta, 1 << 20, 0)
    assert decode_meta_header(head[:META_HEADER_BYTES]).type is ChecksumType.CRC32C
    assert head[META_HEADER_BYTES:] == chunk_checksums(ChecksumType.CRC32C, 512, DATA)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(data, b"x")
    assert peer.files(extended(1)) != (data, meta), "the connection serves on"


def test_without_a_receipt_none_is_waited_for(local: Any) -> None:
    peer = local()
    assert peer.ask(RequestFdsOp(extended(1)).to_bytes()).status is Status.SUCCESS
    assert peer.receive(2)[0] == b"\0"
    assert peer.ask(RequestFdsOp(extended(1)).to_bytes()).status is Status.SUCCESS


@pytest.mark.parametrize(
    ("block", "status", "version"),
    [
        (extended(2), Status.ERROR_UNSUPPORTED, 1),
        (extended(1, stamp=1000), Status.ERROR_UNSUPPORTED, 1),
        (extended(1, stamp=1002), Status.ERROR_UNSUPPORTED, 1),
        (extended(3), Status.ERROR, None),
        (extended(1, pool=PoolId("BP-other")), Status.ERROR, None),
    ],
    ids=["being written", "older stamp", "newer stamp", "no replica", "another pool"],
)
def test_what_is_not_final_or_not_there_is_refused_and_the_connection_serves_on(
    local: Any, node: Any, block: ExtendedBlock, status: Status, version: int | None
) -> None:
    with closing(LocalPeer(path_of(node))) as owner:
        shm, slots = owner.segment()
        slots.claim(0)
        peer = local()
        answer = peer.ask(RequestFdsOp(block, slot=SlotId(shm, 0)).to_bytes())
        assert (answer.status, answer.access_version) == (status, version)
        assert node.context.shm.counts() == (1, 0), "a slot of nothing is not kept"
        peer.files(extended(1))


def test_a_client_of_an_older_format_is_told_the_version(local: Any) -> None:
    answer = local().ask(RequestFdsOp(extended(1), max_version=0).to_bytes())
    assert (answer.status, answer.access_version) == (Status.ERROR_UNSUPPORTED, 1)


def test_ordinary_reads_and_writes_over_the_same_socket(local: Any, node: Any) -> None:
    peer = local()
    assert peer.ask(ReadBlockOp(extended(1), "c", 0, 512).to_bytes()).status is Status.SUCCESS
    prefix = peer.stream.recv_exactly(4 + 2 + 25 + 4 + 512)
    assert prefix.endswith(DATA[:512])
    large = local()
    assert large.ask(request(3)).status is Status.SUCCESS


def test_over_tcp_nothing_is_passed(node: Any, connect: Any) -> None:
    asked = connect(node)
    refusal = asked.ask(RequestFdsOp(extended(1)).to_bytes())
    assert (refusal.status, refusal.message) == (
        Status.ERROR,
        "You cannot pass file descriptors over anything but a UNIX domain socket.",
    )
    assert asked.ended()
    asked = connect(node)
    asked.stream.sendall(RequestShmOp("c").to_bytes())
    answer = ShmResponse.decode(asked.stream.read_varint_delimited(1 << 16))
    assert answer.status is Status.ERROR_UNSUPPORTED
    assert asked.ended()


def delete(node: Any) -> None:
    assert node.store.invalidate(block_id(1), GenerationStamp(1001))


def find_damaged(node: Any) -> None:
    node.store.mark_damaged(node.store.look(block_id(1)))


def append(node: Any) -> None:
    node.store.reopen(block_id(1), GenerationStamp(1002), None).close()


def lose_its_volume(node: Any) -> None:
    node.store.disks.fail(node.store.volumes[0], OSError(5, "bad disk"))


def move(node: Any) -> None:
    replica: Replica = node.store.look(block_id(1))
    assert node.store.swap(replica, Replica(replica.block, ReplicaState.FINALIZED, replica.volume))


@pytest.mark.parametrize("change", [delete, find_damaged, append, lose_its_volume, move])
def test_a_replica_that_changes_or_goes_takes_its_slots_back(
    local: Any, node: Any, change: Callable[[Any], None]
) -> None:
    shm, slots = local().segment()
    for index in range(3):
        slots.claim(index)
    peer = local()
    data, _ = peer.files(extended(1), SlotId(shm, 0))
    peer.files(extended(1), SlotId(shm, 1))
    change(node)
    assert [slots.is_valid(index) for index in range(3)] == [False, False, True]
    assert os.pread(data, 1 << 20, 0) == DATA, "who has the descriptor reads on"
    if change is not move:
        refused = peer.ask(RequestFdsOp(extended(1), slot=SlotId(shm, 2)).to_bytes())
        assert refused.status in (Status.ERROR, Status.ERROR_UNSUPPORTED)
    assert node.context.shm.revoked == 2


def test_slots_are_taken_back_before_the_files_go(local: Any, node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shm, slots = local().segment()
    slots.claim(0)
    local().files(extended(1), SlotId(shm, 0))
    seen = []
    unlink = Path.unlink

    def watched(path: Path, missing_ok: bool = False) -> None:
        seen.append((path.suffix, slots.is_valid(0), node.store.find(block_id(1))))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", watched)
    delete(node)
    assert seen == [("", False, None), (".meta", False, None)]


def test_appended_bytes_are_of_a_new_stamp(local: Any, node: Any, connect: Any) -> None:
    """A reader with the old descriptors sees the old bytes; who asks for the old stamp gets no descriptor."""
    shm, slots = local().segment()
    slots.claim(0)
    peer = local()
    data, _ = peer.files(extended(1), SlotId(shm, 0))
    writer = connect(node)
    stage = Stage.PIPELINE_SETUP_APPEND
    answer = writer.ask(request(1, stage, length=len(DATA), min_bytes_received=len(DATA), latest_generation_stamp=1002))
    assert answer.status is Status.SUCCESS
    assert not slots.is_valid(0)
    writer.packet(0, len(DATA), b"more")
    assert writer.ack().ok
    writer.packet(1, len(DATA) + 4, b"", last=True)
    assert writer.ack().ok
    assert os.pread(data, len(DATA), 0) == DATA
    assert peer.ask(RequestFdsOp(extended(1)).to_bytes()).status is Status.ERROR_UNSUPPORTED
    assert os.pread(peer.files(extended(1, stamp=1002))[0], 1 << 20, 0) == DATA + b"more"


def test_slots_are_used_again_after_a_release(local: Any, node: Any) -> None:
    shm, slots = local().segment()
    slots.claim(5)
    peer, slot = local(), SlotId(shm, 5)
    peer.files(extended(1), slot)
    busy = peer.ask(RequestFdsOp(extended(1), slot=slot).to_bytes())
    assert (busy.status, busy.message) == (Status.ERROR, "Slot 5 is in use already")
    assert peer.release(slot) == ReleaseResponse(Status.SUCCESS)
    assert not slots.is_valid(5)
    assert peer.release(slot).status is Status.ERROR_INVALID
    assert peer.ask(RequestFdsOp(extended(1), slot=slot).to_bytes()).message == "Slot 5 is not marked as valid"
    slots.claim(5)
    peer.files(extended(1), slot)
    assert node.context.shm.counts() == (1, 1)


@pytest.mark.parametrize("index", [-1, 128, 1 << 30])
def test_a_slot_that_does_not_exist(local: Any, index: int) -> None:
    shm, _ = local().segment()
    peer = local()
    assert peer.ask(RequestFdsOp(extended(1), slot=SlotId(shm, index)).to_bytes()).status is Status.ERROR
    assert peer.release(SlotId(shm, index)).status is Status.ERROR_INVALID
    assert peer.release(SlotId(ShmId(1, 2), 0)).status is Status.ERROR_INVALID


@pytest.mark.parametrize("end", ["closes", "says something"])
def test_a_segment_ends_with_its_connection(local: Any, node: Any, end: str) -> None:
    owner, other = local(), local()
    shm, slots = owner.segment()
    other.segment()
    slots.claim(0)
    peer = local()
    peer.files(extended(1), SlotId(shm, 0))
    if end == "closes":
        owner.stream.close()
    else:
        owner.stream.sendall(RequestShmOp("again").to_bytes())
    until(lambda: node.context.shm.counts() == (1, 0), "the slots and segments to go")
    assert not slots.is_valid(0)
    assert peer.release(SlotId(shm, 0)).status is Status.ERROR_INVALID
    delete(node)
    assert node.context.shm.revoked == 0


def test_a_reader_cannot_shorten_the_memory(local: Any) -> None:
    peer = local()
    peer.segment()
    with pytest.raises(PermissionError):
        os.ftruncate(peer.fds[0], 0)


def test_no_more_segments_than_there_may_be(local: Any, node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shm_registry, "SEGMENTS_MAX", 2)
    first = local()
    first.segment()
    local().segment()
    late = local()
    late.stream.sendall(RequestShmOp("late").to_bytes())
    refused = ShmResponse.decode(late.stream.read_varint_delimited(1 << 16))
    assert refused == ShmResponse(Status.ERROR_UNSUPPORTED, "2 of 2 segments are in use")
    late.files(extended(1))
    first.stream.close()
    until(lambda: node.context.shm.counts() == (1, 0), "the slots and segments to go")
    late.segment()


def test_a_reader_that_dies_before_its_receipt_keeps_no_slot(local: Any, node: Any) -> None:
    shm, slots = local().segment()
    slots.claim(0)
    peer = local()
    peer.ask(RequestFdsOp(extended(1), slot=SlotId(shm, 0), sends_receipt=True).to_bytes())
    peer.stream.close()
    until(lambda: node.context.shm.counts() == (1, 0), "the slots and segments to go")
    assert not slots.is_valid(0)


def test_many_readers_and_deletions_at_the_same_time(local: Any, node: Any) -> None:
    """Whoever got the files before the deletion was told of it, and nobody gets them after it."""
    shm, slots = local().segment()
    for index in range(40):
        slots.claim(index)
    got: list[int] = []
    ready = threading.Barrier(5)

    def read(worker: int) -> None:
        with closing(LocalPeer(path_of(node))) as peer:
            ready.wait()
            for index in range(worker, 40, 4):
                if peer.ask(RequestFdsOp(extended(1), slot=SlotId(shm, index)).to_bytes()).status is Status.SUCCESS:
                    peer.receive(2)
                    got.append(index)

    threads = [threading.Thread(target=read, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    ready.wait()
    delete(node)
    for thread in threads:
        thread.join()
    assert not [index for index in got if slots.is_valid(index)]
    assert node.context.shm.counts() == (1, len(got))


def test_a_stop_ends_segments_and_takes_the_name_away(local: Any, node: Any) -> None:
    path = path_of(node)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    owner = local()
    shm, slots = owner.segment()
    slots.claim(0)
    local().files(extended(1), SlotId(shm, 0))
    node.server.stop(0.2)
    assert owner.ended()
    assert not slots.is_valid(0)
    assert not path.exists()


def test_the_name_of_a_dead_datanode_is_taken_over_but_not_that_of_a_living_one(socket_folder: Path) -> None:
    path = socket_folder / "one"
    first = DomainListener(path, 1)
    with pytest.raises(ConfigurationError, match="is in use: give each datanode of a machine its own"):
        DomainListener(path, 1)
    first.socket.close()
    second = DomainListener(path, 1)
    first.unlink()
    assert path.exists(), "it belongs to the second one"
    second.socket.close()
    second.unlink()
    assert not path.exists()
    path.write_text("a file")
    with pytest.raises(ConfigurationError, match="there is something else"):
        DomainListener(path, 1)


def test_folders_in_which_others_could_put_a_socket_are_refused(socket_folder: Path) -> None:
    inner = socket_folder / "a" / "b"
    inner.mkdir(parents=True)
    require_safe_path(inner / "socket", os.geteuid())
    for mode, safe in ((0o777, False), (0o772, False), (0o1777, False), (0o755, True)):
        inner.chmod(mode)
        assert is_safe(inner / "socket") is safe, oct(mode)
    for mode, safe in ((0o777, False), (0o1777, True), (0o700, True)):
        inner.parent.chmod(mode)
        assert is_safe(inner / "socket") is safe, oct(mode)
    if os.geteuid() == 0:
        os.chown(inner, 0, 12345)
        inner.chmod(0o775)
        assert not is_safe(inner / "socket")
        os.chown(inner, 12345, 0)
        assert not is_safe(inner / "socket")
        require_safe_path(inner / "socket")
    assert not is_safe(socket_folder / "missing" / "socket")
    assert not is_safe(socket_folder / ("x" * 120))


def is_safe(path: Path) -> bool:
    try:
        require_safe_path(path, 0)
    except ConfigurationError:
        return False
    return True


def test_a_datanode_does_not_start_on_an_unsafe_path(make_node: MakeNode, socket_folder: Path) -> None:
    open_to_all = socket_folder / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(ConfigurationError, match="can be written to by everybody"):
        make_node(domain_socket_path=f"{open_to_all}/socket")
