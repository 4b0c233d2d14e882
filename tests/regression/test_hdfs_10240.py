"""A writer that closes its file while somebody else has the lease recovered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from seamlessfs.client.block_reader import read_block
from seamlessfs.client.block_writer import BlockWriter
from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.model.block import Checksum
from seamlessfs.model.errors import SeamlessError
from seamlessfs.wire.convert.blocks import located_block_from_pb
from tests.support.namenode_session import Session
from tests.support.observe import until
from tests.support.raw_rpc import Refused
from tests.support.refusals import LEASE, World

CLOSED_WITHIN_S = 30.0
DATA = bytes(range(256)) * 20


def recover(session: Session) -> bool:
    return bool(session.call("recoverLease", src=session.at("f"), clientName=session.holder).result)


def assert_whole(session: Session) -> None:
    """The file gets closed, and each replica that readers are sent to has all of it under the file's stamp."""
    until(lambda: session.call("isFileClosed", src=session.at("f")).result, "the file is closed", CLOSED_WITHIN_S)
    found = session.call("getBlockLocations", src=session.at("f"), offset=0, length=1 << 20).locations
    assert (found.fileLength, len(found.blocks)) == (len(DATA), 1)
    located = located_block_from_pb(found.blocks[0])
    assert located.locations
    assert not located.corrupt
    connector = DatanodeConnector()
    for replica in located.locations:
        with read_block(connector, replica, located.block, 0, len(DATA), "reader") as reader:
            assert b"".join(reader) == DATA
    connector.close()


@pytest.mark.parametrize("order", ["recovery first", "end first", "at once", "in the middle"])
def test_hdfs_10240_a_close_beside_a_recovery_leaves_a_whole_block(world: World, order: str) -> None:
    """HDFS took the length and the old stamp from the writer while a recovery gave the replicas a new one, so that
    none of them counted any more; here the writer is refused or the recovery finds a closed file, and all count."""
    file_id = world.root.create("f")
    located = world.root.add_block("f", file_id)
    writer = BlockWriter(DatanodeConnector(), located_block_from_pb(located), "root-client", Checksum(), 64 << 10)
    writer.write(memoryview(DATA))
    writer.flush()
    located.b.numBytes = len(DATA)

    def complete() -> None:
        """What the writer says last; whether the recovery was there before it is open."""
        try:
            world.root.complete("f", file_id, last=located.b)
        except Refused as refusal:
            if refusal.class_name != LEASE:
                raise

    if order == "in the middle":
        assert not world.root.complete("f", file_id, last=located.b)
        recover(world.other)
        writer.close()
    elif order == "end first":
        writer.close()
        recover(world.other)
        complete()
    elif order == "recovery first":
        assert not recover(world.other)
        until(lambda: recover(world.other), "the file is closed", CLOSED_WITHIN_S)
        with pytest.raises((SeamlessError, OSError)):
            writer.close()
        complete()
    else:
        writer.close()
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(complete), pool.submit(recover, world.other)]:
                done.result(CLOSED_WITHIN_S)
    assert_whole(world.root)
