"""A placement policy as a record of the store.

Shape: `version << 4 | kind`, the txid as u64, then the fields by name as JSON, so that a policy written by a newer
version with more fields is told apart by its version byte alone.
"""

from __future__ import annotations

import json
import struct

from seamlessfs.model.errors import CorruptStore
from seamlessfs.model.ids import PolicyId, Txid
from seamlessfs.model.policy import PlacementPolicy, Shortage, WriteMode

_TAG = 0x19
_HEAD = struct.Struct(">BQ")


def encode_policy(policy: PlacementPolicy, txid: Txid) -> bytes:
    fields = {
        "id": policy.id,
        "name": policy.name,
        "write_mode": policy.write_mode.value,
        "home_replicas": policy.home_replicas,
        "peer_replicas": policy.peer_replicas,
        "home": policy.home,
        "peer": policy.peer,
        "sync_min_per_idc": policy.sync_min_per_idc,
        "ack_local_min": policy.ack_local_min,
        "rpo_seconds": policy.rpo_seconds,
        "on_remote_shortage": policy.on_remote_shortage.value,
        "on_local_shortage": policy.on_local_shortage.value,
    }
    return _HEAD.pack(_TAG, txid) + json.dumps(fields, separators=(",", ":")).encode()


def decode_policy(value: bytes) -> PlacementPolicy:
    """Reads a policy.

    Raises:
        CorruptStore: the record is of another kind, or not what `encode_policy` wrote.
    """
    if value[:1] != bytes((_TAG,)):
        raise CorruptStore("Record is no placement policy: the store is damaged or of a newer version")
    try:
        fields = json.loads(value[_HEAD.size :])
        return PlacementPolicy(
            id=PolicyId(fields.pop("id")),
            write_mode=WriteMode(fields.pop("write_mode")),
            on_remote_shortage=Shortage(fields.pop("on_remote_shortage")),
            on_local_shortage=Shortage(fields.pop("on_local_shortage")),
            **fields,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptStore(f"Placement policy record cannot be read: {error}") from error
