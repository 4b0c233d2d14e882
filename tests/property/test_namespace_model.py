"""Random programs against a dictionary from paths to what is there: the same results, the same classes of errors."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from seamlessfs.model.block import Block
from seamlessfs.model.errors import (
    AccessDenied,
    AlreadyBeingCreated,
    DirectoryNotEmpty,
    FileAlreadyExists,
    FileNotFound,
    FilesystemError,
    ParentNotDirectory,
    RemoteIOError,
)
from seamlessfs.model.ids import InodeId
from seamlessfs.store import keys
from seamlessfs.store.api import Transaction
from tests.support.namespace_harness import PIPELINE, Harness, check_tree

Path = tuple[str, ...]


@dataclass
class Node:
    """A file with its length, or a directory."""

    directory: bool
    length: int = 0
    open: bool = False
    mode: int = 0


@dataclass
class Model:
    """The whole tree, as dumb as can be."""

    nodes: dict[Path, Node] = field(default_factory=lambda: {(): Node(True, mode=0o755), ("tmp",): Node(True)})

    def walk(self, path: Path, *, creating: bool = False) -> Node | None:
        for i in range(1, len(path)):
            node = self.nodes.get(path[:i])
            if node is not None and not node.directory:
                raise ParentNotDirectory if creating else AccessDenied
        return self.nodes.get(path)

    def below(self, path: Path) -> list[Path]:
        return [other for other in self.nodes if len(other) > len(path) and other[: len(path)] == path]

    def make_parents(self, path: Path) -> None:
        for i in range(1, len(path)):
            self.nodes.setdefault(path[:i], Node(True))

    def mkdirs(self, path: Path) -> bool:
        node = self.walk(path, creating=True)
        if node is not None and not node.directory:
            raise FileAlreadyExists
        if node is None:
            self.make_parents(path)
            self.nodes[path] = Node(True)
        return True

    def create(self, path: Path, overwrite: bool, length: int | None) -> None:
        node = self.walk(path, creating=True)
        if node is not None and node.directory:
            raise FileAlreadyExists
        if node is not None and not overwrite:
            raise AlreadyBeingCreated if node.open else FileAlreadyExists
        self.make_parents(path)
        self.nodes[path] = Node(False, length or 0, length is None)

    def delete(self, path: Path, recursive: bool) -> bool:
        node = self.walk(path)
        if node is not None and self.below(path) and not recursive:
            raise DirectoryNotEmpty
        if node is None or not path:
            return False
        for gone in [*self.below(path), path]:
            del self.nodes[gone]
        return True

    def move(self, source: Path, target: Path) -> None:
        for old in [source, *self.below(source)]:
            self.nodes[target + old[len(source) :]] = self.nodes.pop(old)

    def rename(self, source: Path, target: Path) -> bool:
        node = self.walk(source)
        existing = self.walk(target, creating=True)
        if existing is not None and existing.directory and source:
            target += source[-1:]
        if node is None or not source:
            return False
        if source == target:
            return True
        if target[: len(source)] == source or target in self.nodes or target[:-1] not in self.nodes:
            return False
        self.move(source, target)
        return True

    def rename2(self, source: Path, target: Path, overwrite: bool) -> None:
        node = self.walk(source)
        existing = self.walk(target, creating=True)
        if node is None:
            raise FileNotFound
        if not source:
            raise RemoteIOError
        if source == target:
            raise FileAlreadyExists
        if target[: len(source)] == source or not target:
            raise RemoteIOError
        if existing is not None:
            if existing.directory != node.directory:
                raise RemoteIOError
            if not overwrite:
                raise FileAlreadyExists
            if self.below(target):
                raise RemoteIOError
            del self.nodes[target]
        if target[:-1] not in self.nodes:
            raise FileNotFound
        self.move(source, target)

    def set_permission(self, path: Path, mode: int) -> None:
        node = self.walk(path)
        if node is None:
            raise FileNotFound
        node.mode = mode


BRANCHES = ("a", "b")
SHALLOW: list[Path] = [(), ("tmp",), *((x,) for x in BRANCHES), *itertools.product(BRANCHES, repeat=2)]
DEEP: list[Path] = list(itertools.product(BRANCHES, repeat=3))
some_path = st.sampled_from(SHALLOW + DEEP)
near_path = st.sampled_from(SHALLOW)
flags = st.booleans()
makes_directory = st.tuples(st.just("mkdirs"), some_path)
makes_file = st.tuples(st.just("create"), some_path, flags, st.one_of(st.none(), st.integers(0, 250)))
steps = st.one_of(
    makes_directory,
    makes_directory,
    makes_file,
    makes_file,
    st.tuples(st.just("delete"), some_path, flags),
    st.tuples(st.just("rename"), near_path, some_path),
    st.tuples(st.just("rename"), near_path, near_path),
    st.tuples(st.just("rename2"), near_path, some_path, flags),
    st.tuples(st.just("set_permission"), near_path, st.sampled_from([0o700, 0o1777])),
    st.one_of(st.tuples(st.just("seal")), st.tuples(st.just("reap"), st.integers(1, 5)), st.tuples(st.just("restart"))),
)


class Real:
    """The same steps on the namespace."""

    def __init__(self) -> None:
        self.h = Harness()

    def text(self, path: Path) -> str:
        return "/" + "/".join(path)

    def mkdirs(self, tx: Transaction, path: Path) -> bool:
        return self.h.namespace.mkdirs(tx, self.h.ctx(), self.text(path), 0o755)

    def create(self, tx: Transaction, path: Path, overwrite: bool, length: int | None) -> None:
        n, ctx, text = self.h.namespace, self.h.ctx(), self.text(path)
        status = n.create(tx, ctx, text, 0o644, "c1", "127.1.1.1", overwrite, True, 3, 100)
        if length is None:
            n.add_block(tx, ctx, status.inode_id, "c1", PIPELINE)
            return
        last = self._write(tx, status.inode_id, length)
        assert n.complete(tx, ctx, text, status.inode_id, "c1", last, lambda _: True)

    def _write(self, tx: Transaction, inode_id: InodeId, length: int) -> Block | None:
        last: Block | None = None
        while length > 0:
            block = self.h.namespace.add_block(tx, self.h.ctx(), inode_id, "c1", PIPELINE, previous=last)
            last = Block(block.id, block.generation_stamp, min(100, length))
            length -= 100
        return last

    def delete(self, tx: Transaction, path: Path, recursive: bool) -> bool:
        return self.h.namespace.delete(tx, self.h.ctx(), self.text(path), recursive)

    def rename(self, tx: Transaction, source: Path, target: Path) -> bool:
        return self.h.namespace.rename(tx, self.h.ctx(), self.text(source), self.text(target))

    def rename2(self, tx: Transaction, source: Path, target: Path, overwrite: bool) -> None:
        self.h.namespace.rename2(tx, self.h.ctx(), self.text(source), self.text(target), overwrite)

    def set_permission(self, tx: Transaction, path: Path, mode: int) -> None:
        self.h.namespace.set_permission(tx, self.h.ctx(), self.text(path), mode)

    def tree(self) -> dict[Path, tuple[bool, int, bool]]:
        """What can be found by listing everything."""
        found: dict[Path, tuple[bool, int, bool]] = {(): (True, 0, False)}
        waiting: list[Path] = [()]
        while waiting:
            path = waiting.pop()
            listing = self.h.namespace.get_listing(self.h.view(), self.h.ctx(), self.text(path))
            assert listing is not None
            for entry in listing.entries:
                below = (*path, entry.name.decode())
                closed = entry.is_directory or self.h.namespace.is_file_closed(
                    self.h.view(), self.h.ctx(), self.text(below)
                )
                found[below] = (entry.is_directory, entry.length, not closed)
                if entry.is_directory:
                    waiting.append(below)
        return found


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except FilesystemError as error:
        return type(error)


def expect_equal(model: Model, real: Real) -> None:
    check_tree(real.h.view())
    assert real.tree() == {path: (node.directory, node.length, node.open) for path, node in model.nodes.items()}
    for path, node in model.nodes.items():
        if node.mode:
            info = real.h.info(real.text(path))
            assert info is not None
            assert info.permission == node.mode


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(steps, min_size=15, max_size=60))
def test_the_namespace_does_what_a_dictionary_does(program: list[tuple[Any, ...]]) -> None:
    model, real = Model(), Real()
    for name, *arguments in program:
        if name == "seal":
            real.h.seal()
            expect_equal(model, real)
        elif name == "restart":
            real.h.seal()
            real.h.restart()
        elif name == "reap":
            real.h.gather(lambda tx, limit=arguments[0]: real.h.namespace.reap(tx, real.h.ctx(), limit))
        else:
            expected = outcome(lambda n=name, a=arguments: getattr(model, n)(*a))
            actual = outcome(lambda n=name, a=arguments: real.h.gather(lambda tx: getattr(real, n)(tx, *a)))
            assert actual == expected, (name, arguments)
    real.h.seal()
    expect_equal(model, real)
    reap_to_the_end(real, model)


def reap_to_the_end(real: Real, model: Model) -> None:
    """Afterwards the store holds rows of what can be found, and nothing else."""
    real.h.reap_all()
    expect_equal(model, real)
    view = real.h.view()
    assert len(list(view.scan(b"I|", b"I}"))) == len(model.nodes)
    assert len(list(view.scan(b"E|", b"E}"))) == len(model.nodes)
    assert len(list(view.scan(*keys.all_leases()))) == sum(node.open for node in model.nodes.values())
    blocks = sum(-(-node.length // 100) + node.open for node in model.nodes.values())
    assert len(list(real.h.namespace.blocks(view))) == blocks
