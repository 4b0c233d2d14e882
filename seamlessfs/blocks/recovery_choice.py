"""How long a block becomes whose writer is gone, and which replicas make it so: a function of what datanodes found.

What a writer was told that it is safe (hflush, hsync) has passed every datanode of its pipeline. So
  - a finalised replica has all of it: the writer had ended the block;
  - a replica whose process never died (RBW) has all of it, and more perhaps: the shortest of them is enough;
  - a replica of a process that was started anew (RWR) has all of it too, unless the machine lost power: the longest
    counts, once everybody who may come back has been asked;
  - a datanode of the pipeline that has run all the time and has nothing proves that nobody was told anything.

A replica of an older stamp than the block's missed a change of the pipeline, and does not decide. Before bytes that are
promised are given up, those of the pipeline are asked all the same: a client may tell a new pipeline before any of its
datanodes knows of it (hdfs-native does), and then the old replicas are all there is. They are a beginning of the block.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.ids import DatanodeUuid, GenerationStamp, StorageId


class FoundReplica(NamedTuple):
    """What one datanode has of a block, as it was before the recovery.

    Attributes:
        found: False: it has nothing; the fields of a replica then mean nothing.
        length: bytes on disk that fit their checksums.
        error: why a replica that is there does not take part.
        running_since: the newest generation stamp when the datanode's process joined; 0: not known, or it has lost
            something since.
    """

    uuid: DatanodeUuid
    found: bool
    state: ReplicaState = ReplicaState.RBW
    generation_stamp: GenerationStamp = GenerationStamp(0)
    length: int = 0
    storage_id: StorageId = StorageId("")
    error: str = ""
    running_since: GenerationStamp = GenerationStamp(0)


class Whereabouts(NamedTuple):
    """The datanode of a storage. uuid None: no datanode with that storage has registered.

    Attributes:
        dead: silent for so long that nobody waits for it.
    """

    uuid: DatanodeUuid | None
    connected: bool
    dead: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """The question as it was put.

    Attributes:
        block: as the namespace has it: its length is what was promised, by a sync or when the pipeline changed.
        length_max: the file's block size.
        stamp_min: replicas of older stamps were told that they do not take part; the block's stamp, or below it after
            an AskOlder.
        pipeline: the datanodes that the writer was given, by storage.
        answers: what was found; of datanodes outside the pipeline too.
    """

    block: Block
    length_max: int
    stamp_min: GenerationStamp
    pipeline: dict[StorageId, Whereabouts]
    answers: Sequence[FoundReplica]

    @property
    def silent(self) -> list[StorageId]:
        """Storages of the pipeline about which nobody has answered."""
        heard = {answer.uuid for answer in self.answers}
        return [storage_id for storage_id, where in self.pipeline.items() if where.uuid not in heard]

    @property
    def awaited(self) -> list[StorageId]:
        """Those of them that are not given up."""
        return [storage_id for storage_id in self.silent if not self.pipeline[storage_id].dead]


@dataclass(frozen=True, slots=True)
class Cut:
    """The block gets this length; these replicas have as many bytes and become it."""

    length: int
    replicas: tuple[FoundReplica, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """There is no byte of the block, and none can come: nobody was told that one is safe, or all machines lost it."""


@dataclass(frozen=True, slots=True)
class AskOlder:
    """These replicas of older stamps are asked to take part, from this stamp on."""

    stamp_min: GenerationStamp
    replicas: tuple[FoundReplica, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """It cannot be told yet."""

    reason: str


Choice = Cut | Drop | AskOlder | Wait


def choose(asked: Asked) -> Choice:
    """Decides from the answers that there are."""
    block = asked.block
    usable = [
        answer
        for answer in asked.answers
        if answer.found and not answer.error and answer.generation_stamp >= asked.stamp_min and answer.length
    ]
    if not usable:
        return _nothing(asked)
    long_enough = [answer for answer in usable if answer.length >= block.length]
    if not long_enough:
        most = max(answer.length for answer in usable)
        if not _all_is_said(asked, usable):
            return Wait(f"{block.length} bytes are promised, the longest replica has {most}; {_missing(asked.silent)}")
        older = None if _is_alive(asked, usable) else _older(asked, most)
        if older is not None:
            return older
        long_enough = usable
    length = _length(block, long_enough)
    if length is None:
        if asked.awaited:
            return Wait(f"every replica found was cut off by a restart; {_missing(asked.awaited)}")
        length = max(answer.length for answer in long_enough)
    length = min(length, asked.length_max)
    return Cut(length, tuple(answer for answer in long_enough if answer.length >= length))


def _length(block: Block, replicas: Collection[FoundReplica]) -> int | None:
    """The length that finalised or growing replicas prove, or None when there is neither.

    A finalised replica that a growing one of the same pipeline has outgrown is from before an append: it proves
    nothing, unless it is of a newer stamp: then an earlier recovery has chosen its length.
    """
    final = [each for each in replicas if each.state is ReplicaState.FINALIZED]
    longest = max((each.length for each in final), default=0)
    growing = [each.length for each in replicas if each.state is ReplicaState.RBW]
    chosen_before = any(each.generation_stamp > block.generation_stamp for each in final)
    if not growing or chosen_before:
        return longest or None
    if final and max(growing) <= longest:
        return longest
    return max(longest, min(growing))


def _all_is_said(asked: Asked, usable: Sequence[FoundReplica]) -> bool:
    """Whether nothing better than these replicas can come: whoever may still come back has answered, and

    - a member whose process never died has less: then the promise was none. A client may tell a new pipeline how much
      it has written, not how much was acknowledged (hdfs-native does);
    - or the whole pipeline has answered, and each lost its process: machines that lost power together may have lost
      what was flushed and never synced. One of a newer stamp was chosen in the same way, by an earlier recovery.

    A member that has only an older replica has answered: it missed the change of the pipeline.
    """
    block = asked.block
    if not asked.pipeline or asked.awaited or any(_in_doubt(answer, asked) for answer in asked.answers):
        return False
    return _is_alive(asked, usable) or (
        not asked.silent
        and all(each.state is ReplicaState.RWR or each.generation_stamp != block.generation_stamp for each in usable)
    )


def _is_alive(asked: Asked, usable: Sequence[FoundReplica]) -> bool:
    """Whether a member of the pipeline has a replica whose process never died."""
    members = {where.uuid for where in asked.pipeline.values()}
    return any(
        each.state is ReplicaState.RBW
        and each.generation_stamp == asked.block.generation_stamp
        and each.uuid in members
        for each in usable
    )


def _older(asked: Asked, most: int) -> AskOlder | None:
    """The newest of the older replicas in the pipeline that have more than `most` bytes."""
    members = {where.uuid for where in asked.pipeline.values()}
    longer = [
        each
        for each in asked.answers
        if each.uuid in members and each.generation_stamp < asked.stamp_min and each.length > most
    ]
    if not longer:
        return None
    stamp_min = max(each.generation_stamp for each in longer)
    return AskOlder(stamp_min, tuple(each for each in longer if each.generation_stamp == stamp_min))


def _nothing(asked: Asked) -> Choice:
    """No datanode has a byte of the block.

    Bytes that are promised all the same were lost by every machine, or by none: a client may close a file that it could
    not write (hdfs, the Go client, does). Either way they are given up once the whole pipeline has answered.
    """
    block = asked.block
    members = {where.uuid for where in asked.pipeline.values()}
    if not block.length and any(each.uuid in members and _proves_nothing(each, block) for each in asked.answers):
        return Drop()
    in_doubt = next((answer for answer in asked.answers if _in_doubt(answer, asked)), None)
    if in_doubt is not None:
        return Wait(f"datanode {in_doubt.uuid}: {in_doubt.error}")
    if asked.silent or not asked.pipeline:
        return Wait(f"no byte is found, {block.length} are promised; {_missing(asked.silent)}")
    return _older(asked, 0) or Drop()


def _proves_nothing(answer: FoundReplica, block: Block) -> bool:
    """Whether the datanode took part from the beginning, has lost nothing, and yet has nothing."""
    if answer.error:
        return False
    if answer.found:
        return (
            answer.state is ReplicaState.RBW and answer.generation_stamp >= block.generation_stamp and not answer.length
        )
    return 0 < answer.running_since < block.generation_stamp


def _in_doubt(answer: FoundReplica, asked: Asked) -> bool:
    """Whether the datanode may have had bytes all the same: it could not look."""
    return bool(answer.error) and not (answer.found and answer.generation_stamp < asked.stamp_min)


def _missing(storages: Sequence[StorageId]) -> str:
    return f"not heard of: {', '.join(storages)}" if storages else "everybody has answered"
