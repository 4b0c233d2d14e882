"""VERSION: which namespace a data directory holds, so that the loss of store and journal is not taken for a start.

Shape: as HDFS's namenodes write it, `key=value` lines: clusterID, blockpoolID, namespaceID, cTime, storageType.
It is written once, when the first batch is durable; a directory without it is a new one, or an older program's.
"""

from __future__ import annotations

import os
from pathlib import Path

from seamlessfs.model.errors import CorruptStore
from seamlessfs.store.records import ClusterIdentity

VERSION_NAME = "VERSION"
_RESTORE = "restore store and journal of this namespace from a backup or another namenode"


def require_same(path: Path, identity: ClusterIdentity | None) -> None:
    """Compares the marker, if there is one, with what store and journal hold.

    Raises:
        CorruptStore: they hold nothing, or another namespace.
    """
    try:
        text = path.read_text(encoding="latin-1")
    except FileNotFoundError:
        return
    marked = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    cluster_id = marked.get("clusterID", "")
    if not cluster_id:
        raise CorruptStore(f"{path}: clusterID is missing; remove the file if store and journal beside it are right")
    if identity is None:
        raise CorruptStore(
            f"{path} says that this directory holds the namespace of cluster {cluster_id}, but store and journal "
            f"are empty: {_RESTORE}, or use an empty data_dir for a new one"
        )
    if identity.cluster_id != cluster_id:
        raise CorruptStore(f"{path} says cluster {cluster_id}, store and journal say {identity.cluster_id}: {_RESTORE}")


def write_marker(path: Path, identity: ClusterIdentity) -> None:
    """Writes the marker so that after a power cut it is whole or not there."""
    lines = {
        "clusterID": identity.cluster_id,
        "blockpoolID": identity.pool_id,
        "namespaceID": identity.namespace_id,
        "cTime": identity.created_at_ms,
        "storageType": "NAME_NODE",
    }
    partial = path.with_name(path.name + ".new")
    with partial.open("w", encoding="latin-1") as file:
        file.writelines(f"{key}={value}\n" for key, value in lines.items())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
