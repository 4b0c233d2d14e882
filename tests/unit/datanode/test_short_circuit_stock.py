"""Stock clients at the UNIX socket: every frame written and read by Hadoop's own classes, descriptors by this process.

The JVM cannot receive descriptors without Hadoop's native library, which is in none of the packages that `make peers`
takes; how a whole stock client behaves then is in tests/interop.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from local_peer import LocalPeer
from write_script import DATA, POOL_ID, block_id, request

from seamlessfs.model.ids import GenerationStamp
from seamlessfs.net.domain_socket import socket_path
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.delimited import encode_varint
from seamlessfs.wire.xfer.slots import SEGMENT_BYTES, Slots
from tests.support.java_frames import JavaFrames
from tests.support.peer_files import SHELL_VERSIONS, PeerFiles

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module", params=SHELL_VERSIONS)
def java(
    request: pytest.FixtureRequest, peers: PeerFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JavaFrames]:
    with JavaFrames(peers, str(request.param), tmp_path_factory.mktemp("frames")) as made:
        yield made


def ask(java: JavaFrames, peer: LocalPeer, kind: str, *words: object) -> list[str]:
    """Sends what stock sends, and reads the answer as stock does."""
    peer.stream.sendall(java.request(kind, *words))
    body = peer.stream.read_varint_delimited(1 << 16)
    return java.read(kind, encode_varint(len(body)) + body)


def test_a_stock_reader_from_its_segment_to_its_release(
    java: JavaFrames, make_node: Callable[..., Any], socket_folder: Path, connect: Any
) -> None:
    node = make_node(domain_socket_path=f"{socket_folder}/stock_PORT")
    path = socket_path(node.settings.domain_socket_path, node.port)
    writer = connect(node)
    assert writer.ask(request(1)).status is Status.SUCCESS
    writer.packet(0, 0, DATA)
    writer.packet(1, len(DATA), b"", last=True)
    assert [writer.ack().ok, writer.ack().ok] == [True, True]
    with closing(LocalPeer(path)) as owner, closing(LocalPeer(path)) as peer:
        status, *shm = ask(java, owner, "shm", "DFSClient_NONMAPREDUCE_-1_1")
        assert status == "SUCCESS"
        _, (fd,) = owner.receive(1)
        assert os.fstat(fd).st_size == SEGMENT_BYTES, "stock takes the number of slots from the size"
        slots = Slots(memoryview(mmap.mmap(fd, SEGMENT_BYTES)))
        block = (POOL_ID, block_id(1), 1001, len(DATA))
        assert ask(java, peer, "fds", *block, *shm, 0)[0] == "ERROR", "the slot is not marked"
        slots.claim(0)
        assert ask(java, peer, "fds", *block, *shm, 0)[:2] == ["SUCCESS", "true"]
        verification, (data, meta) = peer.receive(2)
        assert verification == b"\1"
        peer.stream.sendall(b"\0")
        assert (os.pread(data, 1 << 20, 0), os.pread(meta, 2, 0)) == (DATA, b"\0\1")
        assert ask(java, peer, "fds", *block[:2], 1000, 0)[:2] == ["ERROR_UNSUPPORTED", "true"], "this block alone"
        assert ask(java, peer, "fds", POOL_ID, 7, 1001, 0)[:2] == ["ERROR", "false"]
        node.store.invalidate(block_id(1), GenerationStamp(1001))
        assert not slots.is_valid(0)
        assert ask(java, peer, "release", *shm, 0) == ["SUCCESS"]
        assert ask(java, peer, "release", *shm, 0) == ["ERROR_INVALID"]
        assert node.context.shm.counts() == (1, 0)
