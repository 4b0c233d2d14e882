"""The audit log: who asked for what on which path, in the fields and the order that HDFS has.

Wire: observed of stock 3.3.6, operation by operation: the command's name, which failures are logged (mostly
those that were denied), and whose permission the line shows.
"""

from __future__ import annotations

import functools
import inspect
import stat
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from google.protobuf.message import Message

from seamlessfs.model.errors import AccessDenied, SeamlessError
from seamlessfs.model.principal import Principal
from seamlessfs.namenode.audit_file import AuditFile
from seamlessfs.namenode.core import Core
from seamlessfs.net.rpc_server import CallContext
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb

NULL = "null"
Path = Callable[[Any], str]


def _true(_: Any) -> bool:
    return True


def _if_done(answer: pb.SetReplicationResponseProto) -> bool | None:
    return True if answer.result else None


def _if_renamed(answer: bytes) -> bool | None:
    return True if pb.RenameResponseProto.FromString(answer).result else None


def _whether_deleted(answer: bytes) -> bool:
    return pb.DeleteResponseProto.FromString(answer).result


class Audited(NamedTuple):
    """How the calls of a method are logged.

    Attributes:
        command: its name in the log.
        source, target: paths of a request.
        shown: the path whose owner, group and mode are logged behind a call that went well. `before`: as it was.
        outcome: from the answer whether it went well; None: it is not logged.
        failures: errors that are logged, as calls that were not allowed.
    """

    command: str | Callable[[Any], str]
    source: Path | None = None
    target: Path | None = None
    shown: Path | None = None
    before: bool = False
    outcome: Callable[[Any], bool | None] = _true
    failures: tuple[type[SeamlessError], ...] = (AccessDenied,)


def _src(request: Any) -> str:
    return str(request.src)


def _dst(request: Any) -> str:
    return str(request.dst)


def _path(request: Any) -> str:
    return str(request.path)


def _rename2(request: Any) -> str:
    options = ["OVERWRITE"] * request.overwriteDest + ["TO_TRASH"] * request.moveToTrash
    return f"rename (options=[{', '.join(options) or 'NONE'}])"


def _safe_mode(request: Any) -> str:
    return pb.SafeModeActionProto.Name(request.action).lower()


def _rolling_upgrade(request: Any) -> str:
    return f"{pb.RollingUpgradeActionProto.Name(request.action).lower()}RollingUpgrade"


def _restored(request: Any) -> str:
    return f"{_RESTORED.get(request.arg, NULL)}RestoreFailedStorage"


_RESTORED = MappingProxyType({"check": "check", "true": "enable", "false": "disable"})


AUDITED: Mapping[str, Audited] = MappingProxyType(
    {
        "getBlockLocations": Audited("open", _src),
        "getFileInfo": Audited("getfileinfo", _src),
        "getFileLinkInfo": Audited("getfileinfo", _src),
        "getLocatedFileInfo": Audited("getfileinfo", _src),
        "getListing": Audited("listStatus", _src),
        "isFileClosed": Audited("isFileClosed", _src),
        "getContentSummary": Audited("contentSummary", _path),
        "getQuotaUsage": Audited("quotaUsage", _path),
        "checkAccess": Audited("checkAccess", _path),
        "getErasureCodingPolicy": Audited("getErasureCodingPolicy", _src, failures=(SeamlessError,)),
        "getEZForPath": Audited("getEZForPath", _src, shown=_src),
        "listEncryptionZones": Audited("listEncryptionZones", failures=()),
        "create": Audited("create", _src, shown=_src),
        "mkdirs": Audited("mkdirs", _src, shown=_src),
        "setPermission": Audited("setPermission", _src, shown=_src),
        "setOwner": Audited("setOwner", _src, shown=_src),
        "setTimes": Audited("setTimes", _src, shown=_src),
        "setStoragePolicy": Audited("setStoragePolicy", _src, shown=_src),
        "unsetStoragePolicy": Audited("unsetStoragePolicy", _src, shown=_src),
        "setReplication": Audited("setReplication", _src, outcome=_if_done),
        "rename": Audited("rename", _src, _dst, shown=_src, before=True, outcome=_if_renamed),
        "rename2": Audited(_rename2, _src, _dst, shown=_src, before=True),
        "delete": Audited("delete", _src, outcome=_whether_deleted),
        "setSafeMode": Audited(_safe_mode),
        "getDatanodeReport": Audited("datanodeReport"),
        "getDatanodeStorageReport": Audited("getDatanodeStorageReport"),
        "getSlowDatanodeReport": Audited("slowDataNodesReport"),
        "listOpenFiles": Audited("listOpenFiles", failures=()),
        "metaSave": Audited("metaSave"),
        "saveNamespace": Audited("saveNamespace"),
        "rollEdits": Audited("rollEditLog"),
        "refreshNodes": Audited("refreshNodes"),
        "setBalancerBandwidth": Audited("setBalancerBandwidth"),
        "finalizeUpgrade": Audited("finalizeUpgrade"),
        "rollingUpgrade": Audited(_rolling_upgrade, outcome=lambda _: None),
        "restoreFailedStorage": Audited(_restored),
        "refreshUserToGroupsMappings": Audited("refreshUserToGroupsMappings"),
        "refreshSuperUserGroupsConfiguration": Audited("refreshSuperUserGroupsConfiguration"),
        "refreshCallQueue": Audited("refreshCallQueue"),
        "listReconfigurableProperties": Audited("listNamenodeReconfigurableProperties"),
        "getReconfigurationStatus": Audited("getNamenodeReconfigurationStatus"),
    }
)
"""Methods that HDFS logs, as far as they are served here; it does not log the steps of a write behind `create`."""


