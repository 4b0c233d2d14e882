"""The log: a process of its own that nobody kills, with one append-only file.

Entries are JSON lines. A worker says what it intends and goes on when that is in the file; then it says how it ended.
A worker whose connection ends is noted as gone. While the log is held, intents wait: the load stands still.

Shape:
    {"phase": "intent", "who": W, "id": N, "op": {...}}     -> answered
    {"phase": "ack" | "fail", "who": W, "id": N}
    {"phase": "wrong", "who": W, "path": P, "what": text}   something that no fault explains
    {"phase": "settled", "who": W, "paths": {P: node}}      -> answered
    {"phase": "gone", "who": W}
    {"phase": "hold" | "go"}                                -> answered, not kept
    {"phase": "watch", "on": phase, "kind": K}              -> answered when such an entry comes, not kept
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.kill.expected import encode_node
from tests.kill.operations import Node, Op

CAMPAIGN = "campaign"
"""Who is never held."""

LINE_BYTES_MAX = 1 << 24


class _Server:
    def __init__(self, path: Path) -> None:
        self.file = path.open("ab", buffering=0)
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.watches: list[tuple[str, str, asyncio.Event]] = []
        self.kinds: dict[tuple[str, int], str] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        who = ""
        with suppress(ConnectionError):
            while line := await reader.readline():
                message = json.loads(line)
                who = message.get("who", who)
                if await self.take(message):
                    writer.write(b"{}\n")
        if who:
            self.keep({"phase": "gone", "who": who})
        writer.close()

    async def take(self, message: dict[str, Any]) -> bool:
        """Acts on a message; returns whether it is answered."""
        phase = message["phase"]
        if phase == "watch":
            matched = asyncio.Event()
            self.watches.append((message["on"], message["kind"], matched))
            await matched.wait()
        elif phase == "hold":
            self.flowing.clear()
        elif phase == "go":
            self.flowing.set()
        else:
            if phase == "intent" and message["who"] != CAMPAIGN:
                await self.flowing.wait()
            self.keep(message)
        return phase not in ("ack", "fail", "wrong")

    def keep(self, message: dict[str, Any]) -> None:
        self.file.write(json.dumps({"at": round(time.time(), 3), **message}).encode() + b"\n")
        phase = message["phase"]
        key = (message["who"], message.get("id", -1))
        if phase == "intent":
            self.kinds[key] = message["op"]["kind"]
        kind = self.kinds.pop(key, "") if phase in ("ack", "fail") else self.kinds.get(key, "")
        for watch in [watch for watch in self.watches if watch[0] == phase and watch[1] == kind]:
            self.watches.remove(watch)
            watch[2].set()


async def _main(path: Path) -> None:
    taker = _Server(path)
    server = await asyncio.start_server(taker.serve, "127.0.0.1", 0, limit=LINE_BYTES_MAX)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    os._exit(0)  # every entry is in the file; whoever still waits for an answer learns that nobody gives it


class Recorder:
    """Starts the process; it ends with this one."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._offset = 0
        command = [sys.executable, "-m", "tests.kill.recorder", str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def fresh(self) -> Iterator[dict[str, Any]]:
        """Entries that were added since the last look."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield json.loads(line)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every entry from the beginning."""
        with self.path.open("rb") as file:
            yield from (json.loads(line) for line in file if line.endswith(b"\n"))

    def stop(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(30)


class LogEnded(Exception):
    """The recorder is gone, and with it whoever started this process."""


class Log:
    """A connection to the recorder."""

    def __init__(self, port: int, who: str) -> None:
        self.who = who
        self._ids = 0
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._answers = self._socket.makefile("rb")

    def intent(self, op: Op) -> int:
        """Says what will be done; returns its number when that is written down."""
        self._ids += 1
        self._ask({"phase": "intent", "who": self.who, "id": self._ids, "op": op.to_fields()})
        return self._ids

    def ack(self, number: int) -> None:
        self._send({"phase": "ack", "who": self.who, "id": number})

    def fail(self, number: int, error: object) -> None:
        self._send({"phase": "fail", "who": self.who, "id": number, "error": str(error)[:2000]})

    def wrong(self, path: str, what: str) -> None:
        self._send({"phase": "wrong", "who": self.who, "path": path, "what": what[:2000]})

    def settled(self, nodes: dict[str, Node | None]) -> None:
        paths = {path: encode_node(node) for path, node in nodes.items()}
        self._ask({"phase": "settled", "who": self.who, "paths": paths})

    def hold(self) -> None:
        """Keeps everybody but the campaign from beginning anything."""
        self._ask({"phase": "hold"})

    def go(self) -> None:
        self._ask({"phase": "go"})

    def watch(self, on: str, kind: str, timeout_s: float) -> bool:
        """Returns when an entry of this phase about such an operation is written; False: none was in time."""
        self._socket.settimeout(timeout_s)
        try:
            self._ask({"phase": "watch", "on": on, "kind": kind})
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self._answers.close()
        self._socket.close()

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except ConnectionError as error:
            raise LogEnded from error

    def _ask(self, message: dict[str, Any]) -> None:
        self._send(message)
        try:
            answered = self._answers.readline()
        except ConnectionError as error:
            raise LogEnded from error
        if not answered:
            raise LogEnded


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
