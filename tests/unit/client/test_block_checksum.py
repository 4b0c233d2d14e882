"""Checksums of blocks that datanodes compute."""

from __future__ import annotations

import pytest

from seamlessfs.client.block_checksum import fetch_block_checksum
from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.model.block import ChecksumType
from seamlessfs.model.errors import RemoteIOError
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.ops import BlockChecksumOp
from seamlessfs.wire.xfer.response import BlockChecksum, OpResponse
from tests.support.scripted_datanode import BLOCK, ScriptedDatanode, receive_op

MD5 = BlockChecksum(512, 9, b"m" * 16, ChecksumType.CRC32)
COMPOSITE = BlockChecksum(512, 9, b"crcc", ChecksumType.CRC32C, composite=True)


def fetch(response: OpResponse, composite: bool) -> BlockChecksum:
    def answer(stream: BlockingStream) -> None:
        assert receive_op(stream) == BlockChecksumOp(BLOCK, composite)
        stream.sendall(response.encode())

    with ScriptedDatanode(answer) as peer:
        return fetch_block_checksum(DatanodeConnector(), peer.replica, BLOCK, composite)


@pytest.mark.parametrize("checksum", [MD5, COMPOSITE])
def test_answer(checksum: BlockChecksum) -> None:
    assert fetch(OpResponse(Status.SUCCESS, block_checksum=checksum), checksum.composite) == checksum


def test_refusal_names_datanode_and_block() -> None:
    with pytest.raises(RemoteIOError, match=rf"datanode 127.* blk_{1 << 30}: no such replica"):
        fetch(OpResponse(Status.ERROR, message="no such replica"), False)


def test_other_kind_of_checksum_is_refused() -> None:
    with pytest.raises(RemoteIOError, match="other kind"):
        fetch(OpResponse(Status.SUCCESS, block_checksum=MD5), True)
