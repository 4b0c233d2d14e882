"""The namespace as an fsspec filesystem: `fsspec.open("seamless://namenode:8020/path")`.

Everything is asked of the namenode when it is needed; no listing is cached. `hdfs://` is served by the same class when
a program asks for that with `register_hdfs`.
"""

from __future__ import annotations

import atexit
import datetime
import hashlib
import os
import posixpath
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar
from urllib.parse import urlsplit

import fsspec
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.core import has_magic
from fsspec.spec import AbstractFileSystem
from fsspec.utils import isfilelike, stringify_path

from seamlessfs.client.client import Client
from seamlessfs.client.file_checksum import ChecksumMode
from seamlessfs.client.file_reader import FileReader
from seamlessfs.client.fsspec_bulk import read_files, read_ranges, read_slice
from seamlessfs.client.fsspec_file import SeamlessFile
from seamlessfs.client.fsspec_hdfs import HdfsOperations, describe
from seamlessfs.client.native_threads import wait_for_native_threads
from seamlessfs.client.options import make_options
from seamlessfs.model.errors import DirectoryNotEmpty, FileAlreadyExists, FileNotFound, IllegalArgument
from seamlessfs.model.status import FileStatus, FileType
from seamlessfs.wire.checksum import FileChecksum

COPY_BYTES = 8 << 20
"""Piece in which files are copied: long enough that a pipeline never runs dry, short enough for many at a time."""

FSSPEC_OPTIONS = frozenset(("use_listings_cache", "listings_expiry_time", "max_paths", "asynchronous", "loop"))
"""Storage options that fsspec gives to every filesystem and that mean nothing here."""

atexit.register(wait_for_native_threads)


