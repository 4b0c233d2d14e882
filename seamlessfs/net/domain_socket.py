"""A UNIX socket by which processes of one machine find each other and pass descriptors."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from seamlessfs.model.errors import CallTimeout, ConfigurationError, ProtocolError
from seamlessfs.net.stream import BlockingStream

PATH_BYTES_MAX = 107
"""What the kernel's address of a UNIX socket holds, without the zero behind it."""

MODE = 0o666
"""Every user of the machine may connect, as with HDFS; who shall not is kept out by a directory above it."""


def socket_path(template: str, port: int) -> Path:
    """The path of a datanode's socket: `_PORT` stands for its transfer port."""
    return Path(template.replace("_PORT", str(port)))


def require_safe_path(path: Path, owner: int | None = None) -> None:
    """Refuses a path at which somebody else could put a socket of theirs.

    Each directory above it must be writable for nobody but its owner (and the group root), and with `owner` belong to
    that user or root.

    Deviation: HDFS refuses directories that all may write to. One with the sticky bit passes here unless it is the
    socket's own: in it nobody can take away what belongs to another user.

    Raises:
        ConfigurationError: the path is too long, or a directory is missing or not safe.
    """
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise ConfigurationError(f"UNIX socket {path}: the path is longer than {PATH_BYTES_MAX} bytes")
    for folder in (*reversed(path.parent.parents), path.parent):
        try:
            found = list(_statuses(folder))
        except OSError as error:
            raise ConfigurationError(f"UNIX socket {path}: {folder}: {error.strerror}") from error
        for status in found:
            reason = _weakness(status, owner, sticky_helps=folder != path.parent)
            if reason:
                raise ConfigurationError(
                    f"UNIX socket {path}: {folder} {reason}, so that others could put a socket of theirs there; "
                    "its permissions must be changed, or another path be chosen"
                )


def _statuses(folder: Path) -> Iterator[os.stat_result]:
    """Of a directory, and of the symbolic link that leads to it."""
    link = os.lstat(folder)
    if stat.S_ISLNK(link.st_mode):
        yield link
    yield os.stat(folder)


def _weakness(status: os.stat_result, owner: int | None, sticky_helps: bool) -> str:
    mode = status.st_mode
    if owner is not None and status.st_uid not in (0, owner):
        return f"belongs to user {status.st_uid}"
    if stat.S_ISLNK(mode) or (mode & stat.S_ISVTX and sticky_helps):
        return ""
    if mode & stat.S_IWOTH:
        return "can be written to by everybody"
    if mode & stat.S_IWGRP and status.st_gid != 0:
        return f"can be written to by group {status.st_gid}"
    return ""


class DomainListener:
    """A listening UNIX socket. It takes the place of one that nobody listens on any more.

    Raises:
        ConfigurationError: the path is not safe, somebody listens there, or it cannot be made.
    """

    def __init__(self, path: Path, backlog: int) -> None:
        require_safe_path(path, os.geteuid())
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _remove_abandoned(path)
            self.socket.bind(os.fspath(path))
            os.chmod(path, MODE)
            self.socket.listen(backlog)
            self._identity = _identity(path)
        except OSError as error:
            self.socket.close()
            raise ConfigurationError(f"UNIX socket {path} cannot be made: {error.strerror}") from error
        except ConfigurationError:
            self.socket.close()
            raise

    def unlink(self) -> None:
        """Takes the name away, unless another process has put its own there."""
        with contextlib.suppress(OSError):
            if _identity(self.path) == self._identity:
                os.unlink(self.path)


def _identity(path: Path) -> tuple[int, int, int]:
    """Of a file; numbers of inodes are used again at once."""
    status = os.lstat(path)
    return status.st_dev, status.st_ino, status.st_ctime_ns


def _remove_abandoned(path: Path) -> None:
    """Deletes a socket that its process left behind when it died."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise ConfigurationError(f"UNIX socket {path}: there is something else, which is not deleted")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            with contextlib.suppress(ConnectionRefusedError):
                probe.connect(os.fspath(path))
                raise ConfigurationError(
                    f"UNIX socket {path} is in use: give each datanode of a machine its own, with _PORT in its name"
                )
        os.unlink(path)


def connect_domain_socket(path: Path, timeout_s: float) -> BlockingStream:
    """Connects to a UNIX socket at a safe path.

    Raises:
        OSError: nobody listens there, or it may not be used. ConfigurationError: the path is not safe.
    """
    require_safe_path(path)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect(os.fspath(path))
        return BlockingStream(connection, read_timeout_s=timeout_s, write_timeout_s=timeout_s)
    except BaseException:
        connection.close()
        raise


def receive_descriptors(stream: BlockingStream, count: int) -> tuple[bytes, list[int]]:
    """The byte behind an answer and the descriptors that come with it; the caller closes them.

    Raises:
        ConnectionError: the connection broke. CallTimeout: nothing came in time.
        ProtocolError: other than `count` descriptors came, as from a process that has too many open.
    """
    try:
        data, fds, flags, _ = socket.recv_fds(stream.socket, 1, count, socket.MSG_CMSG_CLOEXEC)
    except BlockingIOError as error:
        raise CallTimeout(f"{stream.peer} passed nothing for {stream.read_timeout_s:g} s") from error
    stream.count(received=len(data))
    if len(data) == 1 and len(fds) == count and not flags & socket.MSG_CTRUNC:
        return data, fds
    for fd in fds:
        os.close(fd)
    if not data:
        raise ConnectionResetError(f"{stream.peer} ended the stream instead of passing descriptors")
    raise ProtocolError(f"{stream.peer} passed other than {count} descriptors")


def send_descriptors(stream: BlockingStream, fds: tuple[int, ...], data: bytes) -> None:
    """Passes descriptors with the one byte that carries them.

    Raises:
        ConnectionError: the connection broke. CallTimeout: the peer took nothing in time.
    """
    try:
        socket.send_fds(stream.socket, [data], fds, socket.MSG_NOSIGNAL)
    except BlockingIOError as error:
        raise CallTimeout(f"{stream.peer} took nothing for {stream.write_timeout_s:g} s") from error
    stream.count(sent=len(data))
