"""The clients that a Python program can choose, and what a file of a replica gives to whoever reads just that."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import hdfs_native
import pyarrow.fs

from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from tests.support.peer_files import PeerFiles, class_path

PIECE_BYTES = 4 << 20


class Reader(Protocol):
    """Reads whole files and throws away what it reads."""

    name: str

    def read(self, path: str, size: int) -> None: ...


class PythonClient(Reader, Protocol):
    """Reads, writes and lists, one call at a time.

    Attributes:
        first_byte: a program that reads the file PATH of the namenode AUTHORITY, as short as can be.
    """

    first_byte: str

    def read_file(self, path: str) -> bytes: ...
    def read_ranges(self, path: str, offsets: Iterable[int], length: int) -> int:
        """Bytes that the ranges have together."""

    def write(self, path: str, content: memoryview, replication: int) -> None: ...
    def count_names(self, folder: str) -> int: ...


class Ours:
    """The Python client."""

    name = "seamlessfs"
    first_byte = """
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
print(len(Client(ClientOptions.from_url("seamless://AUTHORITY")).read_file("PATH")))
"""

    def __init__(self, authority: str, **options: Any) -> None:
        self._client = Client(ClientOptions.from_url(f"seamless://{authority}", **options))
        self._buffer = memoryview(bytearray(PIECE_BYTES))

    def read(self, path: str, size: int) -> None:
        got = 0
        with self._client.open_read(path) as reader:
            while count := reader.pread_into(got, self._buffer, parallel=False):
                got += count
        assert got == size, f"{path}: {got} of {size} bytes"

    def read_file(self, path: str) -> bytes:
        return self._client.read_file(path)

    def read_ranges(self, path: str, offsets: Iterable[int], length: int) -> int:
        with self._client.open_read(path) as reader:
            return sum(len(reader.pread(offset, length)) for offset in offsets)

    def write(self, path: str, content: memoryview, replication: int) -> None:
        with self._client.open_write(path, replication=replication) as writer:
            for start in range(0, len(content), PIECE_BYTES):
                writer.write(content[start : start + PIECE_BYTES])

    def count_names(self, folder: str) -> int:
        return sum(1 for _ in self._client.listing(folder))


class OursFromFiles(Ours):
    """The same, reading the files of a datanode on this machine."""

    name = "seamlessfs, from files"

    def __init__(self, authority: str, socket: str, **options: Any) -> None:
        super().__init__(authority, short_circuit=True, domain_socket_path=socket, **options)

    def read(self, path: str, size: int) -> None:
        super().read(path, size)
        self._require_files()

    def _require_files(self) -> None:
        """Nothing may have come over the network."""
        others = {name: count for name, count in self._client.local_reads.items() if name not in ("read", "mapped")}
        assert not any(others.values()), others


class OursUnverified(OursFromFiles):
    """The same without a look at the checksums."""

    name = "seamlessfs, unverified"

    def __init__(self, authority: str, socket: str) -> None:
        super().__init__(authority, socket, short_circuit_skip_checksum=True)


class OursMapped(OursFromFiles):
    """Verified, as buffers that are the files' own memory."""

    name = "seamlessfs, mapped"

    def read(self, path: str, size: int) -> None:
        got = 0
        with self._client.open_read(path) as reader:
            while got < size:
                got += len(reader.read_buffer(got, PIECE_BYTES))
        assert got == size, f"{path}: {got} of {size} bytes"
        self._require_files()


class PlainFile:
    """A file as any program reads it: no namenode, no checksums."""

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


class HdfsNative:
    """hdfs-native, in Rust. A reader that is read from its start takes one stream."""

    name = "hdfs-native"
    first_byte = """
import hdfs_native
print(len(hdfs_native.Client("hdfs://AUTHORITY").read("PATH").read()))
"""

    def __init__(self, authority: str) -> None:
        self._client = hdfs_native.Client(f"hdfs://{authority}")

    def read(self, path: str, size: int) -> None:
        got = 0
        with self._client.read(path) as reader:
            while piece := reader.read(PIECE_BYTES):
                got += len(piece)
        assert got == size, f"{path}: {got} of {size} bytes"

    def read_file(self, path: str) -> bytes:
        with self._client.read(path) as reader:
            return reader.read()

    def read_ranges(self, path: str, offsets: Iterable[int], length: int) -> int:
        with self._client.read(path) as reader:
            return sum(len(reader.read_range(offset, length)) for offset in offsets)

    def write(self, path: str, content: memoryview, replication: int) -> None:
        options = hdfs_native.WriteOptions(replication=replication, overwrite=True)
        with self._client.create(path, options) as writer:
            for start in range(0, len(content), PIECE_BYTES):
                writer.write(bytes(content[start : start + PIECE_BYTES]))

    def count_names(self, folder: str) -> int:
        return sum(1 for _ in self._client.list_status(folder))


class LibHdfs:
    """pyarrow's HadoopFileSystem, which is a JVM in the process, by way of libhdfs.

    Raises:
        OSError: there is no libhdfs, no JVM, or no namenode.
    """

    name = "pyarrow, libhdfs"
    first_byte = """
import pyarrow.fs
host, _, port = "AUTHORITY".rpartition(":")
print(len(pyarrow.fs.HadoopFileSystem(host, int(port)).open_input_stream("PATH").read()))
"""

    def __init__(self, authority: str) -> None:
        java = shutil.which("java") or ""
        os.environ.setdefault("JAVA_HOME", str(Path(java).resolve().parents[1]))
        os.environ.setdefault("CLASSPATH", class_path(PeerFiles.find().server_class_path()))
        self._host, _, port = authority.rpartition(":")
        self._port = int(port)
        self._files = self._connect()

    def _connect(self, **options: int) -> pyarrow.fs.FileSystem:
        return pyarrow.fs.HadoopFileSystem(self._host, self._port, **options)

    def read(self, path: str, size: int) -> None:
        got = 0
        with self._files.open_input_file(path) as reader:
            while piece := reader.read_buffer(PIECE_BYTES):
                got += len(piece)
        assert got == size, f"{path}: {got} of {size} bytes"

    def read_file(self, path: str) -> bytes:
        with self._files.open_input_file(path) as reader:
            return reader.read()

    def read_ranges(self, path: str, offsets: Iterable[int], length: int) -> int:
        with self._files.open_input_file(path) as reader:
            return sum(len(reader.read_at(length, offset)) for offset in offsets)

    def write(self, path: str, content: memoryview, replication: int) -> None:
        with self._connect(replication=replication).open_output_stream(path) as writer:
            for start in range(0, len(content), PIECE_BYTES):
                writer.write(content[start : start + PIECE_BYTES])

    def count_names(self, folder: str) -> int:
        return len(self._files.get_file_info(pyarrow.fs.FileSelector(folder)))
