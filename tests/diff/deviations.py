"""Where ours answers otherwise than stock HDFS 3.3.6 on purpose: what, and why. Each must still be needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from google.protobuf.message import Message

from seamlessfs.wire.pb.hadoop import hdfs_pb2
from tests.diff.compare import Difference
from tests.diff.servers import Answer


@dataclass(frozen=True)
class Case:
    """Two answers that differ."""

    call: str
    user: str
    request: Message
    stock: Answer
    ours: Answer
    differences: list[Difference]
    written: Mapping[int, int]
    """Bytes that were written to blocks, by their ids in stock."""
    last_is_finished: bool = False
    """After an fsync with a length: whether the file's last block was declared finished before."""
    synced: tuple[int, int] = (0, 0)
    """After an fsync with a length: bytes of the last block, on stock and on ours."""
    left_open: tuple[bool, bool] = (False, False)
    """After a recoverLease: whether the file is open all the same, on stock and on ours."""
    recovered: bool = False
    """Whether some lease was recovered before in the program."""


Explains = Callable[[Case, Difference], bool]


@dataclass(frozen=True)
class Deviation:
    """Differences that are wanted.

    Attributes:
        explains: whether it is the cause of one difference.
        parts_ways: the two namespaces differ afterwards, so that the program ends there.
        by_chance: it shows only when stock is slow.
        passes: it is gone after a moment: ours is asked again.
        unseen: whether the namespaces differ after two answers that do not: the program ends there, too.
    """

    name: str
    reason: str
    explains: Explains = lambda case, one: False
    parts_ways: bool = False
    unseen: Callable[[Case], bool] = lambda case: False
    passes: bool = False
    by_chance: bool = False

    def unexplained(self, case: Case) -> list[Difference]:
        return [one for one in case.differences if not self.explains(case, one)]


ASSERTION = "java.lang.AssertionError"
IO = "java.io.IOException"
NOT_YET = "org.apache.hadoop.hdfs.server.namenode.NotReplicatedYetException"
JAVA_ILLEGAL = "java.lang.IllegalArgumentException"
WALKS = "getContentSummary", "getQuotaUsage"
STICKY = "Permission denied by sticky bit"
ILLEGAL = "org.apache.hadoop.HadoopIllegalArgumentException"
TOO_LONG = "org.apache.hadoop.hdfs.protocol.FSLimitException$PathComponentTooLongException"
REFUSED_NAMES = (ILLEGAL, TOO_LONG)
ACCIDENTS = ("Can not create a Path from an empty string", "java.net.URISyntaxException")
INVALID_PATH = "org.apache.hadoop.fs.InvalidPathException"


def refusals(stock: str, ours: str = "", *, stock_text: str = "", ours_text: str = "") -> Explains:
    """Both refuse, with these classes and with texts that begin so."""

    def explains(case: Case, one: Difference) -> bool:
        classes = case.stock.class_name == stock and case.ours.class_name == (ours or stock)
        return classes and case.stock.text.startswith(stock_text) and case.ours.text.startswith(ours_text)

    return explains


def paths_of(request: Message) -> list[str]:
    """The paths that a request names."""
    return [
        str(getattr(request, name)) for name in ("src", "dst", "path", "filename", "link") if hasattr(request, name)
    ]


def named_blocks(request: Message) -> list[hdfs_pb2.ExtendedBlockProto]:
    """The blocks that a request says the length of."""
    return [getattr(request, name) for name in ("previous", "last") if name in request.DESCRIPTOR.fields_by_name]


def not_ascii(case: Case) -> bool:
    """Whether a name beyond ASCII is listed, or the listing follows one; or whether a refusal names one."""
    if case.call != "getListing":
        return not (case.stock.text + case.ours.text).isascii()
    names = [case.request.startAfter]  # type: ignore[attr-defined]
    for answer in (case.stock, case.ours):
        names += [one.path for one in answer.message.dirList.partialListing]  # type: ignore[union-attr]
    return not all(name.isascii() for name in names)


def accepted(stock: str, stock_text: str = "", call: str = "") -> Explains:
    """Stock refuses with this class and a text that begins so; ours does it."""

    def explains(case: Case, one: Difference) -> bool:
        refused = case.stock.class_name == stock and case.stock.text.startswith(stock_text)
        return refused and case.ours.message is not None and call in ("", case.call)

    return explains


