"""The log's meaning: what may be seen, and that a doctored log or state is found out."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.kill.expected import Expected, Seen, decode_node, encode_node, history
from tests.kill.mix import WEIGHTS, Abilities, Era, choose, closing, home_of, opening
from tests.kill.operations import File, Folder, Kind, Node, Op, content_of, outcomes

ME = "own-a0.1"
CREATE = Op(Kind.CREATE, "/d/f", content="c")
LOAD = (
    Op(Kind.MKDIRS, "/d"),
    Op(Kind.POLICY, "/d", name="IDC_LOCAL_2"),
    CREATE,
    Op(Kind.WRITE, "/d/f", content="c", length=700, sync="hflush"),
    Op(Kind.CLOSE, "/d/f", content="c", length=700),
    Op(Kind.PUT, "/d/g", content="g", length=10),
    Op(Kind.RENAME, "/d/g", target="/d/h"),
    Op(Kind.MKDIRS, "/d/sub"),
    Op(Kind.CHMOD, "/d/h", mode=0o700),
)


def entries(*ops: Op, who: str = ME, last: str = "ack") -> list[dict[str, Any]]:
    """The log of operations, of which the last one ends as told: ack, fail, or not at all."""
    log: list[dict[str, Any]] = []
    for number, op in enumerate(ops, 1):
        log.append({"phase": "intent", "who": who, "id": number, "op": op.to_fields()})
        phase = last if number == len(ops) else "ack"
        if phase:
            log.append({"phase": phase, "who": who, "id": number})
    return log


def fed(log: list[dict[str, Any]]) -> Expected:
    expected = Expected()
    for entry in log:
        expected.feed(entry)
    return expected


def shown(node: Node) -> Seen:
    """A file or directory as a cluster shows it that keeps its word, no more than that."""
    if isinstance(node, Folder):
        return Seen(True, node.mode, node.policy or "IDC_2_2_SYNC")
    return Seen(
        False, node.mode, node.policy, "root", node.least, not node.closed, frozenset({node.content}), 1_700_000_000_000
    )


def faithful(expected: Expected) -> dict[str, Seen]:
    return {path: shown(node) for path, node in expected.world.items()}


def found(expected: Expected, seen: dict[str, Seen]) -> list[str]:
    return [str(finding) for finding in expected.judge(seen)[0]]


def test_what_was_acknowledged_and_is_there_is_right() -> None:
    expected = fed(entries(*LOAD))
    assert expected.acknowledged == len(LOAD)
    assert expected.judge(faithful(expected)) == ([], {})


DOCTORED: dict[str, tuple[Callable[[dict[str, Seen]], object], str]] = {
    "a lost file": (lambda seen: seen.pop("/d/h"), "/d/h: is missing"),
    "a lost directory": (lambda seen: seen.pop("/d/sub"), "/d/sub: is missing"),
    "a rename that came back": (
        lambda seen: seen.update({"/d/g": seen["/d/h"]}),
        "/d/g: is there, and nothing may be",
    ),
    "a shorter file": (
        lambda seen: seen.update({"/d/f": replace(seen["/d/f"], length=699)}),
        "/d/f: has 699 bytes, and must have 700 to 700",
    ),
    "other bytes": (
        lambda seen: seen.update({"/d/f": replace(seen["/d/f"], contents=frozenset({"other"}))}),
        "/d/f: does not have the bytes of c",
    ),
    "a file open again": (
        lambda seen: seen.update({"/d/f": replace(seen["/d/f"], is_open=True)}),
        "/d/f: is open, and must be closed",
    ),
    "an old mode": (
        lambda seen: seen.update({"/d/h": replace(seen["/d/h"], mode=0o644)}),
        "/d/h: has mode 420, and must have 448",
    ),
    "another policy": (
        lambda seen: seen.update({"/d/f": replace(seen["/d/f"], policy="IDC_NONE")}),
        "/d/f: has policy IDC_NONE, and must have IDC_LOCAL_2",
    ),
    "a policy that was unset": (
        lambda seen: seen.update({"/d": replace(seen["/d"], policy="IDC_2_2_SYNC")}),
        "/d: has policy IDC_2_2_SYNC, and must have IDC_LOCAL_2",
    ),
    "a directory for a file": (lambda seen: seen.update({"/d/h": seen["/d/sub"]}), "/d/h: is a directory"),
}


@pytest.mark.parametrize("name", DOCTORED)
def test_a_doctored_state_is_found_out(name: str) -> None:
    expected = fed(entries(*LOAD))
    seen = faithful(expected)
    doctor, told = DOCTORED[name]
    doctor(seen)
    (finding,) = found(expected, seen)
    assert finding.startswith(told)


def test_a_doctored_log_is_found_out() -> None:
    """An acknowledgement that nobody gave: the state before it is not enough any more."""
    honest = fed(entries(*LOAD, Op(Kind.DELETE, "/d/h"), last="fail"))
    seen = faithful(honest)
    assert found(honest, seen) == []
    doctored = fed(entries(*LOAD, Op(Kind.DELETE, "/d/h")))
    assert found(doctored, seen) == ["/d/h: is there, and nothing may be"]


@pytest.mark.parametrize("op", [Op(Kind.DELETE, "/d"), Op(Kind.RENAME, "/d", target="/e"), Op(Kind.MKDIRS, "/x/y")])
@pytest.mark.parametrize("ending", ["fail", "gone"])
def test_nobody_was_told_so_it_is_before_or_after_and_nothing_in_between(op: Op, ending: str) -> None:
    log = entries(*LOAD, op, last="fail" if ending == "fail" else "")
    if ending == "gone":
        log.append({"phase": "gone", "who": ME})
    expected = fed(log)
    before = faithful(expected)
    after = dict(before)
    for path, node in outcomes(expected.world, op, ME)[-1].items():
        after.pop(path, None) if node is None else after.update({path: shown(node)})
    assert found(expected, before) == []
    assert found(expected, after) == []
    for path in before.keys() ^ after.keys():
        torn = {**after, path: before[path]} if path in before else {key: after[key] for key in after if key != path}
        (finding,) = found(expected, torn)
        assert "is in no state" in finding


@pytest.mark.parametrize("ending", ["fail", "gone"])
def test_a_file_of_which_nobody_knows_whether_it_was_created_is_adrift(ending: str) -> None:
    log = entries(LOAD[0], CREATE, last="fail" if ending == "fail" else "")
    if ending == "gone":
        log.append({"phase": "gone", "who": ME})
    expected = fed(log)
    assert expected.adrift() == {CREATE.path}


def test_what_was_seen_in_doubt_must_stay() -> None:
    expected = fed(entries(*LOAD, Op(Kind.DELETE, "/d/h"), last="fail"))
    there = faithful(expected)
    gone = {path: one for path, one in there.items() if path != "/d/h"}
    findings, settled = expected.judge(gone)
    assert findings == []
    expected.feed({"phase": "settled", "who": "campaign", "paths": {p: encode_node(n) for p, n in settled.items()}})
    assert expected.doubts == []
    assert found(expected, gone) == []
    assert found(expected, there) == ["/d/h: is there, and nothing may be"]


def test_flushed_bytes_are_there_and_what_was_not_flushed_may_be() -> None:
    log = entries(
        *LOAD[:2],
        CREATE,
        Op(Kind.WRITE, "/d/f", content="c", length=500, sync="hsync"),
        Op(Kind.WRITE, "/d/f", content="c", length=900),
    )
    expected = fed([*log, {"phase": "gone", "who": ME}])
    assert expected.adrift() == {"/d/f"}
    seen = faithful(expected)
    for length, right in ((499, False), (500, True), (777, True), (900, True), (901, False)):
        seen["/d/f"] = replace(seen["/d/f"], length=length, is_open=False)
        assert (found(expected, seen) == []) is right, length


def test_a_recovered_file_keeps_the_length_that_was_seen() -> None:
    log = entries(*LOAD[:2], CREATE, Op(Kind.WRITE, "/d/f", content="c", length=900), last="fail")
    expected = fed(log)
    assert expected.adrift() == {"/d/f"}
    seen = faithful(expected)
    seen["/d/f"] = replace(seen["/d/f"], length=300, is_open=False)
    findings, settled = expected.judge(seen)
    assert findings == []
    expected.feed({"phase": "settled", "who": "campaign", "paths": {p: encode_node(n) for p, n in settled.items()}})
    assert expected.adrift() == set()
    assert found(expected, seen) == []
    seen["/d/f"] = replace(seen["/d/f"], length=299)
    assert found(expected, seen) == ["/d/f: has 299 bytes, and must have 300 to 300"]


def test_an_open_file_of_a_living_writer_stays_open() -> None:
    expected = fed(entries(*LOAD[:2], CREATE, Op(Kind.WRITE, "/d/f", content="c", length=9, sync="hflush")))
    seen = faithful(expected)
    assert found(expected, seen) == []
    assert expected.adrift() == set()
    seen["/d/f"] = replace(seen["/d/f"], is_open=False)
    assert found(expected, seen) == ["/d/f: is closed, and its writer has not closed it"]


@pytest.mark.parametrize(
    ("state", "right"),
    [
        ({"/d/f": "old"}, True),
        ({"/d/f": "old", "/d/f.via": "part"}, True),
        ({"/d/f.via": "whole"}, True),
        ({"/d/f": "whole"}, True),
        ({}, False),
        ({"/d/f": "part"}, False),
        ({"/d/f.via": "part"}, False),
        ({"/d/f": "whole", "/d/f.via": "whole"}, False),
    ],
)
def test_a_file_that_is_written_beside_and_renamed_is_old_or_new_or_beside(state: dict[str, str], right: bool) -> None:
    put = Op(Kind.PUT, "/d/f", content="n", length=100, overwrite=True, via="/d/f.via")
    expected = fed(entries(Op(Kind.MKDIRS, "/d"), Op(Kind.PUT, "/d/f", content="o", length=50), put, last="fail"))
    files = {
        "old": shown(File("o", 50, 50, True)),
        "part": shown(File("n", 60, 60, True)),
        "whole": shown(File("n", 100, 100, True)),
    }
    seen = {"/d": shown(Folder()), **{path: files[name] for path, name in state.items()}}
    assert (found(expected, seen) == []) is right


def test_somebody_who_goes_on_where_he_cannot_know_is_a_defect_of_the_load() -> None:
    log = entries(*LOAD, Op(Kind.DELETE, "/d/h"), last="fail")
    again = [
        {"phase": "intent", "who": ME, "id": 99, "op": Op(Kind.DELETE, "/d").to_fields()},
        {"phase": "fail", "who": ME, "id": 99},
    ]
    with pytest.raises(AssertionError, match="went on with"):
        fed(log + again)


def test_an_answer_that_no_fault_explains_is_kept() -> None:
    expected = fed([{"phase": "wrong", "who": ME, "path": "/d/f", "what": "rename was answered by false"}])
    assert [str(finding) for finding in expected.wrong] == [f"/d/f: {ME}: rename was answered by false"]


def test_a_history_has_what_happened_to_the_path_and_above() -> None:
    log = [*entries(*LOAD), *entries(Op(Kind.MKDIRS, "/other"), who="own-b1.1")]
    kinds = [entry["op"]["kind"] for entry in history(log, "/d/h") if entry["phase"] == "intent"]
    assert kinds == ["mkdirs", "policy", "rename", "chmod"]
    assert len(history(log, "/d/h")) == 2 * len(kinds)


def test_nodes_and_operations_survive_the_log() -> None:
    for node in (Folder(0o700, "IDC_NONE"), File("c", 1, 2, None, "IDC_NONE", ME, 0o600, "ann", 5), None):
        assert decode_node(encode_node(node)) == node
    for op in LOAD:
        assert Op.from_fields(op.to_fields()) == op


def test_shorter_contents_are_the_beginning_of_longer_ones() -> None:
    assert content_of("c", 100_000)[:777] == content_of("c", 777)
    assert content_of("c", 777) != content_of("d", 777)


@pytest.mark.parametrize("seed", range(20))
def test_the_load_never_asks_for_what_cannot_be_done(seed: int) -> None:
    """A random life on the model: sources are there, targets are not, and it all ends closed."""
    rng = random.Random(seed)
    abilities = Abilities(frozenset(Kind), syncs=("", "hflush"), rename_overwrites=True)
    era = Era("/w/1-1")
    done: set[Kind] = set()
    for op in opening(era, abilities, rng):
        era.take(op)
    for _ in range(300):
        op = choose(era, abilities, rng)
        done.add(op.kind)
        if op.kind in (Kind.MKDIRS, Kind.CREATE, Kind.PUT):
            assert (op.path in era.world) == op.overwrite
        else:
            assert op.path in era.world
        if op.kind is Kind.RENAME:
            assert (op.target in era.world) == op.overwrite
            assert not op.target.startswith(op.path + "/")
        era.take(op)
    assert done == set(WEIGHTS)
    for op in closing(era):
        era.take(op)
    assert era.files(closed=False) == []


def test_each_worker_has_a_home_of_its_own() -> None:
    assert home_of("java-3.3-a3.12") == "/java-3.3-a3/12"


def test_a_file_that_its_client_did_not_insist_on_closing_has_its_bytes_and_is_recovered() -> None:
    expected = fed(entries(Op(Kind.MKDIRS, "/d"), Op(Kind.PUT, "/d/f", content="c", length=9, loose=True)))
    assert expected.adrift() == {"/d/f"}
    seen = faithful(expected)
    findings, settled = expected.judge(seen)
    assert findings == []
    seen["/d/f"] = replace(seen["/d/f"], length=8)
    assert found(expected, seen) == ["/d/f: has 8 bytes, and must have 9 to 9"]
    expected.feed({"phase": "settled", "who": "campaign", "paths": {p: encode_node(n) for p, n in settled.items()}})
    assert expected.adrift() == set()
