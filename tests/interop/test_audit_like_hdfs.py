"""The audit log side by side with stock HDFS: the same calls leave the same lines."""

from __future__ import annotations

import difflib
import re
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.pb.hadoop import encryption_pb2, erasurecoding_pb2
from seamlessfs.wire.rpc.protocols import (
    RECONFIGURATION_PROTOCOL,
    REFRESH_AUTHORIZATION_PROTOCOL,
    REFRESH_CALL_QUEUE_PROTOCOL,
    REFRESH_USER_MAPPINGS_PROTOCOL,
    messages_of,
)
from tests.support.namenode_session import Session, mode
from tests.support.observe import until
from tests.support.raw_rpc import RawRpc, Refused
from tests.support.stock_hdfs import HOST, StockHdfs

OUR_PREFIX = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO FSNamesystem\.audit: allowed=")
ODD_NAME = 'a\tb\nc\r=é😀"\\ \x7f'


OTHER_PROTOCOLS = (
    (REFRESH_USER_MAPPINGS_PROTOCOL, "refreshUserToGroupsMappings"),
    (REFRESH_USER_MAPPINGS_PROTOCOL, "refreshSuperUserGroupsConfiguration"),
    (REFRESH_CALL_QUEUE_PROTOCOL, "refreshCallQueue"),
    (REFRESH_AUTHORIZATION_PROTOCOL, "refreshServiceAcl"),
    (RECONFIGURATION_PROTOCOL, "listReconfigurableProperties"),
    (RECONFIGURATION_PROTOCOL, "getReconfigurationStatus"),
)
"""Methods, without fields, of protocols that administrators' tools speak."""


class Actors:
    """A superuser and somebody else, below a folder of their own.

    Args:
        policy: a storage policy under which the replication factor is the client's.
    """

    def __init__(self, stack: ExitStack, port: int, policy: str) -> None:
        self.policy = policy
        self.folder = f"/audit-{uuid.uuid4().hex[:8]}"
        self.rpcs = {user: stack.enter_context(RawRpc("127.0.0.1", port, user)) for user in ("root", "alice")}
        self.root = Session(self.rpcs["root"], self.folder, "root-client")
        self.alice = Session(self.rpcs["alice"], self.folder, "alice-client")

    def each(self, method: str, **fields: Any) -> None:
        """A call of the superuser and of the other one."""
        for session in (self.root, self.alice):
            attempt(lambda session=session: session.call(method, **fields))  # type: ignore[misc]


def attempt(act: Callable[[], Any]) -> None:
    with suppress(Refused):
        act()


def program(actors: Actors) -> None:
    """Each audited call: done, without effect, denied, refused for another reason; and some that are not audited."""
    root, alice, at = actors.root, actors.alice, actors.root.at
    root.mkdirs("")
    actors.each("setStoragePolicy", src=at(""), policyName=actors.policy)
    root.mkdirs("d", bits=0o1770)
    root.mkdirs("d")
    root.mkdirs("private", bits=0o700)
    for path, parents in (("x", True), ("none/x", False), (ODD_NAME, True), ("a=b c=d", True), ("../x", True)):
        for session in (root, alice):
            attempt(lambda session=session, path=path, parents=parents: session.mkdirs(path, parents))  # type: ignore[misc]
    for path in ("f", "f", "private/f", "none"):
        attempt(lambda path=path: alice.create(path))  # type: ignore[misc]
        attempt(lambda path=path: root.create(path))  # type: ignore[misc]
    root.create("f", overwrite=True)
    root.complete("f")
    root.complete("private/f")
    actors.each("setPermission", src=at("f"), permission=mode(0o1640))
    actors.each("setOwner", src=at("f"), username="bob", groupname="people")
    actors.each("setTimes", src=at("f"), mtime=1, atime=2)
    for replication in (2, 2):
        actors.each("setReplication", src=at("f"), replication=replication)
    actors.each("setReplication", src=at("d"), replication=2)
    for path in ("f", "private/f", "missing", "d", "private", f"{ODD_NAME}"):
        _look(actors, at(path))
    _rename_and_delete(actors)
    _about_the_service(actors)
    _for_administrators(actors)


