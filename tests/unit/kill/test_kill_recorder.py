"""The recorder as a process: what is written down when, who is held, who is gone."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kill.expected import Expected
from tests.kill.operations import Folder, Kind, Op
from tests.kill.recorder import CAMPAIGN, Log, LogEnded, Recorder
from tests.support.observe import until

MKDIRS = Op(Kind.MKDIRS, "/d")


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    running = Recorder(tmp_path / "folder" / "log")
    yield running
    running.stop()


def phases(recorder: Recorder) -> list[tuple[str, str]]:
    return [(entry["who"], entry["phase"]) for entry in recorder.entries()]


def test_an_intent_is_in_the_file_before_it_is_carried_out(recorder: Recorder) -> None:
    log = Log(recorder.port, "w")
    number = log.intent(MKDIRS)
    assert phases(recorder) == [("w", "intent")]
    log.ack(number)
    log.fail(log.intent(MKDIRS), OSError("no"))
    log.wrong("/d", "that cannot be")
    log.settled({"/d": Folder()})
    assert [phase for _, phase in phases(recorder)] == ["intent", "ack", "intent", "fail", "wrong", "settled"]
    assert [entry["phase"] for entry in recorder.fresh()] == ["intent", "ack", "intent", "fail", "wrong", "settled"]
    assert list(recorder.fresh()) == []
    log.close()


def test_one_who_goes_in_the_middle_is_noted_and_what_he_did_is_in_doubt(recorder: Recorder) -> None:
    log = Log(recorder.port, "w")
    log.intent(MKDIRS)
    log.close()
    until(lambda: phases(recorder) == [("w", "intent"), ("w", "gone")], "the end is noted")
    expected = Expected()
    for entry in recorder.fresh():
        expected.feed(entry)
    assert (expected.gone, [doubt.op for doubt in expected.doubts]) == ({"w"}, [MKDIRS])


def test_one_who_is_killed_before_he_has_read_the_answer_is_noted(recorder: Recorder) -> None:
    """The system then resets his connection instead of closing it."""
    entry = {"phase": "intent", "who": "w", "id": 1, "op": MKDIRS.to_fields()}
    with socket.create_connection(("127.0.0.1", recorder.port)) as killed:
        killed.sendall(json.dumps(entry).encode() + b"\n")
        assert select.select([killed], [], [], 10)[0] == [killed]
    until(lambda: phases(recorder) == [("w", "intent"), ("w", "gone")], "the end is noted")


def test_who_is_held_waits_and_the_campaign_does_not(recorder: Recorder) -> None:
    mine, other = Log(recorder.port, CAMPAIGN), Log(recorder.port, "w")
    mine.hold()
    waiting = threading.Thread(target=other.intent, args=(MKDIRS,))
    waiting.start()
    mine.intent(MKDIRS)
    assert phases(recorder) == [(CAMPAIGN, "intent")]
    mine.go()
    waiting.join(10)
    assert phases(recorder) == [(CAMPAIGN, "intent"), ("w", "intent")]
    mine.close()
    other.close()


def test_a_watch_returns_at_the_entry_that_it_is_for(recorder: Recorder) -> None:
    log, watch = Log(recorder.port, "w"), Log(recorder.port, "")
    seen: list[bool] = []
    waiting = threading.Thread(target=lambda: seen.append(watch.watch("ack", Kind.MKDIRS, 10)))
    waiting.start()
    while waiting.is_alive():
        log.ack(log.intent(MKDIRS))
    assert seen == [True]
    assert Log(recorder.port, "").watch("ack", Kind.RENAME, 0.1) is False
    log.close()
    watch.close()


def test_workers_learn_that_the_recorder_is_gone(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log")
    log = Log(recorder.port, "w")
    recorder.stop()
    with pytest.raises(LogEnded):
        log.intent(MKDIRS)
    log.close()
