"""The namespace as a dictionary from paths to nodes: as dumb as can be, and right because it is."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

from seamlessfs.model.errors import (
    AccessDenied,
    AlreadyBeingCreated,
    DirectoryNotEmpty,
    FileAlreadyExists,
    FileNotFound,
    IllegalArgument,
    ParentNotDirectory,
    RemoteIOError,
    UnsupportedOperation,
)

Path = tuple[str, ...]
EXECUTE, WRITE, READ, ALL = 1, 2, 4, 7
BLOCK_BYTES = 100
GROUPS = {"root": ("root",), "alice": ("staff", "shared"), "bob": ("crew", "shared")}
REPLICATIONS = {"IDC_NONE": 0, "IDC_2_2_SYNC": 4, "IDC_LOCAL_2": 2}


@dataclass
class Block:
    """A block of a file: its stamp, its length, and whether data may be added, or replicas are waited for."""

    number: int
    stamp: int
    length: int = 0
    state: str = "open"


@dataclass
class Node:
    """A file or a directory. `number` tells nodes apart as an inode's id does."""

    number: int
    directory: bool
    owner: str
    group: str
    mode: int
    modified: int
    accessed: int = 0
    policy: str = ""
    replication: int = 0
    holder: str | None = None
    blocks: list[Block] = field(default_factory=list)

    @property
    def length(self) -> int:
        return sum(block.length for block in self.blocks)

    @property
    def space(self) -> int:
        return self.replication * sum(
            block.length if block.state == "complete" else BLOCK_BYTES for block in self.blocks
        )


