"""Paths with every trick, and every call that takes a path: what a namenode says to each pair."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from tests.support.namenode_session import Session, mode
from tests.support.raw_rpc import RawRpc, Refused
from tests.support.refusals import plain

BROKEN = {"\ue000": b"\xff\xfe\xfd", "\ue001": b"\xed\xa0\x80", "\ue002": b"\xc0\xaf/"[:3], "\ue003": b"ok\xc3"}
"""Characters that stand for three bytes that are no UTF-8: garbage, a lone surrogate, an overlong slash, a cut one."""

PATHS: dict[str, str] = {
    "a file": "~/f",
    "a directory": "~/d",
    "nothing": "~/none",
    "the root": "/",
    "below a file": "~/f/x",
    "empty": "",
    "relative": "!relative",
    "dot": ".",
    "dot dot": "!..",
    "to the parent": "~/d/../x",
    "ends in dot dot": "~/..",
    "ends in dot": "~/.",
    "dot inside": "~/./x",
    "double slash": "~//x",
    "double slash first": "/~/x",
    "trailing slash": "~/x/",
    "trailing slashes": "~/x///",
    "trailing slash of a file": "~/f/",
    "only slashes": "///",
    "nul": "~/a\0b",
    "nul at the end": "~/a\0",
    "control characters": "~/a\n\r\t\x1b[2J\x7fb",
    "colon": "~/a:b",
    "space": "~/ ",
    "three dots": "~/...",
    "backslash": "~/a\\..\\b",
    "percent": "~/%2e%2e%2fx",
    "shell": "~/$(reboot);`x`|&>*?[a]{b}'\"",
    "html": "~/<script>alert(1)</script>",
    "csv": '~/=cmd|"/c x"!A1,b',
    "url": "hdfs://h:1~/x",
    "255 bytes": "~/" + "n" * 255,
    "256 bytes": "~/" + "n" * 256,
    "255 bytes of two": "~/" + "ü" * 127 + "n",
    "256 bytes of two": "~/" + "ü" * 128,
    "256 bytes of four": "~/" + "\U0001f600" * 64,
    "composed": "~/\u00e9",
    "decomposed": "~/e\u0301",
    "right to left": "~/a\u202etxt.exe",
    "not a character": "~/a\uffff\ufdd0",
    "reserved": "/.reserved",
    "reserved inodes": "/.reserved/.inodes",
    "reserved inode of the root": "/.reserved/.inodes/16385",
    "reserved raw": "/.reserved/raw~/f",
    "reserved something": "/.reserved/nothing/x",
    "snapshot": "~/.snapshot",
    "snapshot inside": "~/.snapshot/x",
    "trash": "~/.Trash",
    "reserved below": "~/.reserved",
    "no utf-8": "~/a\ue000b",
    "lone surrogate": "~/a\ue001b",
    "overlong slash": "~/a\ue002b",
    "cut character": "~/a\ue003",
}
LONG: dict[str, str] = {
    "8000 characters": "/" + "/".join(["n" * 199] * 40),
    "8001 characters": "/" + "/".join(["n" * 199] * 40) + "n",
    "depth 1001": "/d" * 1001,
    "100,000 characters": "/" + "n" * 100_000,
}


class Raw:
    """A request whose stand-ins for broken characters are replaced once it is bytes; lengths stay."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def SerializeToString(self) -> bytes:
        data = self._message.SerializeToString()
        for character, broken in BROKEN.items():
            data = data.replace(character.encode(), broken)
        return data


Call = Callable[[Callable[..., Any], str, str], Any]


def _create(ask: Callable[..., Any], path: str, _: str) -> Any:
    return ask(
        "create",
        src=path,
        masked=mode(0o644),
        clientName="tricks",
        createFlag=pb.CREATE,
        createParent=True,
        replication=1,
        blockSize=1 << 20,
    )


