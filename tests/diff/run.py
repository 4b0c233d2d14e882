"""Runs one program on both servers, step by step, and compares every answer, at the end the whole trees."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.pb.hadoop import hdfs_pb2
from tests.diff.compare import Difference, Ids, compare
from tests.diff.data import write_block
from tests.diff.deviations import DEVIATIONS, Case, named_blocks
from tests.diff.program import Program, Ref, Step
from tests.diff.requests import Slots, request_of
from tests.diff.servers import Answer, Server

SUPERUSER = "root"
REPORTED_WITHIN_S = 10.0
"""A replica that was written is reported within this, and a file whose lease is recovered closed."""
PASSES_WITHIN_S = 2.0
POLL_S = 0.05
NOT_YET = "org.apache.hadoop.hdfs.server.namenode.NotReplicatedYetException"
_numbers = itertools.count(int(time.time()) % 1_000_000 * 1_000)


@dataclass
class Found:
    """The first difference of a program that no deviation explains."""

    step: Step
    stock: Answer
    ours: Answer
    differences: list[Difference]

    @property
    def signature(self) -> tuple[str, tuple[str, ...]]:
        """What kind of difference it is: shrinking must not slip to another one."""
        return self.step.call, tuple(sorted({one.where for one in self.differences}))

    def __str__(self) -> str:
        lines = [str(self.step), *(f"    {one}" for one in self.differences[:6])]
        return "\n".join(lines)


@dataclass
class Outcome:
    """What came of a program.

    Attributes:
        steps: how many were run, the comparison of the trees included.
        used: how often each deviation explained a difference.
        ended_by: the deviation after which the trees could not be the same any more.
        calls: how often each call was answered, and how often with a refusal.
    """

    steps: int = 0
    found: Found | None = None
    used: Counter[str] = field(default_factory=Counter)
    ended_by: str = ""
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass
class _Asked:
    """A call that was made: to be made again."""

    user: str
    call: str
    requests: tuple[Message, Message]
    call_ids: tuple[int, int]


class Run:
    """One run of one program below a folder of its own."""

    def __init__(self, stock: Server, ours: Server) -> None:
        self.number = next(_numbers)
        self.folder = f"/diff-{self.number}"
        self._servers = stock, ours
        self._slots = Slots(self.folder, self.number), Slots(self.folder, self.number)
        self._ids = Ids()
        self._asked: dict[str, _Asked] = {}
        self._written: dict[str, int] = {}
        self._lengths: dict[int, int] = {}
        self._finished: set[int] = set()
        """Blocks that were declared finished, by their ids in stock."""
        self._last_is_finished = False
        self._synced = 0, 0
        self._left_open = False, False
        self._recovered = False
        """Whether some lease was recovered: what its writer wrote then is nobody's."""
        self.outcome = Outcome()

    async def run(self, program: Program) -> Outcome:
        await self._plant()
        try:
            for step in itertools.chain(program):
                await self._step(step)
                if self._over:
                    return self.outcome
            await self._compare_trees()
        finally:
            await self._remove()
        return self.outcome

    @property
    def _over(self) -> bool:
        return self.outcome.found is not None or bool(self.outcome.ended_by)

    async def _plant(self) -> None:
        """The folder, open to every user."""
        for server in self._servers:
            made = pb.MkdirsRequestProto(src=self.folder, createParent=True)
            made.masked.perm = 0o777
            answer, _ = await server.call(SUPERUSER, "mkdirs", made)
            assert answer.message is not None, f"{server.name}: {answer}"

    async def _remove(self) -> None:
        for server in self._servers:
            await server.call(SUPERUSER, "delete", pb.DeleteRequestProto(src=self.folder, recursive=True))

    async def _step(self, step: Step) -> None:
        if step.call == "write":
            await self._write(step)
            return
        if step.call == "again":
            asked = self._asked.get(step.fields["of"].name)
            if asked is None:
                return
            answers = await self._both(asked, asked.call_ids)
        else:
            asked = _Asked(step.user, step.call, self._requests(step), (0, 0))
            answers = await self._both(asked, None)
            self._asked[step.name] = asked
        answers = await self._patiently(step, asked, answers)
        answers = await self._until_passed(asked, answers)
        self._judge(step, asked, *answers)

    def _requests(self, step: Step) -> tuple[Message, Message]:
        stock, ours = (request_of(step, slots) for slots in self._slots)
        return stock, ours

    async def _both(self, asked: _Asked, repeated: tuple[int, int] | None) -> tuple[Answer, Answer]:
        (stock, stock_id), (ours, ours_id) = await asyncio.gather(
            *(
                server.call(asked.user, asked.call, request, repeated[index] if repeated else None)
                for index, (server, request) in enumerate(zip(self._servers, asked.requests, strict=True))
            )
        )
        if repeated is None:
            asked.call_ids = stock_id, ours_id
        return stock, ours

    async def _patiently(self, step: Step, asked: _Asked, answers: tuple[Answer, Answer]) -> tuple[Answer, Answer]:
        """Asks again where the answer depends on reports of datanodes that are under way, as clients do."""
        deadline = time.monotonic() + REPORTED_WITHIN_S
        waits = self._waits_for_report(step)
        while any(waits and self._not_yet(answer) for answer in answers) and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
            answers = await self._once_more(asked, answers)
        self._left_open = False, False
        self._last_is_finished, self._synced = False, (0, 0)
        if asked.call == "fsync":
            await self._look_at_last_blocks(asked, answers)
        self._recovered |= asked.call == "recoverLease" and any(answer.message is not None for answer in answers)
        if asked.call == "recoverLease" and all(_result(answer) is False for answer in answers):
            await self._closed(asked)
        return answers

    def _waits_for_report(self, step: Step) -> bool:
        values = [step.fields.get("previous"), step.fields.get("last")]
        names = {getattr(value, "of", value).name for value in values if value is not None}
        return step.call in ("complete", "addBlock") and not names.isdisjoint(self._written)

    @staticmethod
    def _not_yet(answer: Answer) -> bool:
        return answer.class_name == NOT_YET or (
            isinstance(answer.message, pb.CompleteResponseProto) and not _result(answer)
        )

    async def _until_passed(self, asked: _Asked, answers: tuple[Answer, Answer]) -> tuple[Answer, Answer]:
        """Asks ours again while the answers differ in what is wanted to differ for a moment only."""
        deadline = time.monotonic() + PASSES_WITHIN_S
        while time.monotonic() < deadline:
            case = self._case(asked, *answers)
            passing = [
                one.name for one in DEVIATIONS if one.passes and len(one.unexplained(case)) < len(case.differences)
            ]
            if not passing:
                break
            self.outcome.used.update(passing)
            await asyncio.sleep(POLL_S)
            ours, _ = await self._servers[1].call(asked.user, asked.call, asked.requests[1])
            answers = answers[0], ours
        return answers

    def _case(self, asked: _Asked, stock: Answer, ours: Answer) -> Case:
        differences = compare(stock, ours, self._ids)
        return Case(
            asked.call,
            asked.user,
            asked.requests[0],
            stock,
            ours,
            differences,
            self._lengths,
            self._last_is_finished,
            self._synced,
            self._left_open,
            self._recovered,
        )

    async def _once_more(self, asked: _Asked, answers: tuple[Answer, Answer]) -> tuple[Answer, Answer]:
        """Only the side that waits is asked again."""
        again = []
        for server, request, answer in zip(self._servers, asked.requests, answers, strict=True):
            again.append((await server.call(asked.user, asked.call, request))[0] if self._not_yet(answer) else answer)
        return again[0], again[1]

    async def _closed(self, asked: _Asked) -> None:
        """Waits until a file whose lease is being recovered is closed on both sides; notes where it is not."""
        deadline = time.monotonic() + REPORTED_WITHIN_S
        path: str = asked.requests[0].src  # type: ignore[attr-defined]
        while any(left_open := await self._open_on(path)) and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
        self._left_open = left_open

    async def _look_at_last_blocks(self, asked: _Asked, answers: tuple[Answer, Answer]) -> None:
        """Notes what an fsync that gave a length, and was not refused, was about, and what came of it.

        Both are asked, though one answer would sometimes do: to ask is to read, which moves the file's access time.
        """
        if asked.requests[0].lastBlockLength <= 0 or any(answer.message is None for answer in answers):  # type: ignore[attr-defined]
            return
        stock, ours = [await self._last_block(server, asked.requests[n]) for n, server in enumerate(self._servers)]
        if stock is not None and ours is not None:
            self._last_is_finished = stock.blockId in self._finished
            self._synced = stock.numBytes, ours.numBytes

    @staticmethod
    async def _last_block(server: Server, request: Message) -> hdfs_pb2.ExtendedBlockProto | None:
        """The last block of the file that an fsync was about."""
        assert isinstance(request, pb.FsyncRequestProto)
        path = f"/.reserved/.inodes/{request.fileId}" if request.fileId else request.src
        locations = pb.GetBlockLocationsRequestProto(src=path, offset=0, length=1)
        answer, _ = await server.call(SUPERUSER, "getBlockLocations", locations)
        located = getattr(answer.message, "locations", None)
        return None if located is None else located.lastBlock.b

    async def _open_on(self, path: str) -> tuple[bool, bool]:
        closed = pb.IsFileClosedRequestProto(src=path)
        answers = [await server.call(SUPERUSER, "isFileClosed", closed) for server in self._servers]
        return _result(answers[0][0]) is False, _result(answers[1][0]) is False

    async def _write(self, step: Step) -> None:
        """Writes a block's data on both sides; not where either side has no such block to write."""
        ref: Ref = step.fields["block"]
        located = [slots.located(ref) for slots in self._slots]
        if any(one is None or not one.locs for one in located) or ref.name in self._written:
            return
        self._written[ref.name] = step.fields["length"]
        answers = []
        for slots, one in zip(self._slots, located, strict=True):
            assert one is not None
            answers.append(await self._written_by(slots.holder(step.fields["clientName"]), one, step.fields["length"]))
        if located[0] is not None and all(one.message is not None for one in answers):
            self._lengths[located[0].b.blockId] = step.fields["length"]
        self._judge(step, _Asked(step.user, step.call, (Empty(), Empty()), (0, 0)), *answers)

    async def _written_by(self, holder: str, located: hdfs_pb2.LocatedBlockProto, length: int) -> Answer:
        try:
            await write_block(located, holder, length)
        except (OSError, TimeoutError, AssertionError) as error:
            return Answer(None, "write failed", f"{type(error).__name__}: {error}"[:400])
        return Answer(Empty())

    def _judge(self, step: Step, asked: _Asked, stock: Answer, ours: Answer) -> None:
        self.outcome.steps += 1
        self.outcome.calls[asked.call, "done" if stock.message is not None else "refused"] += 1
        if stock.message is not None:
            self._finished |= {block.blockId for block in named_blocks(asked.requests[0])}
        for slots, answer in zip(self._slots, (stock, ours), strict=True):
            slots.forget(step.name)
            if stock.message is not None and ours.message is not None and answer.message is not None:
                slots.keep(step.name, answer.message)
        case = self._case(asked, stock, ours)
        for deviation in sorted(DEVIATIONS, key=lambda one: not one.parts_ways):
            if deviation.unseen(case):
                self.outcome.used[deviation.name] += 1
                self.outcome.ended_by = deviation.name
                return
            left = case.differences if deviation.passes else deviation.unexplained(case)
            if len(left) < len(case.differences):
                self.outcome.used[deviation.name] += 1
                case = replace(case, differences=left)
                if deviation.parts_ways:
                    self.outcome.ended_by = deviation.name
                    return
        if case.differences:
            self.outcome.found = Found(
                Step(step.name, asked.user, step.call, step.fields), stock, ours, case.differences
            )

    async def _compare_trees(self) -> None:
        """Everything below the folder as the superuser sees it, page after page."""
        waiting = ["~"]
        while waiting:
            path = waiting.pop()
            await self._look("getFileInfo", src=path)
            await self._look("getContentSummary", path=path)
            after: str | None = ""
            while after is not None:
                listing = await self._look("getListing", src=path, startAfter=after, needLocation=True)
                if self._over or not isinstance(listing, pb.GetListingResponseProto):
                    break
                entries = listing.dirList.partialListing
                waiting += [f"{path}/{entry.path.decode()}" for entry in entries if entry.fileType == entry.IS_DIR]
                after = entries[-1].path.decode() if listing.dirList.remainingEntries else None
            if self._over:
                return

    async def _look(self, call: str, **fields: Any) -> Message | None:
        """One call of the comparison of the trees; returns what stock answered."""
        step = Step("tree", SUPERUSER, call, fields)
        await self._step(step)
        return self._slots[0].answer(step.name)


def _result(answer: Answer) -> bool | None:
    return getattr(answer.message, "result", None)
