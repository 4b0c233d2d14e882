"""Everything that can go wrong, as one tree.

Errors about files have Python's built-in errors as second bases, so that programs and fsspec catch what they
know. `seamlessfs.wire.rpc.exceptions` maps the tree to Java class names and back; nobody matches on text.
"""

from __future__ import annotations

import errno as _errno


class SeamlessError(Exception):
    """Root of the tree. `retriable`: the same call may succeed later, on the same or another server."""

    retriable: bool = False

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class FilesystemError(SeamlessError, OSError):
    """An error of a file operation: also an OSError with an errno."""

    ERRNO: int = _errno.EIO

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.errno = self.ERRNO
        self.strerror = message


class FileNotFound(FilesystemError, FileNotFoundError):
    ERRNO = _errno.ENOENT


class FileAlreadyExists(FilesystemError, FileExistsError):
    ERRNO = _errno.EEXIST


class ParentNotDirectory(FilesystemError, NotADirectoryError):
    ERRNO = _errno.ENOTDIR


class ListingStartNotFound(FilesystemError):
    """Hadoop's DirectoryListingStartAfterNotFoundException: a page is to follow an inode that is not there."""

    ERRNO = _errno.ENOENT


class DirectoryNotEmpty(FilesystemError):
    ERRNO = _errno.ENOTEMPTY


class InvalidPath(FilesystemError, ValueError):
    ERRNO = _errno.EINVAL


class IllegalArgument(FilesystemError, ValueError):
    ERRNO = _errno.EINVAL


class InvalidArgument(IllegalArgument):
    """Java's own IllegalArgumentException, of which Hadoop's is a kind there."""


class AccessDenied(FilesystemError, PermissionError):
    """Hadoop's AccessControlException."""

    ERRNO = _errno.EACCES


class ImpersonationDenied(AccessDenied):
    """Hadoop's AuthorizationException."""


class AlreadyBeingCreated(FilesystemError):
    ERRNO = _errno.EBUSY


class RecoveryInProgress(FilesystemError):
    ERRNO = _errno.EBUSY
    retriable = True


class LeaseExpired(FilesystemError):
    ERRNO = _errno.ESTALE


class NotReplicatedYet(FilesystemError):
    ERRNO = _errno.EAGAIN
    retriable = True


class SafeMode(FilesystemError):
    ERRNO = _errno.EROFS
    retriable = True


class QuotaExceeded(FilesystemError):
    ERRNO = _errno.EDQUOT


class NamespaceQuotaExceeded(QuotaExceeded):
    pass


class SpaceQuotaExceeded(QuotaExceeded):
    pass


class NameTooLong(FilesystemError):
    """Hadoop's PathComponentTooLongException."""

    ERRNO = _errno.ENAMETOOLONG


class DirectoryTooLarge(FilesystemError):
    """Hadoop's MaxDirectoryItemsExceededException."""

    ERRNO = _errno.ENOSPC


class UnsupportedOperation(FilesystemError, NotImplementedError):
    ERRNO = _errno.EOPNOTSUPP


class UnsupportedAction(UnsupportedOperation):
    """Hadoop's UnsupportedActionException: the namenode does not do this, or not now."""


class UnresolvedPath(FilesystemError):
    """A symbolic link was met."""

    ERRNO = _errno.ELOOP


class UnregisteredNode(FilesystemError):
    pass


class RemoteIOError(FilesystemError):
    """java.io.IOException, and what no narrower class covers. `class_name` is the sender's class."""

    def __init__(self, message: str = "", class_name: str = "java.io.IOException") -> None:
        super().__init__(message)
        self.class_name = class_name


class ReplicaNotFound(FilesystemError):
    ERRNO = _errno.ENOENT


class NoLiveReplica(FilesystemError):
    """No datanode could serve a block; the message names the block, the file and each datanode's failure."""


class ChecksumMismatch(FilesystemError):
    """Data differs from its checksum. Never retried silently on the same replica."""


class NotEnoughDatanodes(FilesystemError):
    """No pipeline could be made: java.io.IOException on the wire."""

    ERRNO = _errno.ENOSPC


class StandbyServer(SeamlessError):
    """The server is not the active one; another may be."""

    retriable = True


class Retriable(SeamlessError):
    """The server asks to come back later."""

    retriable = True


class NamenodeUnreachable(SeamlessError, ConnectionError):
    """No namenode answered; the message names each address and why."""

    retriable = True


class CallTimeout(SeamlessError, TimeoutError):
    retriable = True


class ProtocolError(SeamlessError):
    """A peer broke the protocol: the connection is closed."""


class RpcError(SeamlessError):
    """An RPC that the server could not take: unknown method, protocol, version, header."""


class NoSuchMethod(RpcError, NotImplementedError):
    pass


class NoSuchProtocol(RpcError):
    pass


class RpcVersionMismatch(RpcError):
    pass


class RpcServerError(RpcError):
    """org.apache.hadoop.ipc.RpcServerException: a header that the server refused."""


class IpcError(RpcError):
    """org.apache.hadoop.ipc.IpcException."""


class BadRequestBody(RpcError):
    """The body of a request is not the message that the method takes."""


class ConfigurationError(SeamlessError, ValueError):
    """A setting is unknown, out of range or missing; the message names it and what is allowed."""


class CorruptStore(SeamlessError):
    """What is on disk cannot be what was written there; a person must act."""


class Fenced(SeamlessError):
    """The journal refused a batch: another namenode has taken over."""


class RegistrationRefused(SeamlessError):
    """A datanode was refused: wrong secret, other cluster, unknown place."""