class SeamlessFileSystem(HdfsOperations, AbstractFileSystem):  # type: ignore[misc]
    """Files of a seamlessfs or stock HDFS namespace. Thread-safe, fork-safe, picklable.

    Args:
        host: namenode, several with commas, or a nameservice of the Hadoop configuration; default: its `fs.defaultFS`.
        port: of the namenode, if `host` does not say it.
        user: whose permissions count; default: `HADOOP_USER_NAME`, else the user of the process.
        hadoop_conf_dir: directory of core-site.xml and hdfs-site.xml; default: `HADOOP_CONF_DIR`.
        options: fields of `seamlessfs.client.options.ClientOptions`.
    """

    protocol: ClassVar[tuple[str, ...]] = ("seamless",)
    root_marker = "/"

    def __init__(
        self,
        host: str | None = None,
        port: int | str | None = None,
        user: str | None = None,
        hadoop_conf_dir: str | None = None,
        **options: Any,
    ) -> None:
        own = {name: value for name, value in options.items() if name not in FSSPEC_OPTIONS}
        super().__init__(host, port, user, hadoop_conf_dir, **options)
        authority = host or ""
        if host and port is not None and not host.endswith(f":{port}"):
            authority = f"{host}:{port}"
        self.client = Client(make_options(authority=authority, hadoop_conf_dir=hadoop_conf_dir, user=user, **own))

    @property
    def fsid(self) -> str:
        return f"{self.protocol[0]}_{self.client.options.authority}"

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """The absolute path of a URL or path, without a slash at its end."""
        if isinstance(path, list):
            return [cls._strip_protocol(part) for part in path]
        text = stringify_path(path)
        for protocol in cls.protocol:
            if text.startswith(f"{protocol}://"):
                _, slash, text = text.removeprefix(f"{protocol}://").partition("/")
                text = slash + text
            text = text.removeprefix(f"{protocol}::")
        return "/" + text.strip("/")

    def unstrip_protocol(self, name: str) -> str:
        return f"{self.protocol[0]}://{self.client.options.authority}{self._strip_protocol(name)}"

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        user, _, host = urlsplit(path).netloc.rpartition("@") if "://" in path else ("", "", "")
        return {name: value for name, value in (("user", user), ("host", host)) if value}

    def invalidate_cache(self, path: str | None = None) -> None:
        """Nothing is cached."""

    def _status(self, path: Any) -> FileStatus | None:
        """Status of what is there and may be seen, else None.

        Deviation from fsspec's default: any other error, an unreachable server for one, is raised.
        """
        try:
            return self.client.namenode.get_file_info(self._strip_protocol(path))
        except PermissionError:
            return None

    def info(self, path: Any, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        return describe(path, self.client.status(path))

    def exists(self, path: Any, **_: Any) -> bool:
        return self._status(path) is not None

    def isdir(self, path: Any) -> bool:
        status = self._status(path)
        return status is not None and status.is_directory

    def isfile(self, path: Any) -> bool:
        status = self._status(path)
        return status is not None and status.type is FileType.FILE

    def ls(self, path: Any, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        entries = (
            describe(posixpath.join(path, entry.name.decode(errors="replace")) if entry.name else path, entry)
            for entry in self.client.listing(path)
        )
        return list(entries) if detail else [entry["name"] for entry in entries]

    def walk(
        self,
        path: Any,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: str | Callable[[OSError], None] = "omit",
        **how: Any,
    ) -> Iterator[Any]:
        """Deviation from fsspec's default: `omit` passes over what is missing or not permitted, not over a failure."""
        handler = _omit_or_raise if on_error == "omit" else on_error
        yield from super().walk(path, maxdepth=maxdepth, topdown=topdown, on_error=handler, **how)

    def du(self, path: Any, total: bool = True, maxdepth: int | None = None, withdirs: bool = False, **how: Any) -> Any:
        """As fsspec; the total of a whole tree is one call."""
        if total and maxdepth is None and not has_magic(stringify_path(path)):
            return self.client.content_summary(self._strip_protocol(path)).length
        return super().du(path, total=total, maxdepth=maxdepth, withdirs=withdirs, **how)

    def mkdir(self, path: Any, create_parents: bool = True, **how: Any) -> None:
        path = self._strip_protocol(path)
        if self.exists(path):
            raise FileAlreadyExists(f"{path} already exists")
        self.client.mkdirs(path, how.get("permission"), create_parents)

    def makedirs(self, path: Any, exist_ok: bool = False) -> None:
        path = self._strip_protocol(path)
        if not exist_ok and self.exists(path):
            raise FileAlreadyExists(f"{path} already exists")
        self.client.mkdirs(path)

    def rmdir(self, path: Any) -> None:
        path = self._strip_protocol(path)
        if not self.client.status(path).is_directory:
            raise NotADirectoryError(f"{path} is not a directory")
        self.client.delete(path)

    def rm_file(self, path: Any) -> None:
        self._delete(self._strip_protocol(path), recursive=False)

    _rm = rm_file

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Deletes files, and with `recursive` trees: each tree is one call."""
        if maxdepth is not None:
            self._delete_to_depth(self.expand_path(path, recursive=recursive, maxdepth=maxdepth))
            return
        for target in reversed(self.expand_path(path)):
            self._delete(target, recursive)

    def _delete(self, path: str, recursive: bool) -> None:
        if not recursive:
            status = self._status(path)
            if status is not None and status.is_directory:
                raise IsADirectoryError(f"{path} is a directory: pass recursive=True to delete it with all below it")
        if not self.client.delete(path, recursive):
            if path == "/":
                raise IllegalArgument("the root directory cannot be deleted")
            raise FileNotFound(f"File does not exist: {path}")

    def _delete_to_depth(self, paths: list[str]) -> None:
        """Deletes from the deepest up; a directory that still has something below the depth stays."""
        for path in reversed(paths):
            try:
                self.client.delete(path)
            except DirectoryNotEmpty:
                continue

    def mv(self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None, **how: Any) -> None:
        """Renames: into `path2` if that is a directory, over it if it is a file. No data is copied."""
        if isinstance(path1, list) and isinstance(path2, list):
            for source, target in zip(path1, path2, strict=True):
                self._rename(source, target)
        elif isinstance(path1, list) or maxdepth is not None or has_magic(stringify_path(path1)):
            super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **how)
        else:
            self._rename(path1, path2)

    def _rename(self, path1: Any, path2: Any) -> None:
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if source == target:
            return
        into = stringify_path(path2).endswith("/") and target != "/"
        if into:
            self.client.mkdirs(target)
        if into or self.isdir(target):
            target = posixpath.join(target, posixpath.basename(source))
        self.client.rename(source, target, overwrite=True)

    def cp_file(self, path1: Any, path2: Any, **how: Any) -> None:
        """Copies through this client: a namenode has no copy of its own."""
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if source == target:
            raise IllegalArgument(f"{source} and {target} are the same file")
        if self.isdir(source):
            self.makedirs(target, exist_ok=True)
            return
        with self.client.open_read(source) as reader, self.client.open_write(target, **how) as writer:
            for piece in _pieces(reader):
                writer.write(piece)

    def get_file(
        self, rpath: Any, lpath: Any = None, callback: Any = DEFAULT_CALLBACK, outfile: Any = None, **_: Any
    ) -> None:
        path = self._strip_protocol(rpath)
        if outfile is None and isfilelike(lpath):
            outfile = lpath
        try:
            reader = self.client.open_read(path)
        except FileNotFoundError:
            if outfile is None and self.isdir(path):
                os.makedirs(lpath, exist_ok=True)
                return
            raise
        with reader:
            callback.set_size(reader.length)
            if outfile is not None:
                _copy_out(reader, outfile, callback)
                return
            os.makedirs(os.path.dirname(os.path.abspath(lpath)), exist_ok=True)
            with open(lpath, "wb") as file:
                _copy_out(reader, file, callback)

    def put_file(
        self, lpath: Any, rpath: Any, callback: Any = DEFAULT_CALLBACK, mode: str = "overwrite", **how: Any
    ) -> None:
        if os.path.isdir(lpath):
            self.makedirs(rpath, exist_ok=True)
            return
        path = self._strip_protocol(rpath)
        buffer = memoryview(bytearray(COPY_BYTES))
        with open(lpath, "rb", buffering=0) as file:
            callback.set_size(os.fstat(file.fileno()).st_size)
            with self.client.open_write(path, overwrite=mode != "create", **how) as writer:
                while size := file.readinto(buffer):
                    writer.write(buffer[:size])
                    callback.relative_update(size)

    def pipe_file(self, path: Any, value: Any, mode: str = "overwrite", **how: Any) -> None:
        self.client.write_file(self._strip_protocol(path), value, overwrite=mode != "create", **how)

    def cat_file(self, path: Any, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        with self.client.open_read(self._strip_protocol(path)) as reader:
            return read_slice(reader, start, end)

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **how: Any) -> Any:
        """As fsspec; several files are read at the same time."""
        paths = self.expand_path(path, recursive=recursive)
        if not isinstance(path, list) and paths == [self._strip_protocol(path)]:
            return self.cat_file(paths[0], **how)
        if how:
            return super().cat(path, recursive=recursive, on_error=on_error, **how)
        if recursive:
            paths = [name for name in paths if not self.isdir(name)]
        found = dict(zip(paths, read_files(self.client, paths), strict=True))
        if on_error == "raise":
            _raise_first(found.values())
        return {name: data for name, data in found.items() if on_error != "omit" or isinstance(data, bytes)}

    def cat_ranges(
        self,
        paths: list[Any],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[bytes | Exception]:
        """As fsspec; ranges are read at the same time, each file opened once. `max_gap` is a hint without use here."""
        if not isinstance(paths, list):
            raise TypeError(f"paths is a {type(paths).__name__}; expected a list")
        firsts = starts if isinstance(starts, list) else [starts] * len(paths)
        lasts = ends if isinstance(ends, list) else [ends] * len(paths)
        if not len(firsts) == len(lasts) == len(paths):
            raise ValueError(f"{len(paths)} paths, {len(firsts)} starts and {len(lasts)} ends: the numbers differ")
        found = read_ranges(self.client, self._strip_protocol(paths), firsts, lasts)
        if on_error != "return":
            _raise_first(found)
        return found

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **how: Any,
    ) -> SeamlessFile:
        return SeamlessFile(self, path, mode, block_size, autocommit, cache_options=cache_options, **how)

    def touch(self, path: Any, truncate: bool = True, **how: Any) -> None:
        path = self._strip_protocol(path)
        if not truncate and self.exists(path):
            now_ms = time.time_ns() // 1_000_000
            self.client.namenode.set_times(path, now_ms, now_ms)
        else:
            self.client.open_write(path, **how).close()

    def modified(self, path: Any) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.info(path)["mtime"], tz=datetime.UTC)

    def created(self, path: Any) -> datetime.datetime:
        """The time of modification: HDFS keeps no time of creation, and a file changes last when it is closed."""
        return self.modified(path)

    def checksum(self, path: Any) -> int:
        """Number that changes with the contents (fsspec's meaning of it); see `file_checksum`."""
        return int.from_bytes(self.file_checksum(path).value, "big")

    def file_checksum(self, path: Any, mode: str = "MD5MD5CRC") -> FileChecksum:
        """HDFS's checksum of a file, computed by its datanodes: MD5MD5CRC or COMPOSITE_CRC."""
        return self.client.file_checksum(self._strip_protocol(path), ChecksumMode(mode))

    def ukey(self, path: Any) -> str:
        """Changes whenever the file is replaced or written: made of inode, length and time of modification."""
        status = self.client.status(self._strip_protocol(path))
        text = f"{self.fsid} {status.inode_id} {status.length} {status.modified_at_ms}"
        return hashlib.sha256(text.encode()).hexdigest()


class HdfsFileSystem(SeamlessFileSystem):
    """The same for `hdfs://` URLs; in use after `register_hdfs`."""

    protocol: ClassVar[tuple[str, ...]] = ("hdfs",)


def register_hdfs() -> None:
    """Makes fsspec open `hdfs://` URLs with this client instead of a JVM's, in this process."""
    fsspec.register_implementation("hdfs", HdfsFileSystem, clobber=True)


def _omit_or_raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
        raise error


def _raise_first(found: Iterable[bytes | Exception]) -> None:
    for data in found:
        if isinstance(data, Exception):
            raise data


def _pieces(reader: FileReader) -> Iterator[memoryview]:
    """The contents of a file in long pieces; each is valid until the next one is asked for."""
    buffer = memoryview(bytearray(min(COPY_BYTES, max(1, reader.length))))
    offset = 0
    while size := reader.pread_into(offset, buffer):
        yield buffer[:size]
        offset += size


def _copy_out(reader: FileReader, file: Any, callback: Any) -> None:
    for piece in _pieces(reader):
        file.write(piece)
        callback.relative_update(len(piece))
