"""The clients that are compared: ours, hdfs-native, and Hadoop's own shell."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from pathlib import Path
from typing import Any, Protocol

import hdfs_native

from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from tests.support.peer_files import SHELL_VERSIONS, PeerFiles, class_path

PIECE_BYTES = 4 << 20


class BenchClient(Protocol):
    """Reads and writes whole files, and throws away what it reads."""

    name: str

    def read(self, path: str, size: int) -> None: ...

    def write(self, path: str, content: memoryview, replication: int) -> None: ...

    def cpu_s(self) -> float:
        """Processor time that the client has used so far, in seconds."""

    def close(self) -> None: ...


class Ours:
    """The Python client, one stream."""

    name = "ours"

    def __init__(self, namenode: str, packet_bytes: int | None = None, **options: Any) -> None:
        self._client = Client(ClientOptions.from_url(f"seamless://{namenode}", packet_bytes=packet_bytes, **options))
        self._buffer = memoryview(bytearray(PIECE_BYTES))

    def read(self, path: str, size: int) -> None:
        got = 0
        with self._client.open_read(path) as reader:
            while count := reader.pread_into(got, self._buffer, parallel=False):
                got += count
        assert got == size, f"{path}: {got} of {size} bytes"

    def write(self, path: str, content: memoryview, replication: int) -> None:
        with self._client.open_write(path, replication=replication) as writer:
            for start in range(0, len(content), PIECE_BYTES):
                writer.write(content[start : start + PIECE_BYTES])

    def cpu_s(self) -> float:
        return time.process_time()

    def close(self) -> None:
        self._client.close()


class OursFromFiles(Ours):
    """The Python client reading the files of a datanode on this machine."""

    name = "ours, from files"

    def __init__(self, namenode: str, socket: str, **options: Any) -> None:
        super().__init__(namenode, short_circuit=True, domain_socket_path=socket, **options)

    def read(self, path: str, size: int) -> None:
        super().read(path, size)
        self.require_files()

    def require_files(self) -> None:
        """Nothing may have come over the network."""
        others = {name: count for name, count in self._client.local_reads.items() if name not in ("read", "mapped")}
        assert not any(others.values()), others


class OursUnverified(OursFromFiles):
    """The same without a look at the checksums."""

    name = "ours, unverified"

    def __init__(self, namenode: str, socket: str) -> None:
        super().__init__(namenode, socket, short_circuit_skip_checksum=True)


class OursMapped(OursFromFiles):
    """Verified, as buffers that are the files' own memory."""

    name = "ours, mapped"

    def read(self, path: str, size: int) -> None:
        got = 0
        with self._client.open_read(path) as reader:
            while got < size:
                got += len(reader.read_buffer(got, PIECE_BYTES))
        assert got == size, f"{path}: {got} of {size} bytes"
        self.require_files()


class PlainFile:
    """The datanode's data file as any program reads a file: no namenode, no checksums."""

    name = "plain file"

    def __init__(self, file: Path) -> None:
        self._file = file
        self._buffer = memoryview(bytearray(PIECE_BYTES))

    def read(self, path: str, size: int) -> None:
        got = 0
        with self._file.open("rb", buffering=0) as file:
            while count := file.readinto(self._buffer):
                got += count
        assert got == size, f"{self._file}: {got} of {size} bytes"

    def write(self, path: str, content: memoryview, replication: int) -> None:
        raise NotImplementedError("only reads are measured")

    def cpu_s(self) -> float:
        return time.process_time()

    def close(self) -> None:
        pass


class HdfsNative:
    """hdfs-native (Rust), one stream. It takes the packet size from the server."""

    name = "hdfs-native"

    def __init__(self, namenode: str) -> None:
        self._client = hdfs_native.Client(f"hdfs://{namenode}")

    def read(self, path: str, size: int) -> None:
        got = 0
        with self._client.read(path) as reader:
            while piece := reader.read(PIECE_BYTES):
                got += len(piece)
        assert got == size, f"{path}: {got} of {size} bytes"

    def write(self, path: str, content: memoryview, replication: int) -> None:
        options = hdfs_native.WriteOptions(replication=replication, overwrite=True)
        with self._client.create(path, options) as writer:
            for start in range(0, len(content), PIECE_BYTES):
                writer.write(bytes(content[start : start + PIECE_BYTES]))

    def cpu_s(self) -> float:
        return time.process_time()

    def close(self) -> None:
        del self._client


class JavaCat:
    """`hadoop fs -cat` into /dev/null; what the JVM needs to start is measured once and left out."""

    name = f"hadoop {SHELL_VERSIONS[-1]}"

    def __init__(self, namenode: str, peers: PeerFiles, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "core-site.xml").write_text("<configuration/>\n")
        jars = class_path([folder, *peers.shell_class_path(SHELL_VERSIONS[-1])])
        self._command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", jars, "org.apache.hadoop.fs.FsShell"]
        self._command += ["-fs", f"hdfs://{namenode}", "-cat"]
        self._folder = folder

    def read(self, path: str, size: int, times: int = 1) -> None:
        with Path(os.devnull).open("wb") as sink, (self._folder / "log").open("wb") as log:
            subprocess.run([*self._command, *(path,) * times], stdout=sink, stderr=log, check=True, timeout=120)

    def write(self, path: str, content: memoryview, replication: int) -> None:
        raise NotImplementedError("only reads are measured with the shell")

    def cpu_s(self) -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def close(self) -> None:
        pass
