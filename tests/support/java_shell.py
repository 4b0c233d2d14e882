"""Hadoop's own shell and administrator's tools, many commands in one JVM."""

from __future__ import annotations

import base64
import os
import select
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.support.peer_files import PeerFiles, class_path

COMMAND_TIMEOUT_S = 90.0
START_TIMEOUT_S = 60.0
FS_SHELL = "org.apache.hadoop.fs.FsShell"


class JavaShellFailed(Exception):
    """The JVM died or did not answer; the message ends with what it logged."""


@dataclass(frozen=True)
class ShellResult:
    """What one command did."""

    arguments: tuple[str, ...]
    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    def __str__(self) -> str:
        return f"hadoop fs {' '.join(self.arguments)}: status {self.status}\n{self.text}{self.err}"


class JavaShell:
    """A JVM with one version of the shell in it.

    Args:
        peers: where its jars are.
        version: one of `peer_files.SHELL_VERSIONS`, or `SERVER_VERSION`, which has every tool.
        folder: gets its configuration and its log.
    """

    def __init__(self, peers: PeerFiles, version: str, folder: Path) -> None:
        self.version = version
        self._log = folder / "log"
        self._buffer = b""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "core-site.xml").write_text("<configuration/>\n")
        paths = class_path([folder, *peers.shell_class_path(version)])
        command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]
        command += [f"-Djava.io.tmpdir={folder}", "-cp", paths, "FsShellDriver"]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HADOOP_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=folder, env=environment
            )
        answered = self._read_line(START_TIMEOUT_S)
        if answered != version:
            self.close()
            raise JavaShellFailed(f"the jars of {version} say that they are {answered}: run `make peers` again")

    def run(
        self,
        namenode: str,
        *arguments: str | Path,
        properties: Mapping[str, str] | None = None,
        user: str = "root",
        stdin: bytes = b"",
        tool: str = FS_SHELL,
        timeout_s: float = COMMAND_TIMEOUT_S,
    ) -> ShellResult:
        """Runs `hadoop fs ARGUMENTS` with `namenode` (host:port) as the default file system.

        Args:
            tool: class of another command than that; those of HDFS's administrators need the server's jars.

        Raises:
            JavaShellFailed: the JVM did not answer in time.
        """
        generic = ["-fs", f"hdfs://{namenode}"]
        for key, value in (properties or {}).items():
            generic += ["-D", f"{key}={value}"]
        words = tuple(str(argument) for argument in arguments)
        fields = [user.encode(), stdin, tool.encode(), *(word.encode() for word in (*generic, *words))]
        line = b",".join(base64.b64encode(one) for one in fields) + b"\n"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._failure("is gone") from error
        status, out, err = self._read_line(timeout_s).split(",")
        return ShellResult(words, int(status), base64.b64decode(out), base64.b64decode(err).decode(errors="replace"))

    def check(self, namenode: str, *arguments: str | Path, **options: object) -> ShellResult:
        """Runs a command that must succeed."""
        result = self.run(namenode, *arguments, **options)  # type: ignore[arg-type]
        assert result.status == 0, str(result)
        return result

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> JavaShell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_line(self, timeout_s: float) -> str:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
                raise self._failure(f"did not answer in {timeout_s:.0f} s")
            piece = os.read(descriptor, 1 << 16)
            if not piece:
                raise self._failure("is gone")
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def _failure(self, what: str) -> JavaShellFailed:
        self._process.kill()
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
        return JavaShellFailed(f"the JVM with the {self.version} shell {what}; its log ends:\n{tail}")
