"""recoverLease and what it leaves behind: the same on stock HDFS and on ours."""

from __future__ import annotations

import pytest

from seamlessfs.client.block_writer import BlockWriter
from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.model.block import Checksum
from seamlessfs.wire.convert.blocks import located_block_from_pb
from seamlessfs.wire.pb.hadoop import hdfs_pb2
from tests.support.clusters import Cluster
from tests.support.namenode_session import Session
from tests.support.observe import until
from tests.support.raw_rpc import Refused
from tests.support.refusals import BEING_CREATED, IO, LEASE, NOT_FOUND, Refusals, World

CLOSED_WITHIN_S = 30.0
"""Stock HDFS goes by heartbeats; what ours promises is tried elsewhere."""

REFUSALS = Refusals()
refused = REFUSALS.refused


def recover(session: Session, path: str = "f") -> bool:
    return bool(session.call("recoverLease", src=session.at(path), clientName=session.holder).result)


def is_closed(session: Session, path: str = "f") -> bool:
    return bool(session.call("isFileClosed", src=session.at(path)).result)


def closed_by(session: Session, path: str = "f") -> None:
    """Has the lease recovered, and waits."""
    assert not recover(session, path)
    until(lambda: is_closed(session, path), "the file is closed", CLOSED_WITHIN_S)


def length(session: Session, path: str = "f") -> int:
    return int(session.call("getFileInfo", src=session.at(path)).fs.length)


def write(located: hdfs_pb2.LocatedBlockProto, data: bytes) -> BlockWriter:
    """Writes to a new block, through to every datanode, and leaves it open."""
    block = located_block_from_pb(located)
    writer = BlockWriter(DatanodeConnector(), block, "root-client", Checksum(), 64 << 10)
    writer.write(memoryview(data))
    writer.flush()
    return writer


def test_a_file_without_a_block_is_closed_at_once(world: World) -> None:
    world.root.create("f")
    assert recover(world.other)
    assert is_closed(world.root)
    assert recover(world.other)


def test_a_block_that_nobody_wrote_is_dropped(world: World) -> None:
    world.root.add_block("f", world.root.create("f"))
    closed_by(world.other)
    assert recover(world.other)
    located = world.root.call("getBlockLocations", src=world.root.at("f"), offset=0, length=1).locations
    assert (len(located.blocks), located.underConstruction, located.HasField("lastBlock")) == (0, False, False)


@pytest.mark.parametrize("synced", [0, 5000])
def test_written_bytes_are_kept_under_a_new_stamp(world: World, synced: int) -> None:
    file_id = world.root.create("f")
    located = world.root.add_block("f", file_id)
    writer = write(located, b"x" * 5000)
    if synced:
        call = {"client": "root-client", "fileId": file_id, "lastBlockLength": synced}
        world.root.call("fsync", src=world.root.at("f"), **call)
    assert length(world.root) == synced
    closed_by(world.other)
    writer.abort()
    found = world.root.call("getBlockLocations", src=world.root.at("f"), offset=0, length=1 << 20).locations
    (block,) = found.blocks
    assert (found.fileLength, block.b.numBytes, length(world.root)) == (5000, 5000, 5000)
    assert block.b.generationStamp > located.b.generationStamp
    assert found.isLastBlockComplete
    assert block.locs


def test_the_holder_itself_may_ask(world: World) -> None:
    world.root.add_block("f", world.root.create("f"))
    closed_by(world.root)


def test_a_committed_last_block_is_closed_when_its_replicas_are_there(world: World) -> None:
    """The writer died after it had said how long the block is: nothing has to be recovered."""
    file_id = world.root.create("f")
    located = world.root.add_block("f", file_id)
    writer = write(located, b"x" * 700)
    located.b.numBytes = 700
    assert not world.root.complete("f", file_id, last=located.b)
    writer.close()
    until(lambda: recover(world.other), "the file is closed", CLOSED_WITHIN_S)
    assert length(world.root) == 700


def test_a_block_behind_a_whole_one(world: World) -> None:
    file_id = world.root.create("f")
    first = world.root.add_block("f", file_id)
    write(first, b"x" * 700).close()
    first.b.numBytes = 700
    world.root.add_block("f", file_id, previous=first.b)
    closed_by(world.other)
    assert length(world.root) == 700


@refused(NOT_FOUND, "File does not exist: ~/f")
def recovery_of_no_file(w: World) -> None:
    recover(w.root)


@refused(NOT_FOUND, "Path is not a file: ~/d")
def recovery_of_a_directory(w: World) -> None:
    w.root.mkdirs("d")
    recover(w.root, "d")


@refused(LEASE, "File is not open for writing: ~/f (inode #) Holder root-client does not have any open files.")
def block_after_a_recovery(w: World) -> None:
    file_id = w.root.create("f")
    located = w.root.add_block("f", file_id)
    closed_by(w.other)
    w.root.add_block("f", file_id, previous=located.b)


@refused(LEASE, "File is not open for writing: ~/f (inode #) Holder root-client does not have any open files.")
def completion_after_a_recovery(w: World) -> None:
    file_id = w.root.create("f")
    located = w.root.add_block("f", file_id)
    writer = write(located, b"x" * 700)
    closed_by(w.other)
    writer.abort()
    located.b.numBytes = 700
    w.root.complete("f", file_id, last=located.b)


@refused(IO, "Unexpected BlockUCState: & is COMPLETE but not UNDER_CONSTRUCTION")
def pipeline_after_a_recovery(w: World) -> None:
    located = w.root.add_block("f", w.root.create("f"))
    writer = write(located, b"x" * 700)
    closed_by(w.other)
    writer.abort()
    w.root.call("updateBlockForPipeline", block=located.b, clientName="root-client")


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_by_a_recovery(name: str, world: World, cluster: Cluster) -> None:
    REFUSALS.check(name, world, on_stock=not cluster.ours)


def test_others_are_told_of_a_recovery_or_of_a_holder(world: World) -> None:
    """Until the file is closed a create is refused, and nobody but a recovery takes the file."""
    world.root.add_block("f", world.root.create("f"))
    with pytest.raises(Refused) as caught:
        world.other.create("f")
    assert caught.value.class_name == BEING_CREATED
    closed_by(world.other)
    world.other.create("f", overwrite=True)
