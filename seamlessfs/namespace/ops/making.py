"""mkdirs and create: what brings new inodes into the tree."""

from __future__ import annotations

from dataclasses import dataclass

from seamlessfs.model.errors import (
    CorruptStore,
    FileAlreadyExists,
    FileNotFound,
    IllegalArgument,
    InvalidArgument,
    InvalidPath,
    RemoteIOError,
)
from seamlessfs.model.ids import PolicyId
from seamlessfs.model.path import INODES, RESERVED, join, split
from seamlessfs.model.policy import PlacementPolicy
from seamlessfs.model.status import FileStatus
from seamlessfs.namespace import access, counters, registry, totals, tree
from seamlessfs.namespace.answers import status_of
from seamlessfs.namespace.context import Context
from seamlessfs.namespace.leases import RECOVERY_HOLDER
from seamlessfs.namespace.ops import recovering
from seamlessfs.namespace.state import State
from seamlessfs.namespace.tree import Resolved
from seamlessfs.security.permissions import Access
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.records import NAME_BYTES_MAX, Directory, File, Inode, Totals, encode_lease

MODE_MASK = 0o1777
BLOCK_BYTES_MAX = (1 << 48) - 1
"""HDFS keeps a block size in 48 bits."""
BLOCK_BYTES_MIN = 1
"""What HDFS takes a block size of 0 for."""

_IMPLICIT_MODE = 0o300


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """What a client asks of create.

    Attributes:
        may_create: whether a file that does not exist may be made.
        replication: counts only under a policy that leaves it to the client.
    """

    path: str
    permission: int
    client_name: str
    client_machine: str
    overwrite: bool
    create_parent: bool
    replication: int
    block_size: int
    storage_policy: str | None = None
    may_create: bool = True


def mkdirs(tx: Transaction, ctx: Context, path: str, permission: int, create_parent: bool) -> bool:
    """Makes a directory; one that is there already is fine.

    Raises:
        FileAlreadyExists: the path is a file. ParentNotDirectory: a file is on the way. FileNotFound: the parent is
            missing and may not be created. AccessDenied, NameTooLong, IllegalArgument, InvalidPath.
    """
    access.may_be_made(path, "mkdirs")
    at = tree.resolve(tx, path)
    access.traverse(ctx, at, creating=True)
    if at.last is not None:
        if not at.last.is_directory:
            raise FileAlreadyExists(f"Path is not a directory: {path}")
        return True
    access.ancestor(ctx, at, Access.WRITE)
    if not create_parent:
        access.parent_exists(at)
    access.new_names(ctx, at)
    _require_room(tx, ctx, at)
    parent = _make_directories(tx, ctx, at, permission & 0o777 | _IMPLICIT_MODE)
    directory = _new_directory(tx, ctx, parent, permission & MODE_MASK)
    _link(tx, ctx, parent, at.names[-1], directory, Totals(directories=1))
    return True


def create(state: State, tx: Transaction, ctx: Context, request: CreateRequest) -> FileStatus:
    """Opens a new file for writing, in place of an old one if the client says so.

    The file is stamped with the policy of its nearest directory and with that policy's number of replicas.

    Raises:
        FileAlreadyExists: there is a directory, or a file that may not be overwritten. AlreadyBeingCreated: somebody
            has that file open. RecoveryInProgress: somebody had it open and fell silent. IllegalArgument: the policy
            is unknown or a name is too long. RemoteIOError: block size or replication out of bounds.
    """
    at = _resolve_for_create(tx, ctx, request)
    if not ctx.limits.block_bytes_min <= request.block_size or request.block_size < 0:
        raise RemoteIOError(
            "Specified block size is less than configured minimum value (dfs.namenode.fs-limits.min-block-size): "
            f"{request.block_size} < {ctx.limits.block_bytes_min}"
        )
    check_replication(ctx, f"{request.path}, clientName={request.client_machine}", request.replication)
    policy = _policy_for(tx, at, request)
    existing = at.last
    if existing is not None and not request.overwrite:
        recovering.refuse_if_open(state, tx, ctx, at, "CREATE_FILE", request.client_name, request.client_machine)
        raise FileAlreadyExists(f"{at.path} for client {request.client_machine} already exists")
    access.new_directories(ctx, at)
    if request.block_size > BLOCK_BYTES_MAX:
        raise InvalidArgument(f"Block size {request.block_size} for {at.path}: at most {BLOCK_BYTES_MAX} is possible")
    access.new_names(ctx, at)
    parent_node = at.nodes[len(at.names) - 1] if existing is not None else at.nodes[-1]
    if existing is None:
        _require_room(tx, ctx, at)
    if isinstance(existing, File):
        _remove_overwritten(tx, parent_node, at, existing)
        parent = parent_node
    else:
        parent = _make_directories(tx, ctx, at, parent_node.mode & 0o777 | _IMPLICIT_MODE)
    file = File(
        id=counters.next_inode(tx),
        mode=request.permission & MODE_MASK,
        owner=ctx.caller.user,
        group=parent.group,
        modified_at_ms=ctx.now_ms,
        accessed_at_ms=ctx.now_ms,
        policy_id=policy.id,
        hdfs_policy_id=PolicyId(0),
        replication=policy.replication or request.replication,
        block_size=max(request.block_size, BLOCK_BYTES_MIN),
        holder=request.client_name,
        machine=request.client_machine,
    )
    _link(tx, ctx, parent, at.names[-1], file, Totals(files=1))
    tx.put(keys.lease(request.client_name, file.id), encode_lease(tx.txid))
    state.leases.grant(request.client_name, ctx.steady_ms)
    return status_of(file, b"", policy.id)


