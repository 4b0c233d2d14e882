"""The audit log's file, and what names may do to its lines."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from seamlessfs.namenode import audit_file
from seamlessfs.namenode.audit import escaped, ugi
from seamlessfs.namenode.audit_file import AuditFile


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/plain/ä", "/plain/\\u00E4"),
        ("/a=b c", "/a=b c"),
        ('\t\n\r\b\f"\\', '\\t\\n\\r\\b\\f\\"\\\\'),
        ("\x00\x1f\x7f", "\\u0000\\u001F\x7f"),
        ("\U0001f600", "\\uD83D\\uDE00"),
    ],
)
def test_names_are_escaped_as_in_java(name: str, shown: str) -> None:
    assert escaped(name) == shown


def test_who_acts_for_whom() -> None:
    assert ugi("ann", None) == "ann (auth:SIMPLE)"
    assert ugi("ann\tip=/1.2.3.4", "proxy") == "ann\\tip=/1.2.3.4 (auth:PROXY) via proxy (auth:SIMPLE)"


async def test_lines_are_kept_in_order_over_rotations(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditFile(path, 4000, 50)
    for number in range(500):
        log.write(f"line {number}")
        if number % 7 == 0:
            await asyncio.sleep(0)
    log.close()
    files = [tmp_path / f"audit.log.{number}" for number in range(50, 0, -1)]
    text = "".join(file.read_text() for file in (*files, path) if file.exists())
    assert [line.rpartition(": ")[2] for line in text.splitlines()] == [f"line {number}" for number in range(500)]
    assert sum(file.exists() for file in files) > 3
    assert log.lost == 0


async def test_a_file_goes_on_where_it_was(tmp_path: Path) -> None:
    for number in range(2):
        log = AuditFile(tmp_path / "audit.log", 1 << 20, 1)
        log.write(f"start {number}")
        log.close()
    assert [line[-7:] for line in (tmp_path / "audit.log").read_text().splitlines()] == ["start 0", "start 1"]


async def test_what_the_disk_refuses_is_counted_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = AuditFile(tmp_path / "audit.log", 10, 1)
    (tmp_path / "audit.log.1").mkdir()  # a rotation cannot replace it
    (tmp_path / "audit.log.1" / "full").touch()
    for number in range(3):
        log.write(f"line {number}")
        await asyncio.sleep(0)
    async with asyncio.timeout(30):
        while log.lost < 2:
            await asyncio.sleep(0.01)
    log.close()
    assert caplog.text.count("audit_lines_lost") == 1


async def test_no_more_lines_wait_than_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_file, "LINES_WAITING_MAX", 10)
    log = AuditFile(tmp_path / "audit.log", 1 << 20, 1)
    for number in range(11):
        log.write(f"line {number}")
    await asyncio.sleep(0)
    assert log.lost == 11
    log.write("later")
    log.close()
    assert (tmp_path / "audit.log").read_text().endswith(": later\n")
