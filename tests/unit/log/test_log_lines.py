"""Lines of the log in both forms, and the daemons that write them."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.log import LogFormat, configure, event
from seamlessfs.model.ids import BlockId

LOG = logging.getLogger("seamlessfs.test")
Write = Callable[..., list[str]]


@pytest.fixture
def written() -> Iterator[Callable[[LogFormat, Callable[[], None]], list[str]]]:
    """What an act logs, line by line; the logging of the tests is put back."""
    root = logging.getLogger()
    kept, level = list(root.handlers), root.level

    def run(log_format: LogFormat, act: Callable[[], None]) -> list[str]:
        stream = io.StringIO()
        root.handlers.clear()
        configure(log_format, stream)
        act()
        return stream.getvalue().splitlines()

    yield run
    root.handlers[:] = kept
    root.setLevel(level)


def test_text_is_a_name_and_fields(written: Write) -> None:
    (line,) = written("text", lambda: event(LOG, "found", logging.WARNING, block=BlockId(7), path="/a b", none=""))
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} WARNING seamlessfs\.test found block=7 path="/a b" none=""', line
    )


@pytest.mark.parametrize("value", ["a\nb c=1", "a\tb", 'say "x"', "a=b", "\x1b[31m", "\u2028", "\x85", "\udc80"])
def test_no_value_makes_a_line_or_a_field(written: Write, value: str) -> None:
    (line,) = written("text", lambda: event(LOG, "named", what=value, next=1))
    before, _, shown = line.partition(" what=")
    assert json.loads(shown.removesuffix(" next=1")) == value
    assert line.isprintable()
    assert before.endswith(" named")
    (line,) = written("json", lambda: event(LOG, "named", what=value))
    assert json.loads(line)["fields"] == {"what": value}


def test_json_keeps_numbers_and_nests_fields(written: Write) -> None:
    fields: dict[str, Any] = {"count": 3, "share": 0.5, "on": True, "why": None, "time": "mine", "odd": float("nan")}
    (line,) = written("json", lambda: event(LOG, "counted", **fields, where=Path("/x")))
    found = json.loads(line)
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "INFO",
        "logger": "seamlessfs.test",
        "event": "counted",
        "fields": {**fields, "odd": "nan", "where": "/x"},
    }


def test_json_of_libraries_and_of_errors(written: Write) -> None:
    def act() -> None:
        logging.getLogger("other").warning("%d things\nwent", 3)
        try:
            raise ValueError("bad")
        except ValueError as error:
            event(LOG, "failed", logging.ERROR, exc_info=error, part="x")

    library, failed = map(json.loads, written("json", act))
    assert (library["logger"], library["message"]) == ("other", "3 things\nwent")
    assert "event" not in library
    assert "ValueError: bad" in failed["exception"]
    assert failed["fields"] == {"part": "x"}


def test_every_line_of_the_daemons_is_json(tmp_path: Path) -> None:
    settings = {"log_format": "json"}
    shape = {"idcs": 1, "racks": 1, "datanodes_per_rack": 1}
    with MiniCluster(tmp_path, namenode_settings=settings, datanode_settings=settings, **shape) as cluster:
        logs = [cluster.namenode.log, cluster.datanodes[0].log]
    for log in logs:
        events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
        assert {"listening", "stopped"} <= set(events)
