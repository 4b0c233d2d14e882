"""Our errors and Java's class names: a bijection, with aliases for classes that only stock servers send.

Java clients rebuild an exception from its class name by reflection, so the names are the exact binary ones, `$`
for nested classes. A class that is not known here stays readable as a `RemoteIOError` that carries its name; an error
that Java has no class for goes out as java.io.IOException.
"""

from __future__ import annotations

from types import MappingProxyType

from seamlessfs.model import errors
from seamlessfs.model.errors import SeamlessError
from seamlessfs.wire.pb.hadoop.rpc_pb2 import RpcResponseHeaderProto

ErrorCode = RpcResponseHeaderProto.RpcErrorCodeProto

IO_EXCEPTION = "java.io.IOException"

CLASS_NAMES: MappingProxyType[type[SeamlessError], str] = MappingProxyType(
    {
        errors.FileNotFound: "java.io.FileNotFoundException",
        errors.FileAlreadyExists: "org.apache.hadoop.fs.FileAlreadyExistsException",
        errors.ParentNotDirectory: "org.apache.hadoop.fs.ParentNotDirectoryException",
        errors.ListingStartNotFound: "org.apache.hadoop.fs.DirectoryListingStartAfterNotFoundException",
        errors.DirectoryNotEmpty: "org.apache.hadoop.fs.PathIsNotEmptyDirectoryException",
        errors.InvalidPath: "org.apache.hadoop.fs.InvalidPathException",
        errors.IllegalArgument: "org.apache.hadoop.HadoopIllegalArgumentException",
        errors.InvalidArgument: "java.lang.IllegalArgumentException",
        errors.AccessDenied: "org.apache.hadoop.security.AccessControlException",
        errors.ImpersonationDenied: "org.apache.hadoop.security.authorize.AuthorizationException",
        errors.AlreadyBeingCreated: "org.apache.hadoop.hdfs.protocol.AlreadyBeingCreatedException",
        errors.RecoveryInProgress: "org.apache.hadoop.hdfs.protocol.RecoveryInProgressException",
        errors.LeaseExpired: "org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException",
        errors.NotReplicatedYet: "org.apache.hadoop.hdfs.server.namenode.NotReplicatedYetException",
        errors.SafeMode: "org.apache.hadoop.hdfs.server.namenode.SafeModeException",
        errors.QuotaExceeded: "org.apache.hadoop.hdfs.protocol.QuotaExceededException",
        errors.NamespaceQuotaExceeded: "org.apache.hadoop.hdfs.protocol.NSQuotaExceededException",
        errors.SpaceQuotaExceeded: "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException",
        errors.NameTooLong: "org.apache.hadoop.hdfs.protocol.FSLimitException$PathComponentTooLongException",
        errors.DirectoryTooLarge: "org.apache.hadoop.hdfs.protocol.FSLimitException$MaxDirectoryItemsExceededException",
        errors.UnsupportedOperation: "java.lang.UnsupportedOperationException",
        errors.UnsupportedAction: "org.apache.hadoop.hdfs.server.namenode.UnsupportedActionException",
        errors.UnresolvedPath: "org.apache.hadoop.hdfs.protocol.UnresolvedPathException",
        errors.UnregisteredNode: "org.apache.hadoop.hdfs.protocol.UnregisteredNodeException",
        errors.ReplicaNotFound: "org.apache.hadoop.hdfs.server.datanode.ReplicaNotFoundException",
        errors.NoLiveReplica: "org.apache.hadoop.hdfs.BlockMissingException",
        errors.ChecksumMismatch: "org.apache.hadoop.fs.ChecksumException",
        errors.StandbyServer: "org.apache.hadoop.ipc.StandbyException",
        errors.Retriable: "org.apache.hadoop.ipc.RetriableException",
        errors.NamenodeUnreachable: "java.net.ConnectException",
        errors.CallTimeout: "java.net.SocketTimeoutException",
        errors.ProtocolError: "java.net.ProtocolException",
        errors.RpcError: "org.apache.hadoop.ipc.RpcException",
        errors.NoSuchMethod: "org.apache.hadoop.ipc.RpcNoSuchMethodException",
        errors.NoSuchProtocol: "org.apache.hadoop.ipc.RpcNoSuchProtocolException",
        errors.RpcVersionMismatch: "org.apache.hadoop.ipc.RPC$VersionMismatch",
        errors.RpcServerError: "org.apache.hadoop.ipc.RpcServerException",
        errors.IpcError: "org.apache.hadoop.ipc.IpcException",
        errors.BadRequestBody: "org.apache.hadoop.thirdparty.protobuf.InvalidProtocolBufferException",
    }
)