class Model:
    """The whole tree. Its methods are named and refuse as the namespace's operations do.

    Attributes:
        step: number of the step that runs: what it makes is called by it. Directories have no number.
    """

    def __init__(self, now: int) -> None:
        self.now = now
        self.step = 0
        self.nodes: dict[Path, Node] = {(): Node(0, True, "root", "supergroup", 0o755, now, policy="IDC_NONE")}

    def copy(self) -> Model:
        return copy.deepcopy(self)

    def by_number(self, number: int) -> Path | None:
        return next((path for path, node in self.nodes.items() if number and node.number == number), None)

    def below(self, path: Path) -> list[Path]:
        return [other for other in self.nodes if len(other) > len(path) and other[: len(path)] == path]

    def entries(self, path: Path) -> list[Path]:
        return [other for other in self.nodes if len(other) == len(path) + 1 and other[:-1] == path]

    def may(self, user: str, path: Path, access: int) -> None:
        node = self.nodes[path]
        shift = 6 if user == node.owner else 3 if node.group in GROUPS[user] else 0
        if user != "root" and node.mode >> shift & access != access:
            raise AccessDenied

    def walk(self, user: str, path: Path, *, creating: bool = False) -> Node | None:
        for i in range(len(path)):
            node = self.nodes.get(path[:i])
            if node is None:
                break
            if not node.directory:
                raise ParentNotDirectory if creating else AccessDenied
            self.may(user, path[:i], EXECUTE)
        return self.nodes.get(path)

    def ancestor(self, path: Path) -> Path:
        """The deepest directory above the last name that is there."""
        above = path[:-1]
        while above not in self.nodes:
            above = above[:-1]
        return above

    def sticky(self, user: str, path: Path) -> None:
        parent, node = self.nodes[path[:-1]], self.nodes[path]
        if user != "root" and parent.mode & 0o1000 and user not in (parent.owner, node.owner):
            raise AccessDenied

    def may_leave(self, user: str, path: Path) -> None:
        """The entry may be taken out of its directory."""
        if path and path[:-1] in self.nodes:
            if path in self.nodes:
                self.sticky(user, path)
            self.may(user, path[:-1], WRITE)

    def may_empty(self, user: str, path: Path) -> None:
        """Everything below may be removed."""
        for directory in [path, *self.below(path)] if path in self.nodes else []:
            if self.entries(directory):
                self.may(user, directory, ALL)
            for entry in self.entries(directory):
                self.sticky(user, entry)

    def add(self, user: str, path: Path, mode: int, *, directory: bool) -> Node:
        parent = self.nodes[path[:-1]]
        node = Node(0 if directory else self.step, directory, user, parent.group, mode & 0o1777, self.now)
        self.nodes[path] = node
        self.touch(path[:-1])
        return node

    def touch(self, path: Path, modified: int = 0) -> None:
        self.nodes[path].modified = max(self.nodes[path].modified, modified or self.now)

    def make_parents(self, user: str, path: Path, mode: int) -> None:
        for i in range(1, len(path)):
            if path[:i] not in self.nodes:
                self.add(user, path[:i], mode, directory=True)

    def policy_of(self, path: Path) -> str:
        return next(node.policy for node in self.upwards(path) if node.policy)

    def upwards(self, path: Path) -> Iterator[Node]:
        for i in range(len(path), -1, -1):
            if path[:i] in self.nodes:
                yield self.nodes[path[:i]]

    def look(self, user: str, path: Path) -> tuple[bool, int] | None:
        """What getFileInfo says: nothing is where a file is in the way, to a superuser."""
        try:
            node = self.walk(user, path)
        except AccessDenied:
            if user == "root":
                return None
            raise
        return None if node is None else (node.directory, node.length)

    def names(self, user: str, path: Path) -> list[str] | None:
        node = self.walk(user, path)
        if node is None:
            return None
        if not node.directory:
            return [""]
        self.may(user, path, READ | EXECUTE)
        return sorted(entry[-1] for entry in self.entries(path))

    def summary(self, user: str, path: Path) -> tuple[int, int, int, int]:
        """Files, directories, bytes and space below, the directory itself counted."""
        if self.walk(user, path) is None:
            raise FileNotFound
        nodes = {other: self.nodes[other] for other in [path, *self.below(path)]}
        for other, node in nodes.items():
            if node.directory:
                self.may(user, other, READ | EXECUTE)
        files = [node for node in nodes.values() if not node.directory]
        size, space = sum(node.length for node in files), sum(node.space for node in files)
        return len(files), len(nodes) - len(files), size, space

    def mkdirs(self, user: str, path: Path, mode: int, parents: bool) -> bool:
        node = self.walk(user, path, creating=True)
        if node is not None:
            if not node.directory:
                raise FileAlreadyExists
            return True
        self.may(user, self.ancestor(path), WRITE)
        if not parents and path[:-1] not in self.nodes:
            raise FileNotFound
        self.make_parents(user, path, mode & 0o777 | 0o300)
        self.add(user, path, mode, directory=True)
        return True

    def create(
        self, user: str, path: Path, mode: int, holder: str, overwrite: bool, parents: bool, replication: int
    ) -> int:
        node = self.walk(user, path, creating=True)
        if path:
            self.may(user, self.ancestor(path), WRITE)
        if node is not None and node.directory:
            raise FileAlreadyExists
        if node is not None and overwrite:
            self.may(user, path, WRITE)
        if node is None and not parents and path[:-1] not in self.nodes:
            raise FileNotFound
        if not 1 <= replication <= 512:
            raise RemoteIOError
        if node is not None and not overwrite:
            raise FileAlreadyExists if node.holder is None else AlreadyBeingCreated
        self.make_parents(user, path, self.nodes[self.ancestor(path)].mode & 0o777 | 0o300)
        policy = self.policy_of(path[:-1])
        made = self.add(user, path, mode, directory=False)
        made.accessed, made.holder, made.policy = self.now, holder, policy
        made.replication = REPLICATIONS[policy] or replication
        return made.number

    def delete(self, user: str, path: Path, recursive: bool) -> bool:
        node = self.walk(user, path)
        self.may_leave(user, path)
        self.may_empty(user, path)
        if node is not None and not recursive and self.entries(path):
            raise DirectoryNotEmpty
        if node is None or not path:
            return False
        self.remove(path)
        return True

    def remove(self, path: Path) -> None:
        for gone in [*self.below(path), path]:
            del self.nodes[gone]
        self.touch(path[:-1])

    def move(self, source: Path, target: Path) -> None:
        modified = self.nodes[source].modified
        for old in [source, *self.below(source)]:
            self.nodes[target + old[len(source) :]] = self.nodes.pop(old)
        self.touch(source[:-1])
        self.touch(target[:-1], max(self.now, modified))

    def may_move(self, user: str, source: Path, target: Path) -> None:
        self.may_leave(user, source)
        self.walk(user, target)
        if target:
            self.may(user, self.ancestor(target), WRITE)

    def rename(self, user: str, source: Path, target: Path) -> bool:
        node = self.walk(user, source)
        existing = self.walk(user, target, creating=True)
        if existing is not None and existing.directory and source:
            target += source[-1:]
        self.may_move(user, source, target)
        if node is None or not source:
            return False
        if source == target:
            return True
        if target[: len(source)] == source or target in self.nodes or target[:-1] not in self.nodes:
            return False
        self.move(source, target)
        return True

    def rename2(self, user: str, source: Path, target: Path, overwrite: bool, to_trash: bool) -> None:
        node = self.walk(user, source)
        existing = self.walk(user, target, creating=True)
        self.may_leave(user, source)
        if to_trash:
            self.may_empty(user, source)
        if target:
            self.may(user, self.ancestor(target), WRITE)
        if node is None:
            raise FileNotFound
        if source == target:
            raise FileAlreadyExists if source else RemoteIOError
        if not source or not target or target[: len(source)] == source:
            raise RemoteIOError
        if existing is not None:
            if existing.directory != node.directory:
                raise RemoteIOError
            if not overwrite:
                raise FileAlreadyExists
            if self.entries(target):
                raise RemoteIOError
        if target[:-1] not in self.nodes:
            raise FileNotFound
        if existing is not None:
            self.remove(target)
        self.move(source, target)

    def set_permission(self, user: str, path: Path, mode: int) -> None:
        self.owned(user, path).mode = mode & 0o1777

    def owned(self, user: str, path: Path) -> Node:
        node = self.walk(user, path)
        if node is None:
            raise FileNotFound
        if user not in ("root", node.owner):
            raise AccessDenied
        return node

    def set_owner(self, user: str, path: Path, owner: str | None, group: str | None) -> None:
        node = self.owned(user, path)
        if user != "root" and owner not in (None, user):
            raise AccessDenied
        if user != "root" and group is not None and group not in GROUPS[user]:
            raise AccessDenied
        node.owner = node.owner if owner is None else owner
        node.group = node.group if group is None else group

    def writable(self, user: str, path: Path) -> Node | None:
        node = self.walk(user, path)
        if node is not None:
            self.may(user, path, WRITE)
        return node

    def set_times(self, user: str, path: Path, modified: int, accessed: int) -> None:
        if (node := self.writable(user, path)) is None:
            raise FileNotFound
        node.modified = modified if modified >= 0 else node.modified
        node.accessed = accessed if accessed >= 0 else node.accessed

    def set_replication(self, user: str, path: Path, replication: int) -> bool:
        if not 1 <= replication <= 512:
            raise RemoteIOError
        node = self.writable(user, path)
        if node is None or node.directory:
            return False
        if wanted := REPLICATIONS[node.policy]:
            return replication == wanted
        node.replication = replication
        return True

    def set_storage_policy(self, user: str, path: Path, name: str) -> None:
        if name not in (*REPLICATIONS, "HOT"):
            raise IllegalArgument
        if (node := self.writable(user, path)) is None:
            raise FileNotFound
        if name == "HOT":
            return
        if not node.directory:
            if node.blocks and name != node.policy:
                raise UnsupportedOperation
            node.replication = REPLICATIONS[name] or node.replication
        node.policy = name

    def unset_storage_policy(self, user: str, path: Path) -> None:
        if (node := self.writable(user, path)) is None:
            raise FileNotFound
        if node.directory:
            node.policy = "" if path else "IDC_2_2_SYNC"
