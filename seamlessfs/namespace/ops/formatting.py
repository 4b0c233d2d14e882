"""The first write set of a cluster: its identity, its policies, the root and /tmp."""

from __future__ import annotations

from seamlessfs.model.errors import CorruptStore, IllegalArgument
from seamlessfs.model.ids import FIRST_BLOCK_ID, FIRST_GENERATION_STAMP, ROOT_INODE_ID, GenerationStamp, InodeId
from seamlessfs.model.policy import BUILT_IN_POLICIES, IDC_2_2_SYNC, IDC_LOCAL_2
from seamlessfs.namespace import block_rows, counters, tree
from seamlessfs.namespace.context import Context
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.policy_record import encode_policy
from seamlessfs.store.records import (
    ClusterIdentity,
    Counters,
    Directory,
    Totals,
    decode_identity,
    encode_identity,
)

_ROOT_MODE = 0o755
_TMP_MODE = 0o1777


def write_first(tx: Transaction, ctx: Context, cluster: ClusterIdentity) -> None:
    """Writes an empty namespace. The root follows IDC_2_2_SYNC, /tmp IDC_LOCAL_2.

    Raises:
        IllegalArgument: there is a namespace already.
    """
    if tx.get(keys.IDENTITY) is not None or tx.get(keys.ROOT) is not None:
        raise IllegalArgument("The store holds a namespace already: format only an empty one")
    tx.put(keys.IDENTITY, encode_identity(cluster, tx.txid))
    for policy in BUILT_IN_POLICIES:
        tx.put(keys.policy(policy.id), encode_policy(policy, tx.txid))
    tmp_id = InodeId(ROOT_INODE_ID + 1)
    user, group = ctx.caller.user, ctx.limits.supergroup
    root = Directory(
        ROOT_INODE_ID,
        _ROOT_MODE,
        user,
        group,
        ctx.now_ms,
        policy_id=IDC_2_2_SYNC.id,
        totals=Totals(directories=1),
        children=1,
    )
    tmp = Directory(tmp_id, _TMP_MODE, user, group, ctx.now_ms, policy_id=IDC_LOCAL_2.id)
    tree.add(tx, keys.NO_PARENT, b"", root)
    tree.add(tx, ROOT_INODE_ID, b"tmp", tmp)
    block_rows.write_count(tx, 0)
    counters.write(tx, Counters(tmp_id, FIRST_BLOCK_ID, GenerationStamp(FIRST_GENERATION_STAMP - 1), 0))


def identity(view: ReadView) -> ClusterIdentity | None:
    """Who the cluster is; None for a store that was never formatted.

    Raises:
        CorruptStore: there is a namespace without an identity.
    """
    value = view.get(keys.IDENTITY)
    if value is not None:
        return decode_identity(value)
    if view.get(keys.ROOT) is not None:
        raise CorruptStore("The store holds a root directory and no cluster identity")
    return None
