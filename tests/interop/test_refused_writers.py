"""Leases and blocks of open files that a namenode refuses: the same on stock HDFS and on ours."""

from __future__ import annotations

import pytest

from seamlessfs.wire.pb.hadoop import client_datanode_pb2
from seamlessfs.wire.rpc.protocols import CLIENT_DATANODE_PROTOCOL
from tests.support.clusters import Cluster
from tests.support.raw_rpc import RawRpc
from tests.support.refusals import BEING_CREATED, GONE, IO, LEASE, NOT_FOUND, NOT_YET, Refusals, World

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


@refused(LEASE, "File is not open for writing: ~/f (inode #) [Lease.  Holder: root-client, pending creates: #]")
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


@refused(GONE, "Replica does not exist ^")
def length_of_a_replica_that_is_not_there(w: World) -> None:
    located = w.root.add_block("f", w.root.create("f"))
    node = located.locs[0].id
    request = client_datanode_pb2.GetReplicaVisibleLengthRequestProto(block=located.b)
    with RawRpc(node.ipAddr, node.ipcPort) as datanode:
        datanode.call("getReplicaVisibleLength", request, CLIENT_DATANODE_PROTOCOL)


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_writer(name: str, world: World, cluster: Cluster) -> None:
    REFUSALS.check(name, world, on_stock=not cluster.ours)
