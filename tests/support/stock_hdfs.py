"""A stock HDFS on loopback: one namenode and some datanodes of Apache Hadoop, each a process of its own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from xml.sax.saxutils import escape

from tests.support.peer_files import PeerFiles, class_path

HOST = "127.0.0.1"
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.1
NAMENODE_CLASS = "org.apache.hadoop.hdfs.server.namenode.NameNode"
DATANODE_CLASS = "org.apache.hadoop.hdfs.server.datanode.DataNode"
DIES_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
"""Of util-linux, which every Debian has: a test run that is killed leaves no JVM behind."""

WEB_APPS = ("hdfs", "datanode", "secondary", "static")
LOG_FORMAT = """log4j.rootLogger=INFO,c
log4j.appender.c=org.apache.log4j.ConsoleAppender
log4j.appender.c.target=System.err
log4j.appender.c.layout=org.apache.log4j.PatternLayout
log4j.appender.c.layout.ConversionPattern=%d{HH:mm:ss.SSS} %p %c{1}: %m%n
"""
NO_AUDIT = "log4j.logger.org.apache.hadoop.hdfs.server.namenode.FSNamesystem.audit=OFF\n"
QUICK_START = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Flags of JVMs that tests start and stop. A bench wants others."""
T = TypeVar("T")


class StockHdfsFailed(Exception):
    """A process of the stock cluster did not start, or died; the message ends with the tail of its log."""


