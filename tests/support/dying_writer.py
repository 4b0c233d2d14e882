"""A process that writes a file and is killed with -9 while it does: says what was acknowledged, and never closes.

    python -m tests.support.dying_writer CLIENT NAMENODE ADDRESS PATH BLOCK_BYTES STEP...

Steps, in order: `create`, `write:N`, `hflush`, `hsync`, `stream` (writes for ever). After each hflush and hsync the
number of bytes so far is printed, after the last step `ready`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from types import TracebackType
from typing import Any

from tests.support.observe import until

CONTENT_PERIOD = 65_521
_CONTENT = bytes((number * 131 + number // 251) % 256 for number in range(CONTENT_PERIOD))
START_TIMEOUT_S = 30.0


def content(start: int, end: int) -> bytes:
    """Bytes [start, end) of what every dying writer writes."""
    first = start % CONTENT_PERIOD
    return (_CONTENT * ((first + end - start) // CONTENT_PERIOD + 1))[first : first + end - start]


class DyingWriter:
    """The process, as the test sees it. Leaving the block of statements kills it.

    Args:
        client: `ours` or `native` (hdfs-native).
        steps: see the module.
    """

    def __init__(self, namenode: str, address: str, path: str, *steps: str, client: str = "ours", block: int = 1 << 20):
        command = [sys.executable, "-m", __name__, client, namenode, address, path, str(block), *steps]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.acknowledged = 0

    def wait_until_ready(self) -> DyingWriter:
        """Returns when the steps are done, and `acknowledged` is known."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        for line in self.process.stdout:
            if line == "ready\n":
                return self
            self.acknowledged = int(line)
            assert time.monotonic() < deadline
        raise AssertionError(f"the writer ended with {self.process.wait()} before it was ready")

    def kill(self) -> None:
        """SIGKILL; the operating system closes its connections."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """SIGSTOP: connections stay, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def __enter__(self) -> DyingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()
        until(lambda: self.process.poll() is not None, "the writer has ended")


def _open(client: str, namenode: str, address: str, path: str, block_bytes: int) -> Any:
    if client == "native":
        import hdfs_native
        from hdfs_native import WriteOptions

        return hdfs_native.Client(f"hdfs://{namenode}").create(path, WriteOptions(block_size=block_bytes))
    from seamlessfs.client.client import Client
    from seamlessfs.client.options import ClientOptions

    made = Client(ClientOptions.from_url(f"seamless://{namenode}", user="root", source_address=address))
    return made.open_write(path, block_size_bytes=block_bytes)


def _flush(file: Any, step: str) -> None:
    if hasattr(file, "hsync"):
        file.hsync()  # hdfs-native has no other
    else:
        file.flush(sync=step == "hsync")


def main(client: str, namenode: str, address: str, path: str, block_bytes: int, steps: list[str]) -> None:
    file = _open(client, namenode, address, path, block_bytes)
    written = 0
    for step in steps:
        name, _, argument = step.partition(":")
        if name == "write":
            file.write(content(written, written + int(argument)))
            written += int(argument)
        elif name in ("hflush", "hsync"):
            _flush(file, name)
            print(written, flush=True)
        elif name == "stream":
            print("ready", flush=True)
            while True:
                file.write(content(written, written + 3_000))
                written += 3_000
    print("ready", flush=True)
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:5], int(sys.argv[5]), sys.argv[6:])