SENT_AS: MappingProxyType[type[SeamlessError], str] = MappingProxyType(
    {
        errors.NotEnoughDatanodes: IO_EXCEPTION,
        errors.CorruptStore: IO_EXCEPTION,
        errors.ConfigurationError: IO_EXCEPTION,
        errors.RegistrationRefused: IO_EXCEPTION,
        errors.Fenced: CLASS_NAMES[errors.StandbyServer],
    }
)
"""Errors that share another one's class on the wire: a client does the same about them."""

ALIASES: MappingProxyType[str, type[SeamlessError]] = MappingProxyType(
    {
        "com.google.protobuf.InvalidProtocolBufferException": errors.BadRequestBody,
        "javax.security.sasl.SaslException": errors.AccessDenied,
        "org.apache.hadoop.security.token.SecretManager$InvalidToken": errors.AccessDenied,
        "org.apache.hadoop.hdfs.protocol.SnapshotAccessControlException": errors.AccessDenied,
        "org.apache.hadoop.hdfs.protocol.QuotaByStorageTypeExceededException": errors.SpaceQuotaExceeded,
        "org.apache.hadoop.ipc.ObserverRetryOnActiveException": errors.StandbyServer,
    }
)
"""Further classes that stock servers send, read as the nearest of ours."""

_BY_NAME: MappingProxyType[str, type[SeamlessError]] = MappingProxyType(
    {**{name: kind for kind, name in CLASS_NAMES.items()}, **ALIASES}
)

_CODES: MappingProxyType[type[SeamlessError], ErrorCode] = MappingProxyType(
    {
        errors.NoSuchMethod: RpcResponseHeaderProto.ERROR_NO_SUCH_METHOD,
        errors.NoSuchProtocol: RpcResponseHeaderProto.ERROR_NO_SUCH_PROTOCOL,
        errors.RpcServerError: RpcResponseHeaderProto.ERROR_RPC_SERVER,
        errors.RpcVersionMismatch: RpcResponseHeaderProto.ERROR_RPC_VERSION_MISMATCH,
    }
)


def error_for(class_name: str, message: str) -> SeamlessError:
    """The error that a server's answer stands for; Java's stack lines behind the message are cut."""
    text = message.split("\n\tat ", 1)[0]
    kind = _BY_NAME.get(class_name)
    if kind is None:
        return errors.RemoteIOError(text, class_name or IO_EXCEPTION)
    return kind(text)


def class_name_for(error: BaseException) -> str:
    """Java's class for an error: its own, or that of its nearest base that has one."""
    if isinstance(error, errors.RemoteIOError):
        return error.class_name
    for kind in type(error).__mro__:
        name = CLASS_NAMES.get(kind) or SENT_AS.get(kind)
        if name is not None:
            return name
    return IO_EXCEPTION


def message_for(error: BaseException) -> str:
    """Text to send: the error's own, or, for one that is not of our tree, its class and text."""
    if isinstance(error, SeamlessError):
        return error.message
    return f"{type(error).__name__}: {error}"


def code_for(error: BaseException) -> ErrorCode:
    """What the response header says beside the class: whether the RPC layer or the application refused."""
    for kind in type(error).__mro__:
        code = _CODES.get(kind)
        if code is not None:
            return code
    return RpcResponseHeaderProto.ERROR_APPLICATION
