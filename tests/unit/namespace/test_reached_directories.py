"""Directories that are known to be below the root are not walked again; those of a later state are."""

from __future__ import annotations

from seamlessfs.model.ids import InodeId
from tests.support.namespace_harness import Harness


def test_a_chain_is_walked_once_a_view() -> None:
    harness = Harness()
    harness.mkdirs("/a/b")
    inode_id = harness.write_file("/a/b/f", (10,))
    reached: set[InodeId] = set()
    namespace = harness.namespace
    assert namespace.file(harness.view(), inode_id, reached) is not None
    assert len(reached) == 1
    assert namespace.file(harness.view(), inode_id, reached) is not None
    harness.delete("/a")
    assert namespace.file(harness.view(), inode_id, set()) is None
