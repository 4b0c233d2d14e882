"""Streams of Hadoop's own Java client, the same for every server: one warm JVM that does what it is told."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType

from bench.namenodes import cpu_s
from tests.support.peer_files import SERVER_VERSION, PeerFiles, class_path

SOURCE = Path(__file__).parent / "java" / "Streams.java"
BLOCK_BYTES = 128 << 20


class JavaFailed(Exception):
    """The JVM could not do what it was told, or died; the message has what it said."""


class JavaStreams:
    """A JVM with Hadoop's client at its defaults: verified reads over TCP, packets of 64 KiB.

    Each stream is a thread with files of its own below a folder. What is in them is the same for every server.

    Args:
        folder: gets its configuration and its log.
    """

    def __init__(self, peers: PeerFiles, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "core-site.xml").write_text("<configuration/>\n")
        self._log = folder / "log"
        paths = class_path([folder, *peers.shell_class_path(SERVER_VERSION)])
        command = ["java", "-Xmx1g", "-XX:-UsePerfData", f"-Djava.io.tmpdir={folder}", "-cp", paths, str(SOURCE)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=folder, text=True
            )

    def write(
        self, authority: str, folder: str, *, streams: int, files: int, size_bytes: int, replication: int
    ) -> None:
        """Writes `files` files with each stream; a file is one block where it is no larger than one."""
        self._ask("write", f"hdfs://{authority}", folder, streams, files, size_bytes, replication, BLOCK_BYTES)

    def read(self, authority: str, folder: str, *, streams: int, files: int, size_bytes: int, times: int = 1) -> None:
        """Reads what `write` wrote, each file so many times."""
        self._ask("read", f"hdfs://{authority}", folder, streams, files, size_bytes, times)

    def sums(self, authority: str, folder: str) -> dict[str, str]:
        """Length and checksum of every file below a folder, the checksum computed by the datanodes."""
        words = self._ask("sums", f"hdfs://{authority}", folder).split()
        return dict(word.split("=", 1) for word in words)

    def cpu_s(self) -> float:
        """Processor time that the JVM has used, in seconds."""
        return cpu_s(self._process.pid)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> JavaStreams:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, *words: object) -> str:
        """The answer without its first word.

        Raises:
            JavaFailed: it says that it failed, or nothing.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self._process.stdin.flush()
        verdict, _, answer = self._process.stdout.readline().strip().partition(" ")
        if verdict != "ok":
            raise JavaFailed(f"{words}: {answer or 'no answer'}; the log ends:\n{self._log.read_text()[-2000:]}")
        return answer