CALLS: dict[str, Call] = {
    "getFileInfo": lambda ask, path, _: ask("getFileInfo", src=path).HasField("fs"),
    "getFileLinkInfo": lambda ask, path, _: ask("getFileLinkInfo", src=path).HasField("fs"),
    "getLocatedFileInfo": lambda ask, path, _: ask("getLocatedFileInfo", src=path).HasField("fs"),
    "getListing": lambda ask, path, _: ask("getListing", src=path, startAfter=b"", needLocation=False).HasField(
        "dirList"
    ),
    "getBlockLocations": lambda ask, path, _: ask("getBlockLocations", src=path, offset=0, length=1) and None,
    "getContentSummary": lambda ask, path, _: ask("getContentSummary", path=path) and None,
    "getQuotaUsage": lambda ask, path, _: ask("getQuotaUsage", path=path) and None,
    "getPreferredBlockSize": lambda ask, path, _: ask("getPreferredBlockSize", filename=path) and None,
    "checkAccess": lambda ask, path, _: ask("checkAccess", path=path, mode="READ") and None,
    "isFileClosed": lambda ask, path, _: ask("isFileClosed", src=path).result,
    "getStoragePolicy": lambda ask, path, _: ask("getStoragePolicy", path=path) and None,
    "mkdirs": lambda ask, path, _: ask("mkdirs", src=path, masked=mode(0o755), createParent=True).result,
    "mkdirs without parents": lambda ask, path, _: (
        ask("mkdirs", src=path, masked=mode(0o755), createParent=False).result
    ),
    "create": lambda ask, path, _: _create(ask, path, _) and None,
    "setPermission": lambda ask, path, _: ask("setPermission", src=path, permission=mode(0o750)) and None,
    "setOwner": lambda ask, path, _: ask("setOwner", src=path, username="root") and None,
    "setTimes": lambda ask, path, _: ask("setTimes", src=path, mtime=1, atime=1) and None,
    "setReplication": lambda ask, path, _: ask("setReplication", src=path).result,
    "setStoragePolicy": lambda ask, path, _: ask("setStoragePolicy", src=path, policyName="HOT") and None,
    "unsetStoragePolicy": lambda ask, path, _: ask("unsetStoragePolicy", src=path) and None,
    "addBlock": lambda ask, path, _: ask("addBlock", src=path, clientName="tricks") and None,
    "complete": lambda ask, path, _: ask("complete", src=path, clientName="tricks").result,
    "fsync": lambda ask, path, _: ask("fsync", src=path, client="tricks") and None,
    "recoverLease": lambda ask, path, _: ask("recoverLease", src=path, clientName="tricks").result,
    "rename from": lambda ask, path, folder: ask("rename", src=path, dst=f"{folder}/to").result,
    "rename to": lambda ask, path, folder: ask("rename", src=f"{folder}/f", dst=path).result,
    "rename2 from": lambda ask, path, folder: (
        ask("rename2", src=path, dst=f"{folder}/to", overwriteDest=False) and None
    ),
    "rename2 to": lambda ask, path, folder: ask("rename2", src=f"{folder}/f", dst=path, overwriteDest=False) and None,
    "delete": lambda ask, path, _: ask("delete", src=path, recursive=False).result,
}
OUTCOME_CHARS = 200
ROOTS = ("/", "///", "/.reserved/.inodes/16385")
SETTING = ("setPermission", "setOwner", "setTimes", "setStoragePolicy", "unsetStoragePolicy")
"""Not of the root: the cluster is shared."""
TABLE = Path(__file__).with_name("path_tricks.json")
"""What stock HDFS says: by path and outcome, the calls that have it. `record_path_tricks` writes it."""


def stock_outcomes(name: str) -> dict[str, str]:
    """What stock HDFS says to a path, by call."""
    by_outcome = json.loads(TABLE.read_text())[name]
    return {call: said for said, calls in by_outcome.items() for call in calls}


def outcomes(session: Session, rpc: RawRpc, path: str, replication: int) -> Iterator[tuple[str, str]]:
    """What each call answers for one path, in a folder that is made anew for each, with a file `f` and a directory `d`.

    Args:
        replication: what the cluster's files have, so that to ask for it changes nothing.
    """

    def ask(method: str, **fields: Any) -> Any:
        kind = getattr(pb, f"{method[0].upper()}{method[1:]}RequestProto")
        if method == "setReplication":
            fields["replication"] = replication
        return rpc.call(method, Raw(kind(**fields)))  # type: ignore[arg-type]

    for number, (call, act) in enumerate(CALLS.items()):
        if path in ROOTS and call in SETTING:
            continue
        folder = f"{session.folder}/{number}"
        session.mkdirs(f"{number}/d")
        session.touch(f"{number}/f")
        try:
            said = f"{act(ask, path.removeprefix('!').replace('~', folder), folder)}"
        except Refused as refusal:
            said = f"{refusal.class_name}: {plain(refusal.text, folder)}"[:OUTCOME_CHARS]
        session.delete(str(number), recursive=True)
        yield call, said
