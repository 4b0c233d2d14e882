"""The clients that make the load: ours, and stock ones in Rust, Java and Go. Each carries out operations."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import hdfs_native

from seamlessfs.client.client import Client
from seamlessfs.client.file_writer import FileWriter
from seamlessfs.client.options import ClientOptions
from seamlessfs.model.errors import (
    AccessDenied,
    DirectoryNotEmpty,
    FileAlreadyExists,
    FileNotFound,
    IllegalArgument,
    InvalidPath,
    LeaseExpired,
    ParentNotDirectory,
)
from tests.kill.mix import BLOCK_BYTES, Abilities
from tests.kill.operations import FILE_MODE, FOLDER_MODE, Kind, Op, content_of
from tests.support.java_shell import JavaShell
from tests.support.peer_files import SHELL_VERSIONS, PeerFiles

READ_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0
WHOLE = frozenset({Kind.MKDIRS, Kind.PUT, Kind.RENAME, Kind.DELETE, Kind.CHMOD, Kind.READ})


class Wrong(Exception):
    """An answer that no fault explains."""


class LoadClient:
    """One client of the cluster, used by one thread. It has a method for each kind of operation in its abilities."""

    abilities: Abilities

    def do(self, op: Op) -> None:
        """Carries out an operation.

        Raises:
            Wrong: the answer cannot be right. Anything else: nobody knows what became of it.
        """
        getattr(self, op.kind.value)(op)


WRITES = frozenset({Kind.CREATE, Kind.WRITE, Kind.CLOSE, Kind.PUT})
"""What fails with its stream; after anything else the stream goes on."""


class OwnClient(LoadClient):
    """Our library, in an IDC. It repeats its calls, so that what was acknowledged can never be answered otherwise."""

    abilities = Abilities(frozenset(Kind), syncs=("", "hflush", "hflush", "hsync"), rename_overwrites=True)
    lies = (
        FileNotFound,
        FileAlreadyExists,
        ParentNotDirectory,
        DirectoryNotEmpty,
        AccessDenied,
        InvalidPath,
        IllegalArgument,
        LeaseExpired,
    )

    def __init__(self, url: str, source_address: str) -> None:
        options = ClientOptions.from_url(
            url, source_address=source_address, read_timeout_s=READ_TIMEOUT_S, block_size_bytes=BLOCK_BYTES
        )
        self.client = Client(options)
        self.streams: dict[str, FileWriter] = {}

    def do(self, op: Op) -> None:
        try:
            super().do(op)
        except self.lies as error:
            raise Wrong(f"{op.kind} was answered by {type(error).__name__}: {error}") from error
        except BaseException:
            if op.kind in WRITES:
                self._forget(op.path)
            raise

    def mkdirs(self, op: Op) -> None:
        _true(self.client.mkdirs(op.path), op)

    def policy(self, op: Op) -> None:
        self.client.namenode.set_storage_policy(op.path, op.name)

    def create(self, op: Op) -> None:
        self.streams[op.path] = self.client.open_write(op.path, overwrite=op.overwrite)

    def write(self, op: Op) -> None:
        stream = self.streams[op.path]
        stream.write(content_of(op.content, op.length)[stream.position :])
        if op.sync:
            stream.flush(sync=op.sync == "hsync")

    def close(self, op: Op) -> None:
        self.streams.pop(op.path).close()

    def put(self, op: Op) -> None:
        stream = self.client.open_write(op.path, overwrite=op.overwrite)
        self.streams[op.path] = stream
        stream.write(content_of(op.content, op.length))
        self.close(op)

    def rename(self, op: Op) -> None:
        if op.overwrite:
            self.client.rename(op.path, op.target, overwrite=True)
        else:
            _true(self.client.namenode.rename(op.path, op.target), op)

    def delete(self, op: Op) -> None:
        _true(self.client.delete(op.path, recursive=True), op)

    def chmod(self, op: Op) -> None:
        self.client.namenode.set_permission(op.path, op.mode)

    def chown(self, op: Op) -> None:
        self.client.namenode.set_owner(op.path, op.name, None)

    def times(self, op: Op) -> None:
        self.client.namenode.set_times(op.path, op.at_ms, -1)

    def read(self, op: Op) -> None:
        same_bytes(op, self.client.read_file(op.path))

    def _forget(self, path: str) -> None:
        """A stream that failed is left as it is; nobody renews its lease for its own sake any more."""
        stream = self.streams.pop(path, None)
        if stream is not None:
            try:
                stream.close()
            except Exception:
                return


class RustClient(LoadClient):
    """hdfs-native."""

    abilities = Abilities(frozenset(Kind) - {Kind.POLICY}, syncs=("", "hsync"), rename_overwrites=True)

    def __init__(self, address: str) -> None:
        self.client = hdfs_native.Client(f"hdfs://{address}", {"dfs.client.socket-timeout": "10000"})
        self.streams: dict[str, hdfs_native.FileWriter] = {}
        self.written: dict[str, int] = {}

    def mkdirs(self, op: Op) -> None:
        self.client.mkdirs(op.path, FOLDER_MODE, create_parent=True)

    def create(self, op: Op) -> None:
        self.streams[op.path] = self._create(op)
        self.written[op.path] = 0

    def write(self, op: Op) -> None:
        stream = self.streams[op.path]
        stream.write(content_of(op.content, op.length)[self.written[op.path] :])
        self.written[op.path] = op.length
        if op.sync:
            stream.hsync()

    def close(self, op: Op) -> None:
        self.streams.pop(op.path).close()

    def put(self, op: Op) -> None:
        writer = self._create(op)
        if op.length:
            writer.write(content_of(op.content, op.length))
        writer.close()

    def rename(self, op: Op) -> None:
        self.client.rename(op.path, op.target, overwrite=op.overwrite)

    def delete(self, op: Op) -> None:
        if not self.client.delete(op.path, recursive=True):
            raise OSError(f"{op.path} was not there")

    def chmod(self, op: Op) -> None:
        self.client.set_permission(op.path, op.mode)

    def chown(self, op: Op) -> None:
        self.client.set_owner(op.path, op.name, None)

    def times(self, op: Op) -> None:
        self.client.set_times(op.path, op.at_ms, op.at_ms)

    def read(self, op: Op) -> None:
        same_bytes(op, self.fetch(op.path))

    def fetch(self, path: str) -> bytes:
        """All bytes of a file."""
        with self.client.read(path) as reader:
            return bytes(reader.read(-1))

    def _create(self, op: Op) -> Any:
        options = hdfs_native.WriteOptions(block_size=BLOCK_BYTES, overwrite=op.overwrite, permission=FILE_MODE)
        return self.client.create(op.path, options)


class JavaClient(LoadClient):
    """Hadoop's own shell, which writes beside its target and renames."""

    abilities = Abilities(WHOLE, via="._COPYING_")

    def __init__(self, address: str, version: str, folder: Path) -> None:
        self.address = address
        self.shell = JavaShell(PeerFiles.find(), version, folder)

    def mkdirs(self, op: Op) -> None:
        self._run("-mkdir", "-p", op.path)

    def put(self, op: Op) -> None:
        force = ["-f"] if op.overwrite else []
        self._run("-put", *force, "-", op.path, stdin=content_of(op.content, op.length))

    def rename(self, op: Op) -> None:
        self._run("-mv", op.path, op.target)

    def delete(self, op: Op) -> None:
        self._run("-rm", "-r", "-skipTrash", op.path)

    def chmod(self, op: Op) -> None:
        self._run("-chmod", f"{op.mode:o}", op.path)

    def read(self, op: Op) -> None:
        same_bytes(op, self._run("-cat", op.path))

    def _run(self, *words: str, stdin: bytes = b"") -> bytes:
        properties = {"dfs.blocksize": str(BLOCK_BYTES), "dfs.client.socket-timeout": "10000"}
        done = self.shell.run(self.address, *words, properties=properties, stdin=stdin, timeout_s=COMMAND_TIMEOUT_S)
        if done.status:
            raise OSError(str(done))
        return done.out


