"""Files that are being written, for administrators: what each is called, and who has it open."""

from __future__ import annotations

from typing import NamedTuple

from seamlessfs.model.ids import InodeId
from seamlessfs.model.path import join
from seamlessfs.namespace import tree
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView
from seamlessfs.store.records import File


class OpenFile(NamedTuple):
    """A file with its path now, the client that writes it, and where that client is."""

    inode_id: InodeId
    path: str
    holder: str
    machine: str


def open_files(view: ReadView, after: InodeId, below: str, limit: int) -> list[OpenFile]:
    """The next open files by id, those at or below a path; "" stands for everywhere.

    Cost: all leases, so read it over a snapshot.
    """
    ids = sorted(inode_id for key, _ in view.scan(*keys.all_leases()) if (inode_id := keys.read_lease(key)[1]) > after)
    found: list[OpenFile] = []
    for inode_id in ids:
        if len(found) == limit:
            break
        names, record = tree.names_of(view, inode_id), tree.inode_by_id(view, inode_id)
        if names is None or not isinstance(record, File):
            continue
        path = join(names)
        if is_below(path, below):
            found.append(OpenFile(inode_id, path, record.holder or "", record.machine))
    return found


def is_below(path: str, directory: str) -> bool:
    """Whether a path is this one or one below it; everything is below ""."""
    return not directory or path == directory or path.startswith(directory.rstrip("/") + "/")