def _look(actors: Actors, path: str) -> None:
    actors.each("getBlockLocations", src=path, offset=0, length=10)
    for method in ("getFileInfo", "getFileLinkInfo", "isFileClosed"):
        actors.each(method, src=path)
    actors.each("getLocatedFileInfo", src=path, needBlockToken=False)
    actors.each("getListing", src=path, startAfter=b"", needLocation=True)
    actors.each("getContentSummary", path=path)
    actors.each("getQuotaUsage", path=path)
    actors.each("checkAccess", path=path, mode="READ")
    actors.each("getPreferredBlockSize", filename=path)
    actors.each("getStoragePolicy", path=path)
    actors.each("unsetStoragePolicy", src=path)
    for rpc in actors.rpcs.values():
        zone = encryption_pb2.GetEZForPathRequestProto(src=path)
        attempt(lambda rpc=rpc, zone=zone: rpc.call("getEZForPath", zone))  # type: ignore[misc]
        coding = erasurecoding_pb2.GetErasureCodingPolicyRequestProto(src=path)
        attempt(lambda rpc=rpc, coding=coding: rpc.call("getErasureCodingPolicy", coding))  # type: ignore[misc]


def _rename_and_delete(actors: Actors) -> None:
    root, alice, at = actors.root, actors.alice, actors.root.at
    actors.each("rename", src=at("f"), dst=at("g"))
    actors.each("rename", src=at("missing"), dst=at("g"))
    actors.each("rename", src=at("g"), dst=at("d"))
    for source, target, over, trash in (
        ("d/g", "h", False, False),
        ("h", "h", False, False),
        ("missing", "h", True, False),
        ("private/f", "h", True, False),
        ("h", "i", False, True),
        ("d", "e", True, True),
    ):
        actors.each("rename2", src=at(source), dst=at(target), overwriteDest=over, moveToTrash=trash)
    for path in ("missing", "private", "i"):
        attempt(lambda path=path: alice.delete(path))  # type: ignore[misc]
        attempt(lambda path=path: root.delete(path))  # type: ignore[misc]
    attempt(lambda: alice.delete("private", recursive=True))
    root.create("open")
    actors.each("recoverLease", src=at("open"), clientName="x")
    actors.each("renewLease", clientName="x")


def _about_the_service(actors: Actors) -> None:
    for action in ("GET", "ENTER", "LEAVE", "FORCE_EXIT"):
        actors.each("setSafeMode", action=f"SAFEMODE_{action}", checked=False)
        attempt(lambda: actors.root.mkdirs("in-safe-mode"))
    actors.each("getDatanodeReport", type="LIVE")
    actors.each("getStoragePolicies")
    actors.each("getServerDefaults")
    for rpc in actors.rpcs.values():
        zones = encryption_pb2.ListEncryptionZonesRequestProto(id=0)
        attempt(lambda rpc=rpc, zones=zones: rpc.call("listEncryptionZones", zones))  # type: ignore[misc]


def _for_administrators(actors: Actors) -> None:
    at = actors.root.at
    actors.each("getFileInfo", src=at("administrators-from-here"))
    for method in (
        "saveNamespace",
        "rollEdits",
        "refreshNodes",
        "finalizeUpgrade",
        "upgradeStatus",
        "getFsReplicatedBlockStats",
        "getSlowDatanodeReport",
    ):
        actors.each(method)
    actors.each("metaSave", filename=f"audit-{uuid.uuid4().hex[:8]}")
    actors.each("setBalancerBandwidth", bandwidth=4 << 20)
    for arg in ("check", "true", "false"):
        actors.each("restoreFailedStorage", arg=arg)
    for action in ("QUERY", "FINALIZE"):
        actors.each("rollingUpgrade", action=action)
    actors.each("listOpenFiles", id=0, types=[pb.ALL_OPEN_FILES], path=at(""))
    actors.each("listCorruptFileBlocks", path=at(""), cookie="0")
    actors.each("getDatanodeStorageReport", type="LIVE")
    actors.each("satisfyStoragePolicy", src=at(""))
    actors.each("setSafeMode", action="SAFEMODE_ENTER", checked=False)
    actors.each("saveNamespace")
    actors.each("rollEdits")
    actors.each("setSafeMode", action="SAFEMODE_LEAVE", checked=False)
    for protocol, method in OTHER_PROTOCOLS:
        messages = messages_of(protocol, method)
        assert messages is not None
        for rpc in actors.rpcs.values():
            attempt(partial(rpc.call, method, messages.request(), protocol))


