"""The registry of placement policies, and which policy a path has."""

from __future__ import annotations

from functools import lru_cache

from seamlessfs.model.errors import CorruptStore, IllegalArgument
from seamlessfs.model.ids import PolicyId
from seamlessfs.model.policy import HDFS_POLICIES, IDC_2_2_SYNC, PlacementPolicy
from seamlessfs.namespace.tree import Resolved
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView
from seamlessfs.store.policy_record import decode_policy
from seamlessfs.store.records import Directory

_decode = lru_cache(maxsize=256)(decode_policy)
"""Every create reads its policy. The same bytes are the same policy, so nothing here can be stale."""


def policies(view: ReadView) -> list[PlacementPolicy]:
    """All policies of the cluster, by id."""
    return [decode_policy(value) for _, value in view.scan(*keys.all_policies())]


def policy(view: ReadView, policy_id: PolicyId) -> PlacementPolicy:
    """One policy.

    Raises:
        CorruptStore: an inode carries the id of a policy that the registry does not have.
    """
    value = view.get(keys.policy(policy_id))
    if value is None:
        raise CorruptStore(f"Placement policy {policy_id} is not in the registry")
    return _decode(value)


def named(view: ReadView, name: str) -> PlacementPolicy | PolicyId:
    """The policy of that name (letters of either case), or the id of one of HDFS's own.

    Raises:
        IllegalArgument: there is none.
    """
    wanted = name.upper()
    if wanted in HDFS_POLICIES:
        return HDFS_POLICIES[wanted]
    for candidate in policies(view):
        if candidate.name.upper() == wanted:
            return candidate
    raise IllegalArgument(f"Cannot find a block policy with the name {name}")


def inherited(at: Resolved) -> PolicyId:
    """The policy of the nearest directory on the path that has one."""
    for node in reversed(at.nodes):
        if isinstance(node, Directory) and node.policy_id:
            return node.policy_id
    return IDC_2_2_SYNC.id
