"""A client of one namespace: what programs, the CLI and the fsspec adapter call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from seamlessfs.client.file_checksum import WHOLE_FILE, ChecksumMode, fetch_file_checksum
from seamlessfs.client.file_reader import FileReader
from seamlessfs.client.file_writer import FileWriter, WriteSettings
from seamlessfs.client.namenode import NamenodeClient
from seamlessfs.client.options import ClientOptions
from seamlessfs.client.pipeline_recovery import Rules
from seamlessfs.client.session import Session
from seamlessfs.model.block import Checksum, LocatedBlocks
from seamlessfs.model.errors import FileAlreadyExists, FileNotFound, NoSuchMethod, UnsupportedOperation
from seamlessfs.model.status import ContentSummary, FileStatus, FsStats
from seamlessfs.net.traffic import TrafficCounter
from seamlessfs.wire.checksum import FileChecksum

FILE_PERMISSION = 0o666
DIRECTORY_PERMISSION = 0o777
"""Permissions of new files and directories before the umask."""


class Client:
    """Files and directories of one namespace. Thread-safe; after a fork both processes may use it.

    Paths are absolute (`/a/b`). What the namenode answers as an error is raised as a class of
    `seamlessfs.model.errors`, which are also Python's FileNotFoundError, PermissionError and so on.
    """

    def __init__(self, options: ClientOptions) -> None:
        self.options = options
        self.session = Session(options)

    @property
    def namenode(self) -> NamenodeClient:
        """Every call of ClientProtocol that a client needs, one method each."""
        return self.session.namenode

    @property
    def traffic(self) -> TrafficCounter | None:
        """File data sent and received per link, if a topology is configured."""
        return self.session.traffic

    @property
    def local_reads(self) -> Mapping[str, int]:
        """Reads of files on this machine in this process, and by reason those that went over the network instead."""
        local = self.session.short_circuit
        return {} if local is None else {str(outcome): count for outcome, count in local.counts.items()}

    def close(self) -> None:
        self.session.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def open_read(self, path: str, verify: bool = True) -> FileReader:
        """Opens a file for reading at any offset.

        Args:
            verify: check what is read against its checksums.

        Raises:
            FileNotFound: there is none, or it is a directory.
        """
        return FileReader.open(self.session, path, verify=verify)

    def open_write(
        self,
        path: str,
        *,
        overwrite: bool = True,
        create_parent: bool = True,
        permission: int | None = None,
        replication: int | None = None,
        block_size_bytes: int | None = None,
        checksum: Checksum | None = None,
        storage_policy: str | None = None,
        lazy_persist: bool = False,
    ) -> FileWriter:
        """Creates a file and opens it for writing.

        Args:
            permission: before the umask. replication: counts only where the placement policy leaves it to the client.
            storage_policy: name of the placement policy; None takes that of the path.
            lazy_persist: datanodes may keep it in memory first; with HDFS only, and then with one replica.

        Raises:
            FileAlreadyExists: the file exists and `overwrite` is false, or it is a directory.
        """
        session = self.session
        replication = replication or session.replication()
        settings = self._write_settings(block_size_bytes or session.block_size_bytes(), checksum, replication)
        status = session.namenode.create(
            path,
            permission=(FILE_PERMISSION if permission is None else permission) & ~self.options.umask,
            client_name=session.client_name,
            overwrite=overwrite,
            create_parent=create_parent,
            replication=replication,
            block_size=settings.block_size,
            storage_policy=storage_policy,
            lazy_persist=lazy_persist,
        )
        rules = replace(settings.rules, replication=status.replication)
        return FileWriter(session, path, status.inode_id, replace(settings, rules=rules))

    def open_append(self, path: str) -> FileWriter:
        """Opens an existing file to write behind its end, in a new block.

        Raises:
            FileNotFound: there is no such file. UnsupportedOperation: the server cannot append.
        """
        session = self.session
        try:
            last, status = session.namenode.append(path, session.client_name)
        except NoSuchMethod as error:
            raise UnsupportedOperation(
                f"the server cannot append to {path}: write a new file, or read it and write it again"
            ) from error
        settings = self._write_settings(status.block_size, None, status.replication)
        last_block = None if last is None else last.block
        return FileWriter(
            session, path, status.inode_id, settings, last=last_block, position=status.length, appending=True
        )

    def _write_settings(self, block_size_bytes: int, checksum: Checksum | None, replication: int) -> WriteSettings:
        session, options = self.session, self.options
        return WriteSettings(
            block_size=block_size_bytes,
            checksum=checksum or session.checksum(),
            packet_bytes=session.packet_bytes(),
            block_tries=options.block_tries,
            rules=Rules(replication, options.replacement_policy, options.replacement_best_effort),
        )

    def read_file(self, path: str) -> bytes:
        """All bytes of a file."""
        with self.open_read(path) as reader:
            return reader.pread(0, reader.length)

    def write_file(self, path: str, data: bytes | bytearray | memoryview, **how: Any) -> None:
        """Creates a file with these bytes; `how` as in `open_write`."""
        with self.open_write(path, **how) as writer:
            writer.write(data)

    def status(self, path: str) -> FileStatus:
        """Status of a file or directory.

        Raises:
            FileNotFound: there is none.
        """
        status = self.namenode.get_file_info(path)
        if status is None:
            raise FileNotFound(f"File does not exist: {path}")
        return status

    def exists(self, path: str) -> bool:
        return self.namenode.get_file_info(path) is not None

    def listing(self, path: str) -> Iterator[FileStatus]:
        """Entries of a directory in byte order, page by page; the file itself with an empty name for a file."""
        return self.namenode.iterate_listing(path)

    def mkdirs(self, path: str, permission: int | None = None, create_parent: bool = True) -> bool:
        """Makes a directory with its parents; True as well if it exists already."""
        mode = DIRECTORY_PERMISSION if permission is None else permission
        return self.namenode.mkdirs(path, mode & ~self.options.umask, create_parent)

    def delete(self, path: str, recursive: bool = False) -> bool:
        """Deletes a file, an empty directory, or a tree; False when there is nothing."""
        return self.namenode.delete(path, recursive)

    def rename(self, source: str, target: str, overwrite: bool = False) -> None:
        """Renames to exactly `target`.

        Raises:
            FileNotFound: no source, or no parent of the target. FileAlreadyExists: the target exists.
        """
        self.namenode.rename2(source, target, overwrite)

    def content_summary(self, path: str) -> ContentSummary:
        return self.namenode.get_content_summary(path)

    def stats(self) -> FsStats:
        return self.namenode.get_fs_stats()

    def locations(self, path: str) -> LocatedBlocks:
        """All blocks of a file with the datanodes that have them, nearest first."""
        return self.namenode.get_block_locations(path, 0, WHOLE_FILE)

    def file_checksum(self, path: str, mode: ChecksumMode = ChecksumMode.MD5) -> FileChecksum:
        """Checksum of a file's contents, computed by its datanodes; equal to that of other HDFS clients."""
        return fetch_file_checksum(self.session, path, mode)

    def touch(self, path: str) -> None:
        """Creates an empty file if there is none."""
        try:
            self.open_write(path, overwrite=False).close()
        except FileAlreadyExists:
            self.status(path)
