"""Pipelines of open blocks: what a namenode refuses and answers, the same on stock HDFS and on ours."""

from __future__ import annotations

from typing import Any

import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.wire.pb.hadoop import hdfs_pb2
from tests.support.clusters import Cluster
from tests.support.observe import until
from tests.support.refusals import ILLEGAL, LEASE, NOT_FOUND, SAFE_MODE, Refusals, World

REFUSALS = Refusals()
refused = REFUSALS.refused
UNREGISTERED = "org.apache.hadoop.hdfs.protocol.UnregisteredNodeException"


class Writing:
    """A file that a client has open, with one block on its pipeline."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.file_id = world.root.create("f")
        self.located = world.root.add_block("f", self.file_id)

    def additional(self, members: int = 2, **fields: Any) -> hdfs_pb2.LocatedBlockProto:
        """Asks for one more beside the first `members` of the pipeline."""
        given = {
            "src": self.world.root.at("f"),
            "blk": self.located.b,
            "existings": list(self.located.locs)[:members],
            "existingStorageUuids": list(self.located.storageIDs)[:members],
            "numAdditionalNodes": 1,
            "clientName": self.world.root.holder,
            "fileId": self.file_id,
        }
        answer: hdfs_pb2.LocatedBlockProto = self.world.root.call("getAdditionalDatanode", **(given | fields)).block
        return answer

    def renew(self, **fields: Any) -> hdfs_pb2.ExtendedBlockProto:
        """Asks for a new stamp and puts it in force."""
        root = self.world.root
        renewed = root.call("updateBlockForPipeline", block=self.located.b, clientName=root.holder).block.b
        given = {
            "clientName": root.holder,
            "oldBlock": self.located.b,
            "newBlock": renewed,
            "newNodes": [node.id for node in self.located.locs],
            "storageIDs": list(self.located.storageIDs),
        }
        root.call("updatePipeline", **(given | fields))
        self.located.b.CopyFrom(renewed)
        return renewed

    def moved(self) -> hdfs_pb2.DatanodeInfoProto:
        """The first member, under an address that it does not have."""
        node = hdfs_pb2.DatanodeInfoProto()
        node.CopyFrom(self.located.locs[0])
        node.id.xferPort += 1
        return node

    def now(self) -> hdfs_pb2.LocatedBlockProto:
        found = self.world.root.call("getBlockLocations", src=self.world.root.at("f"), offset=0, length=1)
        block: hdfs_pb2.LocatedBlockProto = found.locations.lastBlock
        return block


@refused(
    ILLEGAL,
    "Length mismatched: storageIDs.length=1 !=  datanodeID.length=2, src=~/f, fileId=#, blk=&, "
    "clientName=root-client, clientMachine=127.0.0.1",
)
def replacement_with_too_few_storages(w: World) -> None:
    writing = Writing(w)
    writing.additional(existingStorageUuids=list(writing.located.storageIDs)[:1])


@refused(
    ILLEGAL,
    "Missing storageIDs: It is likely that the HDFS client, who made this call, is running in an older version of "
    "Hadoop(pre-2.0.0-alpha)  which does not support storageIDs. datanodeID.length=2, src=~/f, fileId=#, blk=&, "
    "clientName=root-client, clientMachine=127.0.0.1",
)
def replacement_without_storages(w: World) -> None:
    Writing(w).additional(existingStorageUuids=[])


@refused(
    UNREGISTERED,
    "Data node @ is attempting to report storage ID #. Node @ is expected to serve this storage.",
)
def replacement_beside_a_datanode_that_moved(w: World) -> None:
    writing = Writing(w)
    writing.additional(existings=[writing.moved(), writing.located.locs[1]])


@refused(
    LEASE,
    "Client (=other-client) is not the lease owner (=root-client: ~/f (inode #) "
    "Holder other-client does not have any open files.",
)
def replacement_for_another_holder(w: World) -> None:
    Writing(w).additional(clientName="other-client")


@refused(NOT_FOUND, "File does not exist: ~/none (inode #) [Lease.  Holder: root-client, pending creates: #]")
def replacement_for_a_file_that_is_not_there(w: World) -> None:
    Writing(w).additional(src=w.root.at("none"), fileId=0)


@refused(
    SAFE_MODE,
    "Cannot add datanode; src=~/f, blk=&. Name node is in safe mode.\nIt was turned on manually. "
    'Use "hdfs dfsadmin -safemode leave" to turn safe mode off. NamenodeHostName:#',
)
def replacement_in_safe_mode(w: World) -> None:
    writing = Writing(w)
    w.root.call("setSafeMode", action="SAFEMODE_ENTER")
    try:
        writing.additional()
    finally:
        w.root.call("setSafeMode", action="SAFEMODE_LEAVE")


@refused(
    ILLEGAL,
    "Length mismatched: storageIDs.length=1 !=  datanodeID.length=2, src=~/f, oldBlock=&, newBlock=&, "
    "clientName=root-client",
)
def pipeline_with_too_few_storages(w: World) -> None:
    writing = Writing(w)
    writing.renew(newNodes=[node.id for node in writing.located.locs][:2], storageIDs=["DS-1"])


@refused(
    UNREGISTERED,
    "Data node @ is attempting to report storage ID #. Node @ is expected to serve this storage.",
)
def pipeline_with_a_datanode_that_moved(w: World) -> None:
    writing = Writing(w)
    moved = writing.moved()
    writing.renew(newNodes=[moved.id], storageIDs=list(writing.located.storageIDs)[:1])


@refused(LEASE, "Lease mismatch: & is accessed by a non lease holder other-client")
def pipeline_by_another_holder(w: World) -> None:
    Writing(w).renew(clientName="other-client")


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_pipeline(name: str, world: World, cluster: Cluster) -> None:
    REFUSALS.check(name, world, on_stock=not cluster.ours)


def test_a_replacement_is_another_datanode_beside_those_that_are_there(world: World, cluster: Cluster) -> None:
    writing = Writing(world)
    answer = writing.additional()
    kept = list(writing.located.storageIDs)[:2]
    assert len(answer.locs) == 3
    assert set(kept) < set(answer.storageIDs)
    assert len({node.id.datanodeUuid for node in answer.locs}) == 3
    assert answer.b == writing.located.b
    assert (answer.offset, answer.blockToken.kind) == ((1 << 64) - 1, "")
    assert len(answer.isCached) == len(answer.storageTypes) == 3


def test_without_an_eligible_datanode_only_those_that_are_there(world: World, cluster: Cluster) -> None:
    writing = Writing(world)
    every = list(world.root.call("getDatanodeReport", type="LIVE").di)
    answer = writing.additional(excludes=every)
    assert sorted(answer.storageIDs) == sorted(list(writing.located.storageIDs)[:2])
    assert len(writing.additional(numAdditionalNodes=9).storageIDs) == len(every)


def test_the_block_of_the_question_comes_back_as_it_was(world: World) -> None:
    writing = Writing(world)
    other = hdfs_pb2.ExtendedBlockProto()
    other.CopyFrom(writing.located.b)
    other.blockId += 1000
    other.numBytes = 77
    assert writing.additional(blk=other).b == other


def test_a_pipeline_may_shrink_and_name_datanodes_that_are_not_there(world: World, cluster: Cluster) -> None:
    writing = Writing(world)
    stamp = writing.renew(
        newNodes=[node.id for node in writing.located.locs][:2], storageIDs=[writing.located.storageIDs[0], "DS-gone"]
    ).generationStamp
    now = writing.now()
    assert now.b.generationStamp == stamp
    assert [node.id.datanodeUuid for node in now.locs] == [writing.located.locs[0].id.datanodeUuid]


@pytest.mark.parametrize("cluster", ["ours"], indirect=True)
def test_a_pipeline_that_lost_its_other_idc_is_said(world: World, mini: MiniCluster) -> None:
    writing = Writing(world)
    near = [index for index, node in enumerate(writing.located.locs) if node.location.startswith("/a/")]
    assert 0 < len(near) < len(writing.located.locs)
    writing.renew(
        newNodes=[writing.located.locs[index].id for index in near],
        storageIDs=[writing.located.storageIDs[index] for index in near],
    )
    said = f"sync_degraded path={world.root.at('f')} block={writing.located.b.blockId} lacks=b"
    until(lambda: said in mini.namenode.log.read_text(), "the event")


@pytest.mark.parametrize("cluster", ["ours"], indirect=True)
def test_members_that_this_namenode_has_not_seen_yet_stay(world: World) -> None:
    """Deviation: stock HDFS fails with a NullPointerException where ours cannot know better than the writer."""
    writing = Writing(world)
    unseen = hdfs_pb2.DatanodeInfoProto()
    unseen.CopyFrom(writing.located.locs[0])
    unseen.id.datanodeUuid = "not-registered-yet"
    answer = writing.additional(existings=[unseen, writing.located.locs[1]])
    assert unseen.id in [node.id for node in answer.locs]
    assert len(answer.locs) == 3