class GoClient(LoadClient):
    """The Go client, a command at a time. It takes the server's block size, and does not insist on a file's end."""

    abilities = Abilities(WHOLE, overwrites=False, loose=True)

    def __init__(self, address: str) -> None:
        self.command = PeerFiles.find().go_client()
        self.environment = {**os.environ, "HADOOP_NAMENODE": address}
        self.asks = Client(ClientOptions.from_url(f"seamless://{address}"))

    def mkdirs(self, op: Op) -> None:
        self._run("mkdir", "-p", op.path)

    def put(self, op: Op) -> None:
        with tempfile.NamedTemporaryFile() as local:
            local.write(content_of(op.content, op.length))
            local.flush()
            self._run("put", local.name, op.path)

    def rename(self, op: Op) -> None:
        self._run("mv", op.path, op.target)

    def delete(self, op: Op) -> None:
        self._run("rm", "-r", op.path)

    def chmod(self, op: Op) -> None:
        self._run("chmod", f"{op.mode:o}", op.path)

    def read(self, op: Op) -> None:
        """Of a file that is still open it reads the blocks before the last one, and asks no datanode for more."""
        closed = self.asks.namenode.is_file_closed(op.path)
        data = self._run("cat", op.path)
        if len(data) < op.length and not closed:
            raise OSError(f"{op.path} is still open: {len(data)} bytes are read of {op.length}")
        same_bytes(op, data)

    def _run(self, *words: str) -> bytes:
        command = [self.command, *words]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, check=False, timeout=COMMAND_TIMEOUT_S
        )
        if done.returncode:
            raise OSError(f"{' '.join(words)}: {done.stderr.decode(errors='replace')}")
        return done.stdout


def _true(answer: bool, op: Op) -> None:
    if not answer:
        raise Wrong(f"{op.kind} was answered by false")


def same_bytes(op: Op, data: bytes) -> None:
    """What was read has every byte that was acknowledged, and no other ones."""
    if len(data) < op.length:
        raise Wrong(f"read {len(data)} bytes, and {op.length} were acknowledged")
    if data != content_of(op.content, len(data)):
        raise Wrong(f"read {len(data)} bytes that are not those of {op.content}")


def connect(kind: str, address: str, source_address: str, folder: Path) -> LoadClient:
    """A client by its name: own, rust, java-3.3, java-3.4 or go."""
    if kind == "own":
        return OwnClient(f"seamless://{address}", source_address)
    if kind == "rust":
        return RustClient(address)
    if kind == "go":
        return GoClient(address)
    versions = {version.rpartition(".")[0]: version for version in SHELL_VERSIONS}
    return JavaClient(address, versions[kind.removeprefix("java-")], folder)
