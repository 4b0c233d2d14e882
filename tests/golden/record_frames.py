"""Records the golden frames anew: `python -m tests.golden.record_frames` (needs `make peers`).

Stock clients do small things on a stock HDFS through recording proxies. Each scenario becomes one file of bytes in
`data`; `data/index.json` says which bytes of it are which connection and which direction, and what they mean.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.golden.meaning import rpc_meaning, transfer_meaning
from tests.golden.odd_inputs import odd_inputs
from tests.support.capture import HOST, NamenodeTap, Recording, Tap, split_frames
from tests.support.java_shell import JavaShell
from tests.support.peer_files import SHELL_VERSIONS, PeerFiles
from tests.support.stock_hdfs import StockHdfs

DATA = Path(__file__).parent / "data"
CONTENT = bytes(range(256)) * 5 + b"z" * 1000
SMALL_BLOCKS = {"dfs.blocksize": "1024"}
COMPOSITE = {"dfs.checksum.combine.mode": "COMPOSITE_CRC"}
CLOSE_TIMEOUT_S = 20.0

HDFS_NATIVE = """
import sys
from hdfs_native import Client, WriteOptions
client = Client(sys.argv[1])
with client.create("/native/f", WriteOptions(block_size=1024)) as writer:
    writer.write(bytes(range(256)) * 5 + b"z" * 1000)
with client.read("/native/f") as reader:
    assert reader.read(-1) == bytes(range(256)) * 5 + b"z" * 1000
list(client.list_status("/native", False))
client.rename("/native/f", "/native/g")
client.delete("/native/g", False)
"""


class Recorder:
    """A stock cluster behind proxies, and the scenarios recorded so far."""

    def __init__(self, cluster: StockHdfs) -> None:
        self.transfer_taps = [Tap(port) for port in cluster.transfer_ports()]
        self.namenode_tap = NamenodeTap(cluster.port, {tap.target_port: tap.port for tap in self.transfer_taps})
        self.plain_tap = Tap(cluster.port, "rpc")
        self.index: list[dict[str, Any]] = []

    @property
    def namenode(self) -> str:
        return f"{HOST}:{self.namenode_tap.port}"

    @contextmanager
    def scenario(self, name: str, client: str, command: str) -> Iterator[None]:
        """Stores what is said while the body runs."""
        taps: list[Tap] = [self.namenode_tap, self.plain_tap, *self.transfer_taps]
        for tap in taps:
            tap.recordings.clear()
        yield
        recordings = [recording for tap in taps for recording in tap.recordings]
        data = bytearray()
        for recording in recordings:
            if not recording.done.wait(CLOSE_TIMEOUT_S):
                raise TimeoutError(f"{name}: a connection is still open after {CLOSE_TIMEOUT_S:.0f} s")
            self.index.append(self._entry(name, client, command, recording, len(data)))
            data += recording.sent + recording.received
        (DATA / f"{name}.bin").write_bytes(data)

    def _entry(self, name: str, client: str, command: str, recording: Recording, start: int) -> dict[str, Any]:
        meaning = rpc_meaning if recording.kind == "rpc" else transfer_meaning
        return {
            "scenario": name,
            "client": client,
            "command": command,
            "kind": recording.kind,
            "start": start,
            "sent_bytes": len(recording.sent),
            "received_bytes": len(recording.received),
            "meaning": meaning(bytes(recording.sent), bytes(recording.received)),
        }


def record_java(recorder: Recorder, shell: JavaShell) -> None:
    version = shell.version
    home = f"/java-{version}"
    steps: list[tuple[str, list[str], dict[str, Any]]] = [
        ("mkdir", ["-mkdir", "-p", home], {}),
        ("put", ["-put", "-", f"{home}/f"], {"stdin": CONTENT}),
        ("put-blocks", ["-put", "-", f"{home}/blocks"], {"stdin": CONTENT, "properties": SMALL_BLOCKS}),
        ("cat-blocks", ["-cat", f"{home}/blocks"], {}),
        ("tail", ["-tail", f"{home}/f"], {}),
        ("checksum", ["-checksum", f"{home}/blocks"], {}),
        ("checksum-composite", ["-checksum", f"{home}/blocks"], {"properties": COMPOSITE}),
        ("ls", ["-ls", home], {}),
        ("missing", ["-cat", f"{home}/none"], {}),
        ("denied", ["-put", "-", f"{home}/g"], {"stdin": b"", "user": "alice"}),
    ]
    for name, arguments, options in steps:
        with recorder.scenario(f"java-{version}-{name}", f"Java {version}", f"hadoop fs {' '.join(arguments)}"):
            shell.run(recorder.namenode, *arguments, **options)


def record_native(recorder: Recorder) -> None:
    with recorder.scenario("hdfs-native", "hdfs-native 0.14.7", "create read list rename delete"):
        command = [sys.executable, "-c", HDFS_NATIVE, f"hdfs://{recorder.namenode}"]
        subprocess.run(command, check=True, env={**os.environ, "HADOOP_USER_NAME": "root"})


def record_go(recorder: Recorder, go_client: str, folder: Path) -> None:
    content = folder / "content"
    content.write_bytes(CONTENT)
    environment = {**os.environ, "HADOOP_NAMENODE": recorder.namenode, "HADOOP_USER_NAME": "root"}
    steps = (
        ("put", ["put", str(content), "/go"]),
        ("cat", ["cat", "/go"]),
        ("checksum", ["checksum", "/go"]),
        ("mv", ["mv", "/go", "/gone"]),
        ("missing", ["cat", "/none"]),
    )
    for name, arguments in steps:
        shown = " ".join(arguments).replace(str(content), "FILE")
        with recorder.scenario(f"go-{name}", "Go hdfs 2.3.0", f"hdfs {shown}"):
            done = subprocess.run([go_client, *arguments], env=environment, capture_output=True, check=False)
            assert (done.returncode == 0) == (name != "missing"), done.stderr


def record_odd_inputs(recorder: Recorder) -> None:
    """Sends what no client sends, each on a connection of its own."""
    for name, odd in odd_inputs().items():
        with (
            recorder.scenario(f"odd-{name}", "none", name.replace("-", " ")),
            socket.create_connection((HOST, recorder.plain_tap.port)) as connection,
        ):
            connection.settimeout(CLOSE_TIMEOUT_S)
            connection.sendall(odd.data)
            received = b""
            while odd.answers is None or len(split_frames(received)) < odd.answers:
                if not (data := connection.recv(1 << 16)):
                    break
                received += data
            assert odd.answers is None or data, f"{name}: closed after {received!r}"


def main() -> int:
    peers = PeerFiles.find()
    DATA.mkdir(exist_ok=True)
    for old in DATA.iterdir():
        old.unlink()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = StockHdfs(folder / "hdfs", peers)
        stack.callback(cluster.stop)
        cluster.start()
        recorder = Recorder(cluster)
        for version in SHELL_VERSIONS:
            record_java(recorder, stack.enter_context(JavaShell(peers, version, folder / version)))
        record_native(recorder)
        record_go(recorder, peers.go_client(), folder)
        record_odd_inputs(recorder)
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in recorder.index)
    (DATA / "index.json").write_text(f"[\n{lines}\n]\n")
    print(f"{len(recorder.index)} connections, {sum(path.stat().st_size for path in DATA.iterdir())} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
