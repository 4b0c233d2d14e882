"""What a client makes of a UNIX socket with no good datanode behind it: counted, nothing raised, nothing left."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from seamlessfs.client import local_datanode
from seamlessfs.client.short_circuit import AVOID_S, ShortCircuit
from seamlessfs.model.block import Block, ExtendedBlock, ReplicaLocation
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo, Location
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, PoolId, StorageId
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.response import OpResponse
from seamlessfs.wire.xfer.short_circuit import ReleaseResponse, ShmId, ShmResponse
from seamlessfs.wire.xfer.slots import SEGMENT_BYTES
from tests.support.observe import until

BLOCK = ExtendedBlock(PoolId("BP-1"), Block(BlockId(1 << 30), GenerationStamp(1001), 7))
SUCCESS = OpResponse(Status.SUCCESS, access_version=1).encode()
NO_SEGMENTS = ShmResponse(Status.ERROR_UNSUPPORTED, "none here").encode()
Answer = Callable[[socket.socket, bytes], None]


def replica(ip: str = "127.0.0.1") -> ReplicaLocation:
    identity = DatanodeId(DatanodeUuid("uuid-1"), ip, ip, 9866, 0, 0)
    return ReplicaLocation(DatanodeInfo(identity, Location("a", "r1")), StorageId("DS-1"))


class Scripted:
    """Answers each request by its opcode; remembers the opcodes."""

    def __init__(self, path: Path, answers: dict[int, Answer]) -> None:
        self.asked: list[int] = []
        self._answers = answers
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionError):
            while request := connection.recv(4096):
                self.asked.append(request[2])
                self._answers[request[2]](connection, request)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def say(*answers: bytes) -> Answer:
    return lambda connection, _: connection.sendall(b"".join(answers))


def end(connection: socket.socket, _: bytes) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def silence(connection: socket.socket, _: bytes) -> None:
    pass


def passing(make: Callable[[], list[int]], answer: bytes = SUCCESS, data: bytes = b"\0") -> Answer:
    """Sends an answer and descriptors, and closes its own."""

    def answer_with(connection: socket.socket, _: bytes) -> None:
        fds = make()
        connection.sendall(answer)
        socket.send_fds(connection, [data], fds)
        for fd in fds:
            os.close(fd)

    return answer_with


def devices(count: int) -> Callable[[], list[int]]:
    return lambda: [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]


def memory(size: int) -> Callable[[], list[int]]:
    def make() -> list[int]:
        fd = os.memfd_create("slots")
        os.ftruncate(fd, size)
        return [fd]

    return make


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_datanode, "TIMEOUT_S", 60.0)


@pytest.fixture
def path(socket_folder: Path) -> Iterator[Path]:
    yield socket_folder / "scripted"
    (socket_folder / "scripted").unlink(missing_ok=True)


SEGMENT = ShmResponse(Status.SUCCESS, shm=ShmId(1, 2)).encode()


@pytest.mark.parametrize(
    ("shm", "fds", "outcome"),
    [
        (end, end, "unreachable"),
        (silence, end, "unreachable"),
        (say(b"\xff" * 12), end, "unreachable"),
        (say(SEGMENT, b"\0"), end, "unreachable"),
        (passing(devices(1), SEGMENT), end, "unreachable"),
        (passing(memory(10), SEGMENT), end, "unreachable"),
        (say(NO_SEGMENTS), end, "unreachable"),
        (say(NO_SEGMENTS), silence, "unreachable"),
        (say(NO_SEGMENTS), say(SUCCESS), "unreachable"),
        (say(NO_SEGMENTS), say(SUCCESS, b"\0"), "unreachable"),
        (say(NO_SEGMENTS), passing(devices(1)), "unreachable"),
        (say(NO_SEGMENTS), passing(devices(2)), "failed"),
        (say(NO_SEGMENTS), passing(devices(5)), "unreachable"),
        (say(NO_SEGMENTS), say(OpResponse(Status.ERROR, message="no").encode()), "refused"),
        (passing(memory(SEGMENT_BYTES), SEGMENT), say(OpResponse(Status.ERROR_UNSUPPORTED).encode()), "refused"),
        (passing(memory(SEGMENT_BYTES), SEGMENT), passing(devices(2)), "failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_read_goes_on_over_the_network(
    path: Path, shm: Answer, fds: Answer, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if outcome == "unreachable":
        monkeypatch.setattr(local_datanode, "TIMEOUT_S", 0.5)
    before = open_fds()
    with closing(Scripted(path, {89: shm, 87: fds, 88: say(ReleaseResponse(Status.SUCCESS).encode())})) as datanode:
        cut = ShortCircuit(str(path), "client")
        assert not cut.read_into(replica(), BLOCK, 0, memoryview(bytearray(7)))
        assert cut.map(replica(), BLOCK, 0, 7) is None
        assert {name: count for name, count in cut.counts.items() if count} == {outcome: 1, "avoided": 1}
        cut.close()
        assert datanode.asked
    until(lambda: open_fds() <= before, "every descriptor to be closed")


def test_a_refusal_without_a_version_is_for_all_replicas_and_ends(path: Path) -> None:
    other = ExtendedBlock(BLOCK.pool_id, Block(BlockId(5), GenerationStamp(1), 7))
    refusal = OpResponse(Status.ERROR_UNSUPPORTED, message="switched off").encode()
    with closing(Scripted(path, {89: say(NO_SEGMENTS), 87: say(refusal)})) as datanode:
        now_s = 0.0
        cut = ShortCircuit(str(path), "client", clock=lambda: now_s)
        for block in (BLOCK, other, BLOCK):
            assert not cut.read_into(replica(), block, 0, memoryview(bytearray(7)))
        assert datanode.asked == [89, 87]
        now_s = AVOID_S + 1
        assert not cut.read_into(replica(), other, 0, memoryview(bytearray(7)))
        assert datanode.asked == [89, 87, 87], "it has said that it makes no segments"
        cut.close()


def test_another_machines_replicas_are_not_asked_for_here(path: Path) -> None:
    with closing(Scripted(path, {})) as datanode:
        cut = ShortCircuit(str(path), "client")
        assert not cut.read_into(replica("192.0.2.1"), BLOCK, 0, memoryview(bytearray(7)))
        assert datanode.asked == []
        assert sum(cut.counts.values()) == 0


def test_without_slots_files_serve_one_read_and_with_them_until_they_are_taken_back(path: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"content")
    (tmp_path / "meta").write_bytes(b"\0\1\0\0\0\2\0")

    def files() -> list[int]:
        return [os.open(tmp_path / name, os.O_RDONLY) for name in ("data", "meta")]

    released = say(ReleaseResponse(Status.SUCCESS).encode())
    shared: list[int] = []

    def shared_memory() -> list[int]:
        made = memory(SEGMENT_BYTES)()
        shared.append(os.dup(made[0]))
        return made

    buffer = memoryview(bytearray(7))
    for shm, asked in ((say(NO_SEGMENTS), [89, 87, 87]), (passing(shared_memory, SEGMENT), [89, 87])):
        with closing(Scripted(path, {89: shm, 87: passing(files), 88: released})) as datanode:
            cut = ShortCircuit(str(path), "client")
            assert cut.read_into(replica(), BLOCK, 0, buffer)
            assert cut.read_into(replica(), BLOCK, 0, buffer)
            assert (bytes(buffer), datanode.asked) == (b"content", asked)
            if shared:
                os.pwrite(shared[0], bytes(8), 0)
                assert cut.read_into(replica(), BLOCK, 0, buffer)
                assert datanode.asked == [89, 87, 88, 87]
                assert cut.counts["revoked"] == 1
            cut.close()
        path.unlink()
    os.close(shared[0])
