"""Leases and blocks of open files that a namenode refuses: the same on stock HDFS and on ours."""

from __future__ import annotations

from typing import Any

import pytest

from seamlessfs.wire.pb.hadoop import client_datanode_pb2, hdfs_pb2
from seamlessfs.wire.rpc.protocols import CLIENT_DATANODE_PROTOCOL
from tests.support.clusters import Cluster
from tests.support.raw_rpc import RawRpc
from tests.support.refusals import (
    BEING_CREATED,
    DENIED,
    GONE,
    IO,
    LEASE,
    NOT_FOUND,
    NOT_YET,
    RETRIABLE,
    Refusals,
    World,
)

REFUSALS = Refusals()
refused = REFUSALS.refused


@refused(NOT_FOUND, "File does not exist: ~/f (inode #) Holder root-client does not have any open files.")
def block_of_a_deleted_file(w: World) -> None:
    file_id = w.root.create("f")
    w.root.delete("f")
    w.root.add_block("f", file_id)


@refused(NOT_FOUND, "File does not exist: ~/f (inode #) Holder root-client does not have any open files.")
def completion_of_a_deleted_file(w: World) -> None:
    file_id = w.root.create("f")
    w.root.delete("f")
    w.root.complete("f", file_id)


@refused(NOT_FOUND, "File does not exist: ~/f (inode #) [Lease.  Holder: root-client, pending creates: #]")
def block_under_an_old_name_without_id(w: World) -> None:
    w.root.create("f")
    w.root.rename2("f", "g")
    w.root.add_block("f")


@refused(
    BEING_CREATED,
    "Failed to CREATE_FILE ~/f for other-client on 127.0.0.1 because this file lease is currently owned by "
    "root-client on 127.0.0.1",
)
def create_of_a_file_that_another_writes(w: World) -> None:
    w.root.create("f")
    w.other.create("f")


@refused(
    BEING_CREATED,
    "Failed to CREATE_FILE ~/f for root-client on 127.0.0.1 because root-client is already the current lease holder.",
)
def create_of_a_file_that_one_writes(w: World) -> None:
    w.root.create("f")
    w.root.create("f")


LEASE_TEXT = (
    "Client (=other-client) is not the lease owner (=root-client: ~/f (inode #) "
    "Holder other-client does not have any open files."
)


@refused(LEASE, LEASE_TEXT)
def block_for_another_holder(w: World) -> None:
    w.other.add_block("f", w.root.create("f"))


@refused(LEASE, LEASE_TEXT)
def completion_by_another_holder(w: World) -> None:
    w.other.complete("f", w.root.create("f"))


@refused(LEASE, LEASE_TEXT)
def fsync_by_another_holder(w: World) -> None:
    file_id = w.root.create("f")
    w.other.call("fsync", src=w.root.at("f"), client="other-client", fileId=file_id)


@refused(LEASE, LEASE_TEXT)
def abandoning_by_another_holder(w: World) -> None:
    file_id = w.root.create("f")
    block = w.root.add_block("f", file_id).b
    w.other.call("abandonBlock", b=block, src=w.root.at("f"), holder="other-client", fileId=file_id)


@refused(LEASE, "Lease mismatch: & is accessed by a non lease holder other-client")
def pipeline_of_another_holder(w: World) -> None:
    block = w.root.add_block("f", w.root.create("f")).b
    w.other.call("updateBlockForPipeline", block=block, clientName="other-client")


@refused(LEASE, "File is not open for writing: ~/f (inode #) Holder root-client does not have any open files.")
def block_for_a_closed_file(w: World) -> None:
    file_id = w.root.create("f")
    w.root.complete("f", file_id)
    w.root.add_block("f", file_id)


@refused(NOT_YET, "Not replicated yet: ~/f")
def third_block_before_the_first_is_there(w: World) -> None:
    file_id = w.root.create("f")
    first = w.root.add_block("f", file_id).b
    second = w.root.add_block("f", file_id, previous=first).b
    w.root.add_block("f", file_id, previous=second)


@refused(IO, "Unexpected BlockUCState: & is COMMITTED but not UNDER_CONSTRUCTION")
def pipeline_of_a_committed_block(w: World) -> None:
    file_id = w.root.create("f")
    block = w.root.add_block("f", file_id).b
    assert not w.root.complete("f", file_id, last=block)
    w.root.call("updateBlockForPipeline", block=block, clientName="root-client")


@refused(
    IO,
    "Cannot allocate block in ~/f: passed 'previous' block & does not match actual last block in file &",
)
def block_behind_a_wrong_one(w: World) -> None:
    file_id = w.root.create("f")
    block = w.root.add_block("f", file_id).b
    block.blockId += 1000
    w.root.add_block("f", file_id, previous=block)