def check(web: str, log: Path, user: str, **options: str) -> None:
    """Asks for what `fsck` asks for, and waits for its line: stock writes it after it has answered."""

    def lines() -> int:
        return log.read_text(errors="replace").count("cmd=fsck")

    query, before = urllib.parse.urlencode({"ugi": user, **options}), lines()
    with suppress(urllib.error.HTTPError), urllib.request.urlopen(f"{web}/fsck?{query}", timeout=60) as answer:
        answer.read()
    until(lambda: lines() > before, "the line of the check")


def lines_of(port: int, web: str, log: Path, policy: str = "IDC_NONE") -> list[str]:
    """Runs the program; the lines that it left, from `allowed=` on."""
    with ExitStack() as stack:
        actors = Actors(stack, port, policy)
        program(actors)
        for user in ("root", "alice"):
            for name in ("e", "missing", "private", "a=b c=d\t"):
                check(web, log, user, path=actors.root.at(name), files="1")
            check(web, log, user, path=actors.root.at("e"), listcorruptfileblocks="1")
            check(web, log, user, path="/", blockId="blk_1 nothing")
        last = actors.root.at("the-last-line")
        actors.root.call("getFileInfo", src=last)
        until(lambda: last in log.read_text(errors="replace"), "the log has everything")
        return list(_of(actors.folder, log.read_text(errors="replace")))


def _of(folder: str, text: str) -> Iterator[str]:
    """The lines from the first that names the folder to the last."""
    lines = [line[line.index("allowed=") :] for line in text.split("\n") if "allowed=" in line]
    numbers = [number for number, line in enumerate(lines) if folder in line]
    return (line.replace(folder, "~") for line in lines[numbers[0] : numbers[-1] + 1])


@pytest.mark.peers
def test_the_same_calls_leave_the_same_lines(mini: MiniCluster, stock_hdfs: StockHdfs) -> None:
    assert stock_hdfs.namenode is not None
    web = f"http://{HOST}:{stock_hdfs.http_port}"
    theirs = lines_of(stock_hdfs.port, web, stock_hdfs.namenode.log, "HOT")
    ours = lines_of(mini.rpc_port, mini.http_url, mini.folder / "audit.log")
    assert list(difflib.unified_diff(theirs, ours, "stock", "ours", n=2, lineterm="")) == []
    assert len(ours) > 150


def test_each_line_is_one_line_with_all_fields(mini: MiniCluster) -> None:
    log = mini.folder / "audit.log"
    found = lines_of(mini.rpc_port, mini.http_url, log)
    fields = ["allowed", "ugi", "ip", "cmd", "src", "dst", "perm", "proto"]
    assert all([field.partition("=")[0] for field in line.split("\t")] == fields for line in found)
    assert all(OUR_PREFIX.match(line) for line in log.read_text().splitlines())


def test_a_repeated_call_is_logged_once(mini: MiniCluster) -> None:
    log = mini.folder / "audit.log"
    folder = f"/audit-{uuid.uuid4().hex[:8]}"
    with (
        RawRpc("127.0.0.1", mini.rpc_port) as rpc,
        RawRpc("127.0.0.1", mini.rpc_port, client_id=rpc.client_id) as again,
    ):
        Session(rpc, folder, "c").touch("f")
        request = pb.DeleteRequestProto(src=f"{folder}/f", recursive=False)
        first = rpc.call("delete", request)
        assert again.call("delete", request, repeated=2) == first
        assert first.result  # type: ignore[attr-defined]
        rpc.call("getFileInfo", pb.GetFileInfoRequestProto(src=f"{folder}/last"))
    until(lambda: f"{folder}/last" in log.read_text(), "the log has everything")
    assert log.read_text().count(f"cmd=delete\tsrc={folder}/f") == 1