@dataclass
class StockProcess:
    """One Java process of the cluster."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def logged(self, pattern: str) -> str | None:
        """First group of the first match in its log."""
        found = re.search(pattern, self.log.read_text(errors="replace"))
        return found[1] if found else None

    def check_alive(self) -> None:
        if (status := self.process.poll()) is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            raise StockHdfsFailed(f"stock {self.name} ended with status {status}:\n{tail}")

    def stop(self) -> None:
        """Ends the process; waits until it is gone."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class StockHdfs:
    """A stock cluster below one folder, on ports that the system chooses.

    Attributes:
        port: the namenode's RPC port, known after `start`.
        http_port: the namenode's web port.
        properties: further Hadoop properties of all its processes.

    Args:
        flags: of every JVM. audit: whether the namenode writes its audit log.
    """

    def __init__(
        self,
        folder: Path,
        peers: PeerFiles,
        datanodes: int = 3,
        properties: Mapping[str, str] | None = None,
        flags: Sequence[str] = QUICK_START,
        audit: bool = True,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self.folder = folder
        self.port = 0
        self.http_port = 0
        self.datanodes: list[StockProcess] = []
        self.namenode: StockProcess | None = None
        self.properties = dict(properties or {})
        self._flags = flags
        self._log_format = LOG_FORMAT if audit else LOG_FORMAT + NO_AUDIT
        self._datanodes_wanted = datanodes
        self._start_timeout_s = start_timeout_s
        self._class_path = class_path(peers.server_class_path())

    @property
    def namenode_address(self) -> str:
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        """Formats a new namespace if there is none, starts everything, returns when all datanodes are live.

        Raises:
            StockHdfsFailed: a process died, or not all were up in time.
        """
        try:
            self.start_namenode()
            self.datanodes = [self.start_datanode(index) for index in range(self._datanodes_wanted)]
            self._wait("live datanodes and the end of safe mode", lambda: self._is_ready() or None)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends every process that this object started."""
        processes = [*self.datanodes, *([self.namenode] if self.namenode else [])]
        for one in processes:
            if one.process.poll() is None:
                one.process.send_signal(signal.SIGTERM)
        for one in processes:
            one.stop()
        self.datanodes, self.namenode = [], None

    def transfer_ports(self) -> list[int]:
        """Port of each datanode's transfer protocol."""
        found = [one.logged(r"Opened streaming server at \S*?:(\d+)") for one in self.datanodes]
        return [int(port) for port in found if port is not None]

    def format(self) -> Path:
        """Makes a new namespace if there is none; returns where the namenode keeps it."""
        folder = self._configure("namenode", self._namenode_properties())
        current = folder / "data/dfs/name/current"
        if not current.exists():
            command = self._command(folder, NAMENODE_CLASS, "-format", "-force")
            with (folder / "format.log").open("wb") as log:
                done = subprocess.run(command, stdout=log, stderr=log, check=False, timeout=START_TIMEOUT_S)
            if done.returncode != 0:
                raise StockHdfsFailed(f"format of the stock namenode failed: see {folder / 'format.log'}")
        return current

    def start_namenode(self) -> None:
        """Returns when it listens."""
        self._make_web_folder()
        self.format()
        folder = self._configure("namenode", self._namenode_properties())
        namenode = self._launch("namenode", folder, NAMENODE_CLASS)
        self.namenode = namenode
        self.port = int(self._wait("its RPC port", lambda: namenode.logged(r"NameNode RPC up at: \S*?:(\d+)")))
        self.http_port = int(self._wait("its web port", lambda: namenode.logged(r"Jetty bound to port (\d+)")))

    def start_datanode(self, index: int) -> StockProcess:
        """Starts a datanode, the one with this number's data if there was one; the caller keeps it."""
        name = f"datanode{index}"
        return self._launch(name, self._configure(name, self._datanode_properties()), DATANODE_CLASS)

    def _is_ready(self) -> bool:
        query = "/jmx?qry=Hadoop:service=NameNode,name="
        state = self._fetch(query + "FSNamesystemState")
        return (
            state["NumLiveDataNodes"] == self._datanodes_wanted and not self._fetch(query + "NameNodeInfo")["Safemode"]
        )

    def _fetch(self, path: str) -> dict[str, object]:
        with urllib.request.urlopen(f"http://{HOST}:{self.http_port}{path}", timeout=10) as answer:
            beans: list[dict[str, object]] = json.load(answer)["beans"]
        return beans[0]

    def _wait(self, what: str, poll: Callable[[], T | None]) -> T:
        deadline = time.monotonic() + self._start_timeout_s
        while (result := poll()) is None:
            for one in (self.namenode, *self.datanodes):
                if one is not None:
                    one.check_alive()
            if time.monotonic() > deadline:
                raise StockHdfsFailed(f"waited {self._start_timeout_s:.0f} s for {what}; logs are below {self.folder}")
            time.sleep(POLL_S)
        return result

    def _launch(self, name: str, folder: Path, main_class: str) -> StockProcess:
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*DIES_WITH_PARENT, *self._command(folder, main_class)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        return StockProcess(name, folder, process)

    def _command(self, folder: Path, main_class: str, *arguments: str) -> list[str]:
        flags = [
            *self._flags,
            "-XX:-UsePerfData",
            f"-Djava.io.tmpdir={folder}",
            "--add-opens",
            "java.base/java.lang=ALL-UNNAMED",
        ]
        paths = f"{folder}:{self.folder / 'web'}:{self._class_path}"
        return ["java", *flags, "-cp", paths, main_class, *arguments]

    def _make_web_folder(self) -> None:
        for name in WEB_APPS:
            folder = self.folder / "web" / "webapps" / name / "WEB-INF"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "web.xml").write_text("<web-app/>\n")

    def _configure(self, name: str, properties: Mapping[str, str]) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        every = {
            "fs.defaultFS": f"hdfs://{HOST}:{self.port}",
            "hadoop.tmp.dir": str(folder / "data"),
            "dfs.heartbeat.interval": "1",
            **properties,
            **self.properties,
        }
        body = "\n".join(
            f"<property><name>{escape(key)}</name><value>{escape(value)}</value></property>"
            for key, value in every.items()
        )
        for file_name in ("core-site.xml", "hdfs-site.xml"):  # each overrides the defaults of its own module only
            (folder / file_name).write_text(f"<configuration>\n{body}\n</configuration>\n")
        (folder / "log4j.properties").write_text(self._log_format)
        return folder

    def _namenode_properties(self) -> dict[str, str]:
        """Blocks of any size, and no waiting after start."""
        return {
            "dfs.namenode.rpc-address": f"{HOST}:{self.port}",
            "dfs.namenode.http-address": f"{HOST}:{self.http_port}",
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.namenode.safemode.extension": "0",
            "dfs.namenode.fs-limits.min-block-size": "0",
            "dfs.namenode.acls.enabled": "true",
        }

    def _datanode_properties(self) -> dict[str, str]:
        return {
            "dfs.datanode.address": f"{HOST}:0",
            "dfs.datanode.http.address": f"{HOST}:0",
            "dfs.datanode.ipc.address": f"{HOST}:0",
            "dfs.datanode.hostname": HOST,
        }
