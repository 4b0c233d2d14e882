"""A Java program that writes one file, at the moments that a test says: `hadoop fs -put -` with a pipe as input."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.support.peer_files import PeerFiles, class_path

END_TIMEOUT_S = 90.0


class JavaWriter:
    """One JVM, one file.

    Args:
        version: one of `peer_files.SHELL_VERSIONS`.
        folder: gets its configuration and its log.
        namenode: `host:port`.
        properties: Hadoop properties beside the defaults.
    """

    def __init__(
        self,
        peers: PeerFiles,
        version: str,
        folder: Path,
        namenode: str,
        path: str,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "core-site.xml").write_text("<configuration/>\n")
        self._log = folder / "log"
        command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]
        command += [f"-Djava.io.tmpdir={folder}", "-Dorg.slf4j.simpleLogger.defaultLogLevel=info"]
        command += ["-cp", class_path([folder, *peers.shell_class_path(version)])]
        command += ["org.apache.hadoop.fs.FsShell", "-fs", f"hdfs://{namenode}"]
        for key, value in (properties or {}).items():
            command += ["-D", f"{key}={value}"]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HADOOP_")}
        environment["HADOOP_USER_NAME"] = "root"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "-put", "-d", "-", path], stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment
            )

    def write(self, data: bytes) -> None:
        """Hands the data over; all but what fills a last packet goes to the datanodes."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def finish(self) -> None:
        """Ends the file; returns when it is closed.

        Raises:
            AssertionError: the program failed; the message has what it said.
        """
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        status = self.process.wait(END_TIMEOUT_S)
        assert status == 0, f"hadoop fs -put ended with status {status}:\n{self.said()}"

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def __enter__(self) -> JavaWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