def _resolve_for_create(tx: Transaction, ctx: Context, request: CreateRequest) -> Resolved:
    """Everything about the path that can refuse a create."""
    access.may_be_made(request.path, "create")
    names = split(request.path)
    if names and names[0] == RESERVED and (len(names) < 2 or names[1] not in (INODES, tree.RAW)):
        raise InvalidPath(f"Invalid path name {request.path}")
    for what, text, limit in (
        ("Client name", request.client_name, keys.HOLDER_BYTES_MAX),
        ("Client machine", request.client_machine, NAME_BYTES_MAX),
    ):
        if len(text.encode()) > limit or "\0" in text:
            raise IllegalArgument(f"{what} of {len(text)} characters: {limit} bytes without NUL are allowed")
    if request.client_name == RECOVERY_HOLDER:
        raise IllegalArgument(f"Failed to create {request.path}: {request.client_name!r} cannot be a client's name")
    at = tree.resolve(tx, request.path)
    access.traverse(ctx, at, creating=True)
    access.ancestor(ctx, at, Access.WRITE)
    if at.last is None:
        if not request.create_parent:
            access.parent_exists(at)
        if not request.may_create:
            raise FileNotFound(f"Can't overwrite non-existent {request.path}")
    elif at.last.is_directory:
        raise FileAlreadyExists(f"{at.path} already exists as a directory")
    elif request.overwrite:
        access.path(ctx, at, Access.WRITE)
    return at


def _policy_for(view: ReadView, at: Resolved, request: CreateRequest) -> PlacementPolicy:
    if request.storage_policy:
        chosen = registry.named(view, request.storage_policy)
        if isinstance(chosen, PlacementPolicy):
            return chosen
    return registry.policy(view, registry.inherited(at))


def check_replication(ctx: Context, asker: str, replication: int) -> None:
    """What a client asks for is within HDFS's bounds, also where a policy decides.

    Raises:
        RemoteIOError: it is not.
    """
    limits = ctx.limits
    if limits.replication_min <= replication <= limits.replication_max:
        return
    bound = (
        f" exceeds maximum of {limits.replication_max}"
        if replication > limits.replication_max
        else f" is less than the required minimum of {limits.replication_min}"
    )
    raise RemoteIOError(f"Requested replication factor of {replication}{bound} for {asker}")


def _require_room(tx: Transaction, ctx: Context, at: Resolved) -> None:
    deepest = join(at.names[: len(at.nodes) - 1])
    totals.require_room(tx, at.nodes[-1], deepest, ctx.limits.directory_entries_max)


def _remove_overwritten(tx: Transaction, parent: Inode, at: Resolved, file: File) -> None:
    gone = totals.totals_of(tx, file).negated()
    tree.unlink(tx, parent.id, at.names[-1], file)
    totals.gather(tx, parent.id, gone, children=-1)


def _make_directories(tx: Transaction, ctx: Context, at: Resolved, mode: int) -> Inode:
    """Makes what is missing above the last name; returns the directory that is to hold it."""
    parent = at.nodes[-1]
    for i in range(len(at.nodes) - 1, len(at.names) - 1):
        directory = _new_directory(tx, ctx, parent, mode & MODE_MASK)
        _link(tx, ctx, parent, at.names[i], directory, Totals(directories=1))
        parent = directory
    return parent


def _new_directory(tx: Transaction, ctx: Context, parent: Inode, mode: int) -> Directory:
    return Directory(counters.next_inode(tx), mode, ctx.caller.user, parent.group, ctx.now_ms)


def _link(tx: Transaction, ctx: Context, parent: Inode, name: bytes, record: Inode, added: Totals) -> None:
    if not parent.is_directory:
        raise CorruptStore(f"Inode {parent.id} is a file and cannot hold {name!r}")
    tree.add(tx, parent.id, name, record)
    totals.gather(tx, parent.id, added, children=1, modified_at_ms=ctx.now_ms)
