"""Safe mode turned on by hand: what is refused, in which words, and what is not, on stock HDFS and on ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from seamlessfs.wire.pb.hadoop import hdfs_pb2
from tests.support.clusters import Cluster
from tests.support.java_shell import JavaShell
from tests.support.raw_rpc import Refused
from tests.support.refusals import DENIED, SAFE_MODE, World, plain

TURNED_ON = (
    " Name node is in safe mode.\n"
    'It was turned on manually. Use "hdfs dfsadmin -safemode leave" to turn safe mode off. NamenodeHostName:#'
)


@dataclass(frozen=True)
class Open:
    """A file that is being written, and its block."""

    file_id: int
    located: hdfs_pb2.LocatedBlockProto

    @property
    def block(self) -> hdfs_pb2.ExtendedBlockProto:
        return self.located.b


def safe_mode(world: World, action: str, checked: bool = False) -> bool:
    return bool(world.root.call("setSafeMode", action=f"SAFEMODE_{action}", checked=checked).result)


@pytest.fixture
def open_file(world: World) -> Iterator[Open]:
    """Safe mode is on, over a folder with a file that is being written; it ends with the test."""
    world.root.touch("f")
    world.root.mkdirs("d/sub")
    file_id = world.root.create("open")
    located = world.root.add_block("open", file_id)
    assert safe_mode(world, "ENTER")
    yield Open(file_id, located)
    assert not safe_mode(world, "LEAVE")


def update_pipeline(w: World, o: Open) -> Any:
    nodes = [node.id for node in o.located.locs]
    return w.root.call(
        "updatePipeline",
        clientName="root-client",
        oldBlock=o.block,
        newBlock=o.block,
        newNodes=nodes,
        storageIDs=o.located.storageIDs,
    )


Act = Callable[[World, Open], Any]
CHANGES: dict[str, tuple[Act, str]] = {
    "create": (lambda w, o: w.root.create("new"), "Cannot create file~/new."),
    "create by another": (lambda w, o: w.alice.create("new"), "Cannot create file~/new."),
    "mkdirs": (lambda w, o: w.root.mkdirs("new"), "Cannot create directory ~/new."),
    "mkdirs of what is there": (lambda w, o: w.root.mkdirs("d"), "Cannot create directory ~/d."),
    "mkdirs of what cannot be": (lambda w, o: w.root.mkdirs("a:b"), "Cannot create directory ~/a:b."),
    "delete": (lambda w, o: w.root.delete("f"), "Cannot delete ~/f."),
    "rename": (lambda w, o: w.root.call("rename", src=w.root.at("f"), dst=w.root.at("g")), "Cannot rename ~/f."),
    "rename2": (lambda w, o: w.root.rename2("f", "g"), "Cannot rename ~/f."),
    "setPermission": (lambda w, o: w.root.chmod("f", 0o600), "Cannot set permission for ~/f."),
    "setOwner": (lambda w, o: w.root.call("setOwner", src=w.root.at("f"), username="x"), "Cannot set owner for ~/f."),
    "setTimes": (lambda w, o: w.root.call("setTimes", src=w.root.at("f"), mtime=1, atime=1), "Cannot set times ~/f."),
    "setReplication": (
        lambda w, o: w.root.call("setReplication", src=w.root.at("f"), replication=2),
        "Cannot set replication for ~/f.",
    ),
    "setStoragePolicy": (
        lambda w, o: w.root.call("setStoragePolicy", src=w.root.at("d"), policyName="HOT"),
        "Cannot set storage policy for ~/d.",
    ),
    "unsetStoragePolicy": (
        lambda w, o: w.root.call("unsetStoragePolicy", src=w.root.at("d")),
        "Cannot unset storage policy for ~/d.",
    ),
    "addBlock": (lambda w, o: w.root.add_block("open", o.file_id, previous=o.block), "Cannot add block to ~/open."),
    "complete": (lambda w, o: w.root.complete("open", o.file_id, last=o.block), "Cannot complete file ~/open."),
    "abandonBlock": (
        lambda w, o: w.root.call(
            "abandonBlock", b=o.block, src=w.root.at("open"), holder="root-client", fileId=o.file_id
        ),
        "Cannot abandon block & for file~/open.",
    ),
    "fsync": (
        lambda w, o: w.root.call(
            "fsync", src=w.root.at("open"), client="root-client", fileId=o.file_id, lastBlockLength=5
        ),
        "Cannot fsync file ~/open.",
    ),
    "renewLease": (
        lambda w, o: w.root.call("renewLease", clientName="root-client"),
        "Cannot renew lease for root-client.",
    ),
    "recoverLease": (
        lambda w, o: w.root.call("recoverLease", src=w.root.at("open"), clientName="x"),
        "Cannot recover the lease of ~/open.",
    ),
    "updateBlockForPipeline": (
        lambda w, o: w.root.call("updateBlockForPipeline", block=o.block, clientName="root-client"),
        "Cannot get a new generation stamp and an access token for block &.",
    ),
    "updatePipeline": (update_pipeline, "Pipeline not updated."),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_refused(world: World, open_file: Open, change: str) -> None:
    act, cannot = CHANGES[change]
    with pytest.raises(Refused) as caught:
        act(world, open_file)
    text = plain(caught.value.text, world.root.folder)
    assert (caught.value.class_name, text) == (SAFE_MODE, cannot + TURNED_ON)


def test_reads_go_on(world: World, open_file: Open) -> None:
    root = world.root
    assert root.call("getFileInfo", src=root.at("f")).HasField("fs")
    assert root.call("getListing", src=root.folder, startAfter=b"", needLocation=True).HasField("dirList")
    for name in ("f", "open"):
        assert root.call("getBlockLocations", src=root.at(name), offset=0, length=1).HasField("locations")
    root.call("reportBadBlocks", blocks=[])


def test_who_turns_it_on_and_off(world: World) -> None:
    for action, answer in (
        *(("GET", False), ("ENTER", True), ("ENTER", True), ("GET", True)),
        *(("LEAVE", False), ("LEAVE", False), ("GET", False), ("ENTER", True), ("FORCE_EXIT", False)),
    ):
        assert safe_mode(world, action, checked=action == "GET") is answer
        assert world.alice.call("setSafeMode", action="SAFEMODE_GET", checked=False).result is answer
    for action in ("ENTER", "LEAVE", "FORCE_EXIT"):
        with pytest.raises(Refused) as caught:
            world.alice.call("setSafeMode", action=f"SAFEMODE_{action}", checked=False)
        assert caught.value.class_name == DENIED
    assert world.root.mkdirs("new")


@pytest.mark.peers
def test_the_java_shell_says_why(world: World, open_file: Open, cluster: Cluster, java_shell: JavaShell) -> None:
    done = java_shell.run(cluster.address, "-mkdir", world.root.at("new"))
    assert done.status == 1
    assert f"mkdir: Cannot create directory {world.root.at('new')}. Name node is in safe mode." in done.err
