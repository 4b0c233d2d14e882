"""Tables of what a namenode refuses: calls, and the class and text that each must be answered with."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.namenode_session import Session
from tests.support.raw_rpc import Refused

IO = "java.io.IOException"
NOT_FOUND = "java.io.FileNotFoundException"
EXISTS = "org.apache.hadoop.fs.FileAlreadyExistsException"
NOT_A_PARENT = "org.apache.hadoop.fs.ParentNotDirectoryException"
NOT_EMPTY = "org.apache.hadoop.fs.PathIsNotEmptyDirectoryException"
INVALID = "org.apache.hadoop.fs.InvalidPathException"
DENIED = "org.apache.hadoop.security.AccessControlException"
BEING_CREATED = "org.apache.hadoop.hdfs.protocol.AlreadyBeingCreatedException"
LEASE = "org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException"
SAFE_MODE = "org.apache.hadoop.hdfs.server.namenode.SafeModeException"
NOT_YET = "org.apache.hadoop.hdfs.server.namenode.NotReplicatedYetException"
TOO_LONG = "org.apache.hadoop.hdfs.protocol.FSLimitException$PathComponentTooLongException"
ILLEGAL = "org.apache.hadoop.HadoopIllegalArgumentException"
JAVA_ILLEGAL = "java.lang.IllegalArgumentException"
GONE = "org.apache.hadoop.hdfs.server.datanode.ReplicaNotFoundException"
RETRIABLE = "org.apache.hadoop.ipc.RetriableException"
UNSUPPORTED = "java.lang.UnsupportedOperationException"


@dataclass(frozen=True)
class World:
    """Who acts in a case: the superuser under two client names, and two others."""

    root: Session
    other: Session
    alice: Session
    bob: Session


@dataclass(frozen=True)
class Case:
    """`act` must be refused with this class and text; in the text `~` is the test's folder.

    Attributes:
        stock: class and text of stock HDFS where ours differ on purpose.
    """

    act: Callable[[World], Any]
    class_name: str
    text: str
    stock: tuple[str, str] | None = None


Act = Callable[[World], Any]


class Refusals(dict[str, Case]):
    """Cases by name."""

    def refused(self, class_name: str, text: str, stock: tuple[str, str] | None = None) -> Callable[[Act], Act]:
        """Enters a function that makes the refused call."""

        def enter(act: Act) -> Act:
            self[act.__name__] = Case(act, class_name, text, stock)
            return act

        return enter

    def check(self, name: str, world: World, on_stock: bool) -> None:
        """Makes the call and compares the refusal."""
        case = self[name]
        with pytest.raises(Refused) as caught:
            case.act(world)
        expected = case.stock if case.stock and on_stock else (case.class_name, case.text)
        assert (caught.value.class_name, plain(caught.value.text, world.root.folder)) == expected


def plain(text: str, folder: str) -> str:
    """The text without what differs from run to run: folder, inode numbers, blocks, long names, counts of nodes."""
    text = text.replace(folder, "~")
    text = re.sub(r"BP-[-\w.]+:\d+", "^", text)
    text = re.sub(r"(BP-[-\w.]+:)?blk_\d+_\d+", "&", text)
    text = re.sub(r"pending creates: \d+", "pending creates: #", text)
    text = re.sub(r"inode \d+", "inode #", text)
    text = re.sub(r"\bfileId=\d+", "fileId=#", text)
    text = re.sub(r"\b(Data node|Node) [\d.]+:\d+", r"\1 @", text)
    text = re.sub(r"\bstorage ID [-\w]+", "storage ID #", text)
    text = re.sub(r"(?<=NamenodeHostName:)\S+", "#", text)
    text = re.sub(r"\bid = \d+", "id = #", text)
    text = re.sub(r"\b(\d+|no) (datanode|node)\(s\)", r"# \2(s)", text)
    return re.sub(r"(n|ü){128,}", "@", text)