@refused(
    IO,
    "File ~/f could only be written to 0 of the 1 minReplication nodes. "
    "There are # datanode(s) running and # node(s) are excluded in this operation.",
)
def block_with_every_datanode_excluded(w: World) -> None:
    file_id = w.root.create("f")
    nodes = w.root.call("getDatanodeReport", type="LIVE").di
    w.root.add_block("f", file_id, excludeNodes=list(nodes))


@refused(IO, "& does not exist.")
def pipeline_of_an_unknown_block(w: World) -> None:
    block = w.root.add_block("f", w.root.create("f")).b
    block.blockId += 1_000_000
    w.root.call("updateBlockForPipeline", block=block, clientName="root-client")


@refused(IO, "Trying to commit inconsistent block: id = #, expected id = #")
def completion_with_another_block(w: World) -> None:
    file_id = w.root.create("f")
    block = w.root.add_block("f", file_id).b
    block.blockId += 1000
    w.root.complete("f", file_id, last=block)


@refused(IO, "Commit block with mismatching GS. NN has &, client submits &")
def completion_with_another_stamp(w: World) -> None:
    file_id = w.root.create("f")
    block = w.root.add_block("f", file_id).b
    block.generationStamp -= 1
    w.root.complete("f", file_id, last=block)


@refused(
    IO,
    "Cannot allocate block in ~/f: passed 'previous' block & does not match actual last block in file &",
)
def block_behind_another_stamp(w: World) -> None:
    file_id = w.root.create("f")
    block = w.root.add_block("f", file_id).b
    block.generationStamp += 1000
    w.root.add_block("f", file_id, previous=block)


@refused(IO, "Update & but the new block & does not have a larger generation stamp than the last block &")
def pipeline_with_the_same_stamp(w: World) -> None:
    located = w.root.add_block("f", w.root.create("f"))
    update_pipeline(w, located, located.b)


@refused(IO, "Update & (size=0) to a smaller size block & (size=50)")
def pipeline_with_a_shorter_block(w: World) -> None:
    file_id = w.root.create("f")
    located = w.root.add_block("f", file_id)
    w.root.call("fsync", src=w.root.at("f"), client="root-client", fileId=file_id, lastBlockLength=100)
    renewed = w.root.call("updateBlockForPipeline", block=located.b, clientName="root-client").block.b
    renewed.numBytes = 50
    update_pipeline(w, located, renewed)


@refused(BEING_CREATED, "Failed to CREATE_FILE ~/f for  on 127.0.0.1 because  is already the current lease holder.")
def create_by_a_client_without_a_name(w: World) -> None:
    w.root.create("f", clientName="")
    w.root.create("f", clientName="")


@refused(GONE, "Replica does not exist ^")
def length_of_a_replica_that_is_not_there(w: World) -> None:
    located = w.root.add_block("f", w.root.create("f"))
    ask_datanode("getReplicaVisibleLength", located)


@refused(RETRIABLE, "Datanode not registered. Try again later.")
def length_of_a_replica_of_another_pool(w: World) -> None:
    located = w.root.add_block("f", w.root.create("f"))
    located.b.poolId = "BP-1-192.0.2.1-1"
    ask_datanode("getReplicaVisibleLength", located)


@refused(
    DENIED,
    "Can't continue with getBlockLocalPathInfo() authorization. "
    "The user root is not configured in dfs.block.local-path-access.user",
)
def path_of_a_replica(w: World) -> None:
    located = w.root.add_block("f", w.root.create("f"))
    ask_datanode("getBlockLocalPathInfo", located, token=located.blockToken)


def update_pipeline(w: World, located: hdfs_pb2.LocatedBlockProto, renewed: hdfs_pb2.ExtendedBlockProto) -> None:
    w.root.call(
        "updatePipeline",
        clientName="root-client",
        oldBlock=located.b,
        newBlock=renewed,
        newNodes=[node.id for node in located.locs],
        storageIDs=located.storageIDs,
    )


def ask_datanode(method: str, located: hdfs_pb2.LocatedBlockProto, **fields: Any) -> None:
    """Asks the block's first datanode about it."""
    node = located.locs[0].id
    kind = getattr(client_datanode_pb2, f"{method[0].upper()}{method[1:]}RequestProto")
    with RawRpc(node.ipAddr, node.ipcPort) as datanode:
        datanode.call(method, kind(block=located.b, **fields), CLIENT_DATANODE_PROTOCOL)


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_writer(name: str, world: World, cluster: Cluster) -> None:
    REFUSALS.check(name, world, on_stock=not cluster.ours)


def test_a_client_without_a_name_writes(world: World) -> None:
    file_id = world.root.create("f", clientName="")
    assert not world.root.call("isFileClosed", src=world.root.at("f")).result
    assert world.root.complete("f", file_id, clientName="")
    assert world.root.call("isFileClosed", src=world.root.at("f")).result
