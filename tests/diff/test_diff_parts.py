"""The comparison itself: it sees what differs, forgives what is wanted, and finds the shortest program."""

from __future__ import annotations

import pytest

from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from tests.diff.compare import RECENT_MS, TIME_TOLERANCE_MS, Ids, compare
from tests.diff.generate import generate
from tests.diff.program import Program, Ref, Step, read, text_of
from tests.diff.requests import Slots, request_of
from tests.diff.servers import Answer
from tests.diff.shrink import shrink


def status(file_id: int, modified: int = 7, owner: str = "alice") -> Answer:
    answer = pb.GetFileInfoResponseProto()
    answer.fs.fileType = answer.fs.IS_FILE
    answer.fs.fileId, answer.fs.owner, answer.fs.modification_time = file_id, owner, modified
    return Answer(answer)


def differing(stock: Answer, ours: Answer, ids: Ids | None = None) -> list[str]:
    return [one.where for one in compare(stock, ours, ids or Ids())]


def test_a_program_can_be_written_down_and_read_again() -> None:
    programs = [generate(seed, 120) for seed in range(5)]
    assert read("\n".join(map(text_of, programs))) == programs
    assert programs[0] == generate(0, 120) != programs[1]


def test_a_line_that_is_no_step_is_refused() -> None:
    with pytest.raises(ValueError, match="line 1 is no step"):
        read("print('x')")


def test_requests_have_the_ids_and_folder_of_their_server() -> None:
    slots = Slots("/diff-3", 3)
    made = pb.CreateResponseProto()
    made.fs.fileId = 16999
    slots.keep("s1", made)
    fields = {"src": "~/a/{s1}", "clientName": "h1", "fileId": Ref("s1"), "previous": Ref("s9")}
    request = request_of(Step("s2", "root", "addBlock", fields), slots)
    assert request == pb.AddBlockRequestProto(src="/diff-3/a/16999", clientName="h1-3", fileId=16999)


def test_ids_correspond_one_to_one() -> None:
    ids = Ids()
    assert differing(status(1), status(11), ids) == []
    assert differing(status(2), status(12), ids) == []
    assert differing(status(1), status(11), ids) == []
    assert differing(status(1), status(12), ids) == ["fs.fileId"]
    assert differing(status(3), status(11), ids) == ["fs.fileId"]
    assert differing(status(0), status(13), ids) == ["fs.fileId"]


def test_times_of_a_clock_may_differ_a_little_and_times_that_were_set_may_not() -> None:
    now = RECENT_MS + 1_000_000_000
    assert differing(status(1, now), status(1, now + 1000)) == []
    assert differing(status(1, now), status(1, now + 2 * TIME_TOLERANCE_MS)) == ["fs.modification_time"]
    assert differing(status(1, 5000), status(1, 5001)) == ["fs.modification_time"]
    assert differing(status(1, now), status(1, 5000)) == ["fs.modification_time"]


def test_refusals_are_compared_by_class_and_word() -> None:
    ids = Ids()
    stock = Answer(None, "java.io.IOException", "no blk_7_1001 of inode 5 in BP-1-127.0.0.1-9")
    assert differing(stock, Answer(None, stock.class_name, "no blk_8_1004 of inode 6 in BP-2-127.0.0.1-8"), ids) == []
    assert differing(stock, Answer(None, stock.class_name, "no blk_8_1004 of inode 7 in BP-2-127.0.0.1-8"), ids) == [
        "text"
    ]
    assert differing(stock, Answer(None, "java.io.EOFException", stock.text.replace("7", "8")), Ids()) == ["class"]
    assert differing(stock, status(1)) == ["outcome"]
    assert differing(status(1), status(1, owner="bob")) == ["fs.owner"]


async def test_shrinking_keeps_what_is_needed() -> None:
    program = generate(1, 100)
    needed = {program[17].name, program[60].name, program[99].name}

    async def shows(candidate: Program) -> bool:
        return needed <= {step.name for step in candidate}

    assert {step.name for step in await shrink(program, shows)} == needed
