"""Mode, owner, times, replication, and the storage policy of one inode."""

from __future__ import annotations

from seamlessfs.model.errors import AccessDenied, FileNotFound, IllegalArgument, UnsupportedOperation
from seamlessfs.model.ids import InodeId, PolicyId
from seamlessfs.model.policy import IDC_2_2_SYNC, PlacementPolicy
from seamlessfs.namespace import access, registry, totals, tree
from seamlessfs.namespace.context import Context
from seamlessfs.namespace.ops.making import MODE_MASK, check_replication
from seamlessfs.namespace.tree import Resolved
from seamlessfs.security.permissions import Access
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.records import NAME_BYTES_MAX, Directory, File, Inode, Totals

TIME_MS_MAX = (1 << 63) - 1


def set_permission(tx: Transaction, ctx: Context, path: str, permission: int) -> None:
    """Raises FileNotFound, or AccessDenied when the caller does not own it."""
    access.not_reserved(path)
    at = _resolve(tx, ctx, path)
    access.owner(ctx, at)
    _put(tx, at, mode=permission & MODE_MASK)


def set_owner(tx: Transaction, ctx: Context, path: str, owner: str | None, group: str | None) -> None:
    """None leaves what is there; as in HDFS, an empty name is a name.

    Only a superuser gives files away; an owner may choose among its groups.

    Raises:
        FileNotFound. AccessDenied. IllegalArgument: a name is too long.
    """
    access.not_reserved(path)
    at = _resolve(tx, ctx, path)
    access.owner(ctx, at)
    record = at.last
    if record is None:
        raise FileNotFound(f"Directory/File does not exist {at.path}")
    if not ctx.privileged:
        if owner is not None and owner != ctx.caller.user:
            raise AccessDenied(f"User {ctx.caller.user} is not a super user (non-super user cannot change owner).")
        if group is not None and group not in ctx.caller.groups:
            raise AccessDenied(f"User {ctx.caller.user} does not belong to {group}")
    for name in (owner or "", group or ""):
        if len(name.encode()) > NAME_BYTES_MAX:
            raise IllegalArgument(f"Name of {len(name)} characters for {at.path}: {NAME_BYTES_MAX} bytes are allowed")
    _put(tx, at, owner=record.owner if owner is None else owner, group=record.group if group is None else group)


def set_times(tx: Transaction, ctx: Context, path: str, modified_at_ms: int, accessed_at_ms: int) -> None:
    """A negative time leaves what is there."""
    at = _resolve(tx, ctx, path)
    access.path(ctx, at, Access.WRITE)
    if at.last is None:
        raise FileNotFound(f"File/Directory {at.path} does not exist.")
    if max(modified_at_ms, accessed_at_ms) > TIME_MS_MAX:
        raise IllegalArgument(f"Time of {at.path} is out of range: at most {TIME_MS_MAX} milliseconds")
    if at.last.is_directory:
        totals.settle(tx)
    settled = _settled(tx, at)
    _put(
        tx,
        at,
        modified_at_ms=modified_at_ms if modified_at_ms >= 0 else settled.modified_at_ms,
        accessed_at_ms=accessed_at_ms if accessed_at_ms >= 0 else settled.accessed_at_ms,
    )


def record_access(tx: Transaction, ctx: Context, inode_id: InodeId) -> None:
    """A read moved the file's access time. Nothing happens if the file is gone."""
    record = tree.inode_by_id(tx, inode_id)
    if isinstance(record, File) and record.accessed_at_ms < ctx.now_ms:
        tree.replace(tx, record._replace(accessed_at_ms=ctx.now_ms))


def set_replication(tx: Transaction, ctx: Context, path: str, replication: int) -> bool:
    """Changes a file's number of replicas, where its policy leaves that to the client.

    Returns:
        False: nothing there, a directory, or the policy wants another number; nothing is changed.
    """
    check_replication(ctx, path, replication)
    at = _resolve(tx, ctx, path)
    access.path(ctx, at, Access.WRITE)
    if not isinstance(at.last, File):
        return False
    wanted = registry.policy(tx, at.last.policy_id).replication
    if wanted:
        return replication == wanted
    _replicate(tx, at, at.last, replication)
    return True


def set_storage_policy(tx: Transaction, ctx: Context, path: str, name: str) -> None:
    """Gives a path a placement policy, or one of HDFS's own, which stands beside it and moves nothing between IDCs.

    Files below a directory keep the stamp they were created with. A file itself is stamped anew.

    Raises:
        IllegalArgument: no policy has that name. FileNotFound. AccessDenied. UnsupportedOperation: a file with
            blocks would need replicas in other IDCs than it was written for.
    """
    policy = registry.named(tx, name)
    at = _resolve(tx, ctx, path)
    access.path(ctx, at, Access.WRITE)
    record = _existing(at)
    if not isinstance(policy, PlacementPolicy):
        _put(tx, at, hdfs_policy_id=policy)
    elif isinstance(record, Directory):
        _put(tx, at, policy_id=policy.id)
    else:
        _restamp(tx, at, record, policy)


def unset_storage_policy(tx: Transaction, ctx: Context, path: str) -> None:
    """A directory inherits its policy again; the root goes back to the cluster's default; a file keeps its stamp."""
    at = _resolve(tx, ctx, path)
    access.path(ctx, at, Access.WRITE)
    record = _existing(at)
    if isinstance(record, File):
        _put(tx, at, hdfs_policy_id=PolicyId(0))
    else:
        default = IDC_2_2_SYNC.id if at.is_root else PolicyId(0)
        _put(tx, at, policy_id=default, hdfs_policy_id=PolicyId(0))


def _restamp(tx: Transaction, at: Resolved, file: File, policy: PlacementPolicy) -> None:
    before = registry.policy(tx, file.policy_id)
    same_places = (before.home_replicas, before.peer_replicas, before.home, before.peer) == (
        policy.home_replicas,
        policy.peer_replicas,
        policy.home,
        policy.peer,
    )
    if file.blocks and not same_places:
        raise UnsupportedOperation(
            f"{at.path} was written under {before.name} and {policy.name} wants its replicas elsewhere: "
            "set the policy on its directory and write the file again"
        )
    stamped = file._replace(policy_id=policy.id)
    tree.replace(tx, stamped)
    if policy.replication:
        _replicate(tx, at, stamped, policy.replication)


def _replicate(tx: Transaction, at: Resolved, file: File, replication: int) -> None:
    if replication == file.replication:
        return
    changed = file._replace(replication=replication)
    before, after = totals.totals_of(tx, file), totals.totals_of(tx, changed)
    tree.replace(tx, changed)
    pointer = tx.get(keys.inode(file.id))
    if pointer is not None:
        directory, _ = keys.read_pointer(pointer)
        totals.gather(tx, directory, Totals(space=after.space - before.space))


def _resolve(view: ReadView, ctx: Context, path: str) -> Resolved:
    at = tree.resolve(view, path)
    access.traverse(ctx, at)
    return at


def _existing(at: Resolved) -> Inode:
    if at.last is None:
        raise FileNotFound(f"File/Directory does not exist: {at.path}")
    return at.last


def _settled(view: ReadView, at: Resolved) -> Inode:
    return tree.walk(view, at.names).nodes[-1]


def _put(tx: Transaction, at: Resolved, **changes: object) -> None:
    record = _settled(tx, at)
    tree.replace(tx, record._replace(**changes))  # type: ignore[arg-type]
