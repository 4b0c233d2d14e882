"""What clients do to the namespace, and every state that each operation may leave behind. Pure."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

DEFAULT_POLICY = "IDC_2_2_SYNC"
FILE_MODE = 0o644
FOLDER_MODE = 0o755


class Kind(enum.StrEnum):
    """Names of operations in the log."""

    MKDIRS = "mkdirs"
    POLICY = "policy"
    CREATE = "create"
    WRITE = "write"
    CLOSE = "close"
    PUT = "put"
    RENAME = "rename"
    DELETE = "delete"
    CHMOD = "chmod"
    CHOWN = "chown"
    TIMES = "times"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Op:
    """One operation.

    Attributes:
        target: where a rename goes. content: whose bytes a file gets, see `content_of`.
        length: of the file once this is done. sync: how a write is flushed: "", "hflush" or "hsync".
        via: a file that is written first and renamed then. name: an owner, or a policy.
        loose: the client takes a file for done that the namenode has not closed yet.
    """

    kind: Kind
    path: str
    target: str = ""
    content: str = ""
    length: int = 0
    sync: str = ""
    overwrite: bool = False
    via: str = ""
    mode: int = 0
    name: str = ""
    at_ms: int = 0
    loose: bool = False

    def to_fields(self) -> dict[str, Any]:
        """Fields that are not empty, as the log has them."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Op:
        return cls(**{**fields, "kind": Kind(fields["kind"])})


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory. `policy`: the one that was set on it."""

    mode: int = FOLDER_MODE
    policy: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A file: the first bytes of its content, at least `least` of them and at most `most`.

    Attributes:
        closed: None when nobody was told: its writer is gone, or failed.
        policy: in force where it was created. writer: who has it open.
        loose: it has all its bytes, and is closed at the latest when its lease is recovered.
        modified_at_ms: only once somebody has set it.
    """

    content: str
    least: int
    most: int
    closed: bool | None
    policy: str = DEFAULT_POLICY
    writer: str = ""
    mode: int = FILE_MODE
    owner: str = ""
    modified_at_ms: int = 0
    loose: bool = False


Node = Folder | File
World = Mapping[str, Node]
Changes = Mapping[str, Node | None]
"""What an operation leaves behind, by path; None: nothing is there."""


def content_of(content: str, length: int) -> bytes:
    """The bytes of a file: those of a shorter one with the same content are their beginning."""
    return hashlib.shake_128(content.encode()).digest(length)


def below(world: World, path: str) -> list[str]:
    """A path and everything under it, as far as it is there."""
    return [known for known in world if known == path or known.startswith(path.rstrip("/") + "/")]


def policy_for(world: World, path: str) -> str:
    """The policy of the nearest directory that has one."""
    folder = posixpath.dirname(path)
    while folder != "/":
        node = world.get(folder)
        if isinstance(node, Folder) and node.policy:
            return node.policy
        folder = posixpath.dirname(folder)
    return DEFAULT_POLICY


def outcomes(world: World, op: Op, who: str) -> tuple[Changes, ...]:
    """Every state that the operation may leave behind if nobody was told; the last one if it was acknowledged."""
    if op.kind is Kind.MKDIRS:
        return {}, _made(world, op)
    if op.kind is Kind.CREATE:
        made = File(op.content, 0, 0, False, policy_for(world, op.path), who)
        return {}, {op.path: replace(made, closed=None)}, {op.path: made}
    if op.kind is Kind.PUT:
        return _put(world, op, who)
    if op.kind is Kind.RENAME:
        moved = below(world, op.path)
        gone: dict[str, Node | None] = dict.fromkeys(moved)
        return {}, gone | {op.target + path[len(op.path) :]: world[path] for path in moved}
    if op.kind is Kind.DELETE:
        return {}, dict.fromkeys(below(world, op.path))
    if op.kind is Kind.READ:
        return ({},)
    if op.kind is Kind.POLICY or isinstance(world[op.path], Folder):
        return {}, {op.path: _changed_folder(world, op)}
    file = world[op.path]
    assert isinstance(file, File)
    if op.kind is Kind.WRITE:
        return _written(file, op)
    if op.kind is Kind.CLOSE:
        adrift = replace(file, most=op.length, closed=None)
        return {op.path: adrift}, {op.path: replace(file, least=op.length, most=op.length, closed=True, writer="")}
    return {}, {op.path: _changed_file(file, op)}


def _made(world: World, op: Op) -> Changes:
    changes: dict[str, Node | None] = {}
    path = op.path
    while path != "/" and path not in world:
        changes[path] = Folder()
        path = posixpath.dirname(path)
    return changes


def _put(world: World, op: Op, who: str) -> tuple[Changes, ...]:
    """A whole file; one that is written under another name first may be left there, and what it replaces be gone."""
    whole = File(op.content, op.length, op.length, True, policy_for(world, op.path), loose=op.loose)
    partial = replace(whole, least=0, closed=None, writer=who)
    nothing: Changes = {op.path: world[op.path]} if op.path in world else {op.path: None}
    if not op.via:
        return nothing, {op.path: partial}, {op.path: whole}
    unmoved: Changes = {**nothing, op.via: partial}
    removed: Changes = {op.path: None, op.via: whole}
    return {**nothing, op.via: None}, unmoved, removed, {op.path: whole, op.via: None}


def _written(file: File, op: Op) -> tuple[Changes, ...]:
    adrift = replace(file, most=op.length, closed=None)
    least = op.length if op.sync else file.least
    return {op.path: adrift}, {op.path: replace(file, least=least, most=op.length)}


def _changed_folder(world: World, op: Op) -> Folder:
    folder = world[op.path]
    assert isinstance(folder, Folder)
    return replace(folder, policy=op.name) if op.kind is Kind.POLICY else replace(folder, mode=op.mode)


def _changed_file(file: File, op: Op) -> File:
    if op.kind is Kind.CHMOD:
        return replace(file, mode=op.mode)
    if op.kind is Kind.CHOWN:
        return replace(file, owner=op.name)
    assert op.kind is Kind.TIMES
    return replace(file, modified_at_ms=op.at_ms)
