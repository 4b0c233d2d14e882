"""What this machine does at best, measured in the same run: the parts that no file system is faster than."""

from __future__ import annotations

import os
import socket
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import google_crc32c

from bench.clients import PIECE_BYTES, PlainFile
from bench.namenodes import first_core, other_cores
from bench.results import Row, Sample

MIB = 1 << 20
FILE_BYTES = 256 * MIB
SYNCS = 100
SYNCED_BYTES = 4096
CRC_BYTES = 64 << 10


def measure(folder: Path, rounds: int) -> list[Row]:
    """Rows of a client that is called ceiling; processor time is that of both ends together."""
    file = folder / "ceiling"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_bytes(os.urandom(FILE_BYTES))
    plain, piece, target = PlainFile(file), os.urandom(CRC_BYTES), memoryview(bytearray(FILE_BYTES))
    content = memoryview(file.read_bytes())

    def copy() -> None:
        target[:] = content

    def checksums() -> None:
        for _ in range(FILE_BYTES // CRC_BYTES):
            google_crc32c.value(piece)

    works: dict[str, Callable[[], object]] = {
        "sendfile over loopback": lambda: send_file(file),
        "plain file read": lambda: plain.read("", FILE_BYTES),
        "CRC32C of 64 KiB": checksums,
        "memory copied": copy,
    }
    rows = []
    for name, work in works.items():
        rows.append(row := Row(name, "ceiling", {}, "MB"))
        work()
        for _ in range(rounds):
            cpu_before_s, began_s = time.process_time(), time.perf_counter()
            work()
            took_s = time.perf_counter() - began_s
            row.samples.append(Sample(FILE_BYTES / 1e6, took_s, time.process_time() - cpu_before_s, 0.0))
    rows.append(row := Row("4 KiB appended and fdatasync", "ceiling", {}, "ms", less_is_better=True))
    for _ in range(rounds):
        row.add_value(sync_s(folder / "synced") * 1000)
    return rows


def send_file(file: Path) -> None:
    """Sends a file through loopback: the sender on the servers' core, the receiver on the clients'."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = threading.Thread(target=_send, args=(server, file))
        with first_core():  # a thread begins on the cores of the one that starts it
            sender.start()
        buffer, got = memoryview(bytearray(PIECE_BYTES)), 0
        with other_cores(), socket.create_connection(server.getsockname()) as receiver:
            while count := receiver.recv_into(buffer):
                got += count
        sender.join()
    if got != file.stat().st_size:
        raise RuntimeError(f"received {got} bytes of {file}")


def _send(server: socket.socket, file: Path) -> None:
    connection, _ = server.accept()
    with connection, file.open("rb") as source:
        connection.sendfile(source)


def sync_s(path: Path) -> float:
    """Median wait for an append to be on the disk, in seconds."""
    waits_s = []
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            began_s = time.perf_counter()
            file.write(bytes(SYNCED_BYTES))
            os.fdatasync(file.fileno())
            waits_s.append(time.perf_counter() - began_s)
    return statistics.median(waits_s)