def longer_than_a_block(case: Case) -> bool:
    """Whether a file shows more bytes than fit in its only block."""
    shown = [getattr(case.stock.message, "fs", None)]
    shown += getattr(getattr(case.stock.message, "dirList", None), "partialListing", ())
    return any(one and one.length > one.blocksize and one.length in case.written.values() for one in shown)


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        "placement_policy",
        "The storage policy that a path shows is the one that places its replicas on IDCs; HDFS's own policies name "
        "storage types only, are kept beside it and are not shown.",
        lambda case, one: "storagePolicy" in one.where.split("."),
    ),
    Deviation(
        "age_of_the_reserved",
        "What is in `/.reserved` has the times of the namenode's start in stock, and no times in ours: it is no file.",
        lambda case, one: (
            one.where.endswith("_time")
            and any(
                path.startswith("/.reserved") and len(path) < len("/.reserved/.") for path in paths_of(case.request)
            )
        ),
    ),
    Deviation(
        "storage_types",
        "Content summaries of stock count bytes by storage type below a policy that names some; placement of ours does "
        "not go by storage types.",
        lambda case, one: one.where.endswith(".typeQuotaInfos"),
    ),
    Deviation(
        "access_time_follows",
        "A read of ours does not wait until the access time that it moves is durable; in stock it does.",
        lambda case, one: one.where.endswith("access_time") and one.ours < one.stock,
        passes=True,
    ),
    Deviation(
        "no_room",
        "A block that no datanode has room for makes stock fail the file; ours holds the call for a while, and then "
        "asks the writer to come again, so that a shortage ends no write.",
        refusals(IO, NOT_YET, stock_text="File ", ours_text="Not replicated yet: "),
    ),
    Deviation(
        "snapshots",
        "There are no snapshots yet: `.snapshot` names nothing.",
        lambda case, one: any("/.snapshot" in path for path in paths_of(case.request)),
    ),
    Deviation(
        "range_beyond_64_bits",
        "Stock adds offset and length of a range in 64 bits with sign; where they overflow it answers one block.",
        lambda case, one: (
            one.where == "locations.blocks.length" and case.request.offset + case.request.length >= 1 << 63
        ),  # type: ignore[attr-defined]
    ),
    Deviation(
        "order_of_names",
        "Stock compares names as signed bytes, so that a listing has those beyond ASCII first; ours has them in the "
        "order of their bytes, which is that of the store's keys. Pages follow each other in either order.",
        lambda case, one: (
            (one.where.startswith("dirList") or case.stock.text.startswith(STICKY) or case.call in WALKS)
            and not_ascii(case)
        ),
    ),
    Deviation(
        "traces_of_a_refused_call",
        "Stock's create and mkdirs leave the missing directories above a name that is then refused, and its renames "
        "the time of the source's directory; ours change nothing when they refuse.",
        unseen=lambda case: (
            case.stock.class_name in REFUSED_NAMES and case.call in ("create", "mkdirs", "rename", "rename2")
        ),
    ),
    Deviation(
        "block_size_too_large",
        "A block size that is too large is found out by stock after it has removed the file that is to be overwritten "
        "and made directories, and its text is misspelt; ours change nothing and name the path.",
        lambda case, one: one.where == "text" and case.stock.text.startswith("Illagal value: PREFERRED_BLOCK_SIZE"),
        parts_ways=True,
    ),
    Deviation(
        "length_that_was_not_written",
        "A writer names another length of a block than it wrote. Stock closes the file with that length if replicas "
        "were reported before, and never otherwise; ours only when there are replicas of that length.",
        unseen=lambda case: any(
            case.written.get(block.blockId, block.numBytes) != block.numBytes for block in named_blocks(case.request)
        ),
    ),
    Deviation(
        "relative_path",
        "A path without a leading slash fails an assertion in stock's namenode, an error that says nothing to a "
        "client; ours says that the path is invalid.",
        refusals(ASSERTION, INVALID_PATH, stock_text="Absolute path required"),
    ),
    Deviation(
        "empty_path",
        "An empty path of something to be made, or one that begins like a scheme, is an accident of Java's in stock; "
        "ours is that of every other path that is none.",
        lambda case, one: case.stock.text.startswith(ACCIDENTS),
    ),
    Deviation(
        "root_into_a_directory",
        "The old rename of the root into a directory is a null pointer in stock for users whose permissions are looked "
        "at; ours answers as for any other target.",
        lambda case, one: case.call == "rename" and case.stock.class_name == "java.lang.NullPointerException",
    ),
    Deviation(
        "block_that_was_only_claimed",
        "A writer that is gone has named the length of a block before the last, and no datanode has ever had it. Stock "
        "waits for it and never closes the file; ours gives the block up once all its datanodes have said so, unless "
        "there are bytes after it. While both wait they say different things about the last block.",
        unseen=lambda case: case.left_open[0],
    ),
    Deviation(
        "more_than_a_block",
        "A writer sends more than its block may hold. The recovery of its lease takes all of that in stock; in ours "
        "what fits, so that no block is longer than its file says.",
        lambda case, one: one.where.endswith("length") and longer_than_a_block(case),
        by_chance=True,
        parts_ways=True,
    ),
    Deviation(
        "writer_of_a_recovered_file",
        "A writer goes on with a block that was taken from it. In stock its datanodes learn that later, or never; in "
        "ours soon, and then they end the connection.",
        lambda case, one: (
            case.call == "write" and case.recovered and case.stock.message is not None and case.ours.message is None
        ),
        by_chance=True,
    ),
    Deviation(
        "block_of_a_deleted_file",
        "Stock forgets the blocks of deleted files in the background, and says something else about them until then.",
        lambda case, one: (
            case.stock.text.startswith(("The file blk_", "Unexpected BlockUCState: "))
            and case.ours.text.endswith(" does not exist.")
        ),
        by_chance=True,
    ),
    Deviation(
        "charge_of_a_committed_block",
        "The block before the open one is charged as full in ours until its writer's next call, if its replicas were "
        "reported after it was declared finished; in stock until that report.",
        lambda case, one: one.where.endswith("spaceConsumed") and 0 < int(one.ours) - int(one.stock) < 3 * 1024,
        by_chance=True,
    ),
    Deviation(
        "raw_by_its_beginning",
        "Stock takes every path that begins with `/.reserved/raw` for one below it, `/.reserved/rawc` too; ours does "
        "not, and there is no such path.",
        lambda case, one: any(re.match("/\\.reserved/raw[^/]", path) for path in paths_of(case.request)),
        by_chance=True,
    ),
    Deviation(
        "length_of_a_block",
        "Stock takes any length that a writer names for its block, also one that is over the block size or below what "
        "was synced, and waits for replicas that will never have it; ours refuses it.",
        lambda case, one: case.stock.message is not None and case.ours.text.startswith(("Commit of blk_", "Length ")),
        parts_ways=True,
    ),
    Deviation(
        "sticky_quota_usage",
        "Stock's getQuotaUsage is refused by a sticky bit below, as if something were to be removed; ours is not.",
        lambda case, one: case.call == "getQuotaUsage" and case.stock.text.startswith(STICKY),
    ),
    Deviation(
        "sticky_directory_below",
        "Of a sticky directory somewhere below, stock's refusal shows the owner and mode of the directory that the "
        "call names; ours its own.",
        lambda case, one: (
            one.where == "text"
            and case.stock.text.startswith(STICKY)
            and case.stock.text.partition(", parent=")[0] == case.ours.text.partition(", parent=")[0]
        ),
    ),
    Deviation(
        "lazy_persist",
        "The flag LAZY_PERSIST of create sets a storage policy in stock that cannot be changed; ours has no memory to "
        "write to, and takes the flag as a wish.",
        lambda case, one: case.stock.text.startswith("Existing policy LAZY_PERSIST cannot be changed"),
    ),
    Deviation(
        "length_of_a_finished_block",
        "Stock's fsync changes the length of a block that its writer has declared finished; ours leaves it.",
        unseen=lambda case: case.call == "fsync" and case.last_is_finished,
    ),
    Deviation(
        "synced_length_is_kept",
        "An fsync with a smaller length than one before makes the block shorter for readers in stock; in ours nothing "
        "that was synced becomes less.",
        unseen=lambda case: case.call == "fsync" and case.synced[0] < case.synced[1],
    ),
    Deviation(
        "length_of_no_block",
        "fsync with a length, of a file without a block, is a null pointer in stock; ours has no length to take.",
        accepted("java.lang.NullPointerException", call="fsync"),
    ),
)
