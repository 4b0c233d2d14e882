"""What a stock client says on a datanode's UNIX socket, and how it reads the answers, by Hadoop's own classes."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from types import TracebackType

from tests.support.peer_files import PeerFiles, class_path

SOURCE = Path(__file__).parent / "java" / "LocalFrames.java"


class JavaFrames:
    """A JVM that writes requests and reads answers.

    Args:
        version: one of `peer_files.SHELL_VERSIONS`.
        folder: gets its log.
    """

    def __init__(self, peers: PeerFiles, version: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "log"
        paths = class_path([folder, *peers.shell_class_path(version)])
        command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", paths, str(SOURCE)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=folder, text=True
            )

    def request(self, *words: object) -> bytes:
        """The bytes of `shm NAME`, `fds POOL BLOCK STAMP LENGTH [HIGH LOW SLOT]` or `release HIGH LOW SLOT`."""
        return base64.b64decode(self._ask(*words))

    def read(self, kind: str, answer: bytes) -> list[str]:
        """The fields of an answer to `kind` that came with its length."""
        return self._ask(f"{kind}-answer", base64.b64encode(answer).decode()).split(" ")

    def _ask(self, *words: object) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line.endswith("\n"), self._log.read_text(errors="replace")[-2000:]
        return line[:-1]

    def __enter__(self) -> JavaFrames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
