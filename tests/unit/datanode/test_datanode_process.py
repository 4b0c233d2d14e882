"""The datanode as a process: signals, power-off by SIGKILL, and a second start on the same directory."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import xxhash
from control_server import ControlServer, until

from seamlessfs.client.block_reader import read_block
from seamlessfs.client.block_writer import BlockWriter
from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.model.block import Block, Checksum, ExtendedBlock, LocatedBlock, ReplicaLocation
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo, Location
from seamlessfs.model.errors import RemoteIOError
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, PoolId, StorageId
from seamlessfs.security.secret import create_secret
from seamlessfs.wire.pb.seamless import control_pb2 as pb

POOL_ID = PoolId("BP-1-127.0.0.1-1")
HOST = "127.1.1.9"
PROGRAM = """
import json, sys
from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.datanode import main
sys.exit(main.run(DatanodeSettings.model_validate(json.loads(sys.argv[1]))))
"""


class Process:
    """A datanode process on one directory, started and ended several times."""

    def __init__(self, folder: Path, control: ControlServer) -> None:
        self.folder = folder
        self.settings = {
            "namenodes": [f"127.0.0.1:{control.port}"],
            "data_dirs": [str(folder / "data")],
            "cluster_secret_file": str(folder / "secret"),
            "host": HOST,
            "xfer_port": 0,
            "ipc_port": 0,
            "info_port": 0,
            "stop_grace_ms": 500,
            "port_file": str(folder / "ports"),
            "reconnect_min_ms": 20,
        }
        self.popen: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        (self.folder / "ports").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, json.dumps(self.settings)], stdout=log, stderr=log
            )
        await until((self.folder / "ports").exists, 30)

    def end(self, number: int) -> int:
        assert self.popen is not None
        self.popen.send_signal(number)
        return self.popen.wait(15)

    @property
    def location(self) -> ReplicaLocation:
        ports = json.loads((self.folder / "ports").read_text())
        identity = DatanodeId(DatanodeUuid("u"), HOST, HOST, ports["xfer"], 0, ports["ipc"])
        return ReplicaLocation(DatanodeInfo(identity, Location("a", "r1")), StorageId(""))

    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[ControlServer]:
    server = ControlServer(create_secret(tmp_path / "secret"))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def process(tmp_path: Path, control: ControlServer) -> AsyncIterator[Process]:
    made = Process(tmp_path, control)
    await made.start()
    yield made
    if made.popen is not None and made.popen.poll() is None:
        made.end(signal.SIGKILL)


def block(number: int) -> ExtendedBlock:
    return ExtendedBlock(POOL_ID, Block(BlockId((1 << 30) + number), GenerationStamp(1001)))


def open_writer(process: Process, number: int) -> BlockWriter:
    located = LocatedBlock(block(number), 0, (process.location,))
    return BlockWriter(DatanodeConnector("127.1.0.1"), located, "client", Checksum(), 65536)


def write(process: Process, number: int, data: bytes) -> None:
    writer = open_writer(process, number)
    writer.write(data)
    writer.close()


def read(process: Process, number: int, length: int) -> bytes:
    with read_block(DatanodeConnector("127.1.0.1"), process.location, block(number), 0, length, "c") as reader:
        return b"".join(reader)


async def test_what_was_acknowledged_is_final_after_sigkill(process: Process, control: ControlServer) -> None:
    await until(lambda: control.of("block_report"))
    contents = {number: os.urandom(70_000 * number) for number in range(1, 6)}
    for number, data in contents.items():
        await asyncio.to_thread(write, process, number, data)
    cut_off = open_writer(process, 9)
    cut_off.write(b"x" * 1300)
    cut_off.flush()
    process.end(signal.SIGKILL)
    cut_off.abort()
    control.received.clear()
    await process.start()
    for number, data in contents.items():
        assert await asyncio.to_thread(read, process, number, len(data)) == data
    report = (await until(lambda: control.of("block_report")))[0]
    rows = dict(zip(report.block_ids, zip(report.states, report.lengths, report.xxh3, strict=True), strict=True))
    for number, data in contents.items():
        row = rows.pop(block(number).block.id)
        assert row == (pb.FINALIZED, len(data), xxhash.xxh3_64_intdigest(data))
    assert rows == {block(9).block.id: (pb.RWR, 1300, 0)}
    with pytest.raises(RemoteIOError, match="RWR"):
        await asyncio.to_thread(read, process, 9, 1)


async def test_sigterm_stops_cleanly_in_the_middle_of_a_write(process: Process, control: ControlServer) -> None:
    await until(lambda: control.of("block_report"))
    await asyncio.to_thread(write, process, 1, b"finished")
    half = open_writer(process, 2)
    half.write(b"x" * 200_000)
    half.flush()
    assert await asyncio.to_thread(process.end, signal.SIGTERM) == 0
    half.abort()
    assert process.log().splitlines()[-1].split()[3] == "stopped"
    await process.start()
    assert await asyncio.to_thread(read, process, 1, 8) == b"finished"


async def test_reads_are_served_while_no_namenode_is_up(process: Process, control: ControlServer) -> None:
    await until(lambda: control.of("block_report"))
    await asyncio.to_thread(write, process, 1, b"still here")
    process.end(signal.SIGKILL)
    await control.stop()
    await process.start()
    assert await asyncio.to_thread(read, process, 1, 10) == b"still here"
    await control.start(control.port)


async def test_a_refused_datanode_says_why_and_exits_with_1(process: Process, control: ControlServer) -> None:
    await until(lambda: control.of("block_report"))
    process.end(signal.SIGTERM)
    control.cluster_id = "CID-other"
    await process.start()
    assert await asyncio.to_thread(process.popen.wait, 15) == 1
    (line,) = [line for line in process.log().splitlines() if " refused " in line]
    assert "CID-test" in line
    assert "CID-other" in line


async def test_a_directory_in_use_is_refused(process: Process, control: ControlServer) -> None:
    arguments: list[Any] = [sys.executable, "-c", PROGRAM, json.dumps(process.settings)]
    second = await asyncio.to_thread(subprocess.run, arguments, capture_output=True, timeout=30)
    assert second.returncode == 1
    assert f"in use by {process.popen.pid}@" in second.stderr.decode()


async def test_log_lines_are_an_event_and_its_fields(process: Process, control: ControlServer) -> None:
    await until(lambda: "report_sent" in process.log())
    for line in process.log().splitlines():
        time, level, logger, name, *fields = line.split(" ")
        assert time.count(":") == 2
        assert level in ("INFO", "WARNING")
        assert logger == "seamlessfs.datanode"
        assert name.isidentifier()
        assert all("=" in field for field in fields if '"' not in line)