def audited(core: Core, log: AuditFile, table: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The same handlers; those of `AUDITED` leave a line."""
    logged = {method: _Logged(core, log, method, table[method]) for method in AUDITED if method in table}
    return {**table, **{method: each.serve for method, each in logged.items()}}


class _Logged:
    """A handler with its line."""

    def __init__(self, core: Core, log: AuditFile, method: str, handler: Callable[..., Any]) -> None:
        self._core = core
        self._log = log
        self._how = AUDITED[method]
        self._handler = handler

    def serve(self, call: CallContext, request: Message) -> Any:
        if call.retry_count and self._is_repeated(call):
            return self._handler(call, request)
        how = self._how
        shown = self._permission(how.shown(request)) if how.before and how.shown else NULL
        try:
            answer = self._handler(call, request)
        except self._how.failures:
            self._write(False, call, request, NULL)
            raise
        if inspect.isawaitable(answer):
            return self._serve_later(call, request, answer, shown)
        self._done(call, request, answer, shown)
        return answer

    async def _serve_later(self, call: CallContext, request: Message, pending: Any, shown: str) -> Any:
        try:
            answer = await pending
        except self._how.failures:
            self._write(False, call, request, NULL)
            raise
        self._done(call, request, answer, shown)
        return answer

    def _is_repeated(self, call: CallContext) -> bool:
        """Whether the call is told again what its first try was told, which has been logged."""
        return self._core.namespace.retries.answer(self._core.view(), call.client_id, call.call_id) is not None

    def _done(self, call: CallContext, request: Message, answer: Any, shown: str) -> None:
        how = self._how
        outcome = how.outcome(answer)
        if outcome is None:
            return
        if how.shown is not None and not how.before:
            shown = self._permission(how.shown(request))
        self._write(outcome, call, request, shown)

    def _permission(self, path: str) -> str:
        """Owner, group and mode of what is at a path, `null` if there is nothing or the path is none."""
        try:
            status = self._core.namespace.get_file_info(self._core.view(), self._core.own_context(), path)
        except SeamlessError:
            return NULL
        if status is None:
            return NULL
        mode = stat.filemode(stat.S_IFREG | status.permission & 0o1777)[1:]
        return f"{escaped(status.owner)}:{escaped(status.group)}:{mode}"

    def _write(self, allowed: bool, call: CallContext, request: Message, shown: str) -> None:
        how = self._how
        command = how.command if isinstance(how.command, str) else how.command(request)
        source = NULL if how.source is None else escaped(how.source(request))
        target = NULL if how.target is None else escaped(how.target(request))
        who = ugi(call.principal.user, call.principal.real_user)
        self._log.write(_line(allowed, who, call.peer[0], command, source, target, shown, "rpc"))


def audit_check(log: AuditFile, principal: Principal, address: str, path: str, blocks: Sequence[str]) -> None:
    """A line for a run of `fsck`, on a path or on blocks. Wire: observed of stock 3.3.6, where everybody is allowed."""
    source = escaped(f"blocksIds=[{', '.join(blocks)}]" if blocks else path)
    log.write(_line(True, ugi(principal.user, None), address, "fsck", source, NULL, NULL, NULL))


def _line(allowed: bool, who: str, ip: str, command: str, source: str, target: str, shown: str, protocol: str) -> str:
    return (
        f"allowed={'true' if allowed else 'false'}\tugi={who}\tip=/{ip}\tcmd={command}\tsrc={source}\tdst={target}"
        f"\tperm={shown}\tproto={protocol}"
    )


@functools.lru_cache(maxsize=4096)
def ugi(user: str, real_user: str | None) -> str:
    """A user as Hadoop names one, with who acts for it."""
    if real_user is None:
        return f"{escaped(user)} (auth:SIMPLE)"
    return f"{escaped(user)} (auth:PROXY) via {escaped(real_user)} (auth:SIMPLE)"


_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def escaped(text: str) -> str:
    """As Java's source would have it: no name makes a field or a line of its own."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(_ESCAPES.get(character) or _unit(character) for character in text)


def _unit(character: str) -> str:
    if " " <= character <= "\x7f":
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex().upper()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
