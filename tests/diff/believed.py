"""What the maker of a program believes to be there, and the names and paths that it draws."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.diff.program import Program, Ref, Step

USERS = ("root", "root", "alice", "alice", "bob")
GROUPS = {"root": ["root"], "alice": ["staff", "shared"], "bob": ["crew", "shared"]}
HOLDERS = ("h1", "h2", "h3")
NAMES = ("a", "b", "c", "d")
ODD_NAMES = (
    "ü", "a b", "a:b", ".", "..", ".snapshot", ".reserved", "n" * 255, "n" * 256, "ü" * 128, "%41", "a\\b", "-", "~x",
)  # fmt: skip
RESERVED = ("", "/", "/.inodes", "/raw", "/x", "/.inodes/x", "/.inodes/-1", "/.inodes/0", "/.inodes/0/..")
UMASKS = (0o022, 0o077, 0o002)
MODES = (0o755, 0o700, 0o777, 0o750, 0o770, 0o000, 0o500, 0o300, 0o1777, 0o1770, 0o644, 0o6755, 0o7777, 0o10755)
BLOCK = 1024
DEPTH_MAX = 5
PATHS = {"src", "dst", "path", "filename", "target", "link"}
ROOTS = ("/", "//", "/.reserved/raw", "/.reserved/raw/")
ASK_ABOUT_ROOT = {
    "getFileInfo", "getFileLinkInfo", "getLocatedFileInfo", "getBlockLocations", "checkAccess", "isFileClosed",
    "create", "mkdirs", "delete", "getPreferredBlockSize", "setReplication", "complete", "addBlock", "recoverLease",
}  # fmt: skip
"""Calls that neither change the root, which belongs to all programs, nor tell what is below it."""


@dataclass
class OpenFile:
    """A file that was opened, as far as the generator believes."""

    path: str
    step: Ref
    user: str
    holder: str
    block_size: int
    blocks: list[Ref] = field(default_factory=list)
    lengths: dict[str, int] = field(default_factory=dict)

    @property
    def wrote_last(self) -> bool:
        """Whether the last block has data."""
        return bool(self.blocks) and self.blocks[-1].name in self.lengths


class Believed:
    """A program that is being made, and what its maker believes that it leaves behind."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.directories: list[str] = ["~"]
        self.files: list[str] = []
        self.open: list[OpenFile] = []
        self.changes: list[Ref] = []
        self.reached = 0
        self.program: Program = []

    def add(self, user: str, call: str, **fields: Any) -> Ref:
        for key in PATHS & fields.keys():
            fields[key] = own(call, key, fields[key])
        name = f"s{len(self.program) + 1}"
        self.program.append(Step(name, user, call, fields))
        return Ref(name)

    def change(self, user: str, call: str, **fields: Any) -> Ref:
        """A call that a client may repeat."""
        ref = self.add(user, call, **fields)
        self.changes.append(ref)
        return ref

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def user(self) -> str:
        return self.random.choice(USERS)

    def name(self) -> str:
        return self.random.choice(ODD_NAMES) if self.chance(0.03) else self.random.choice(NAMES)

    def directory(self) -> str:
        return self.random.choice(self.directories[-12:] + self.directories[:2])

    def new_path(self) -> str:
        path = f"{self.directory()}/{self.name()}"
        while self.chance(0.12):
            path += f"/{self.name()}"
        return self.odd(path)

    def known_path(self) -> str:
        known = [*self.files[-10:], *(one.path for one in self.open[-6:]), *self.directories[-8:]]
        return self.odd(self.random.choice(known))

    def path(self) -> str:
        return self.known_path() if self.chance(0.7) else self.new_path()

    def below(self) -> str:
        """A path that is not the folder itself: without it the rest of the program would have nowhere to go."""
        while (path := self.path()).rstrip("/.") in ("~", "/~", "/.reserved/raw~"):
            pass
        return path

    def odd(self, path: str) -> str:
        """Now and then the same path in another spelling, or one that is none."""
        if not self.chance(0.06):
            return path
        forms: list[Callable[[], str]] = [
            lambda: path + "/",
            lambda: path.replace("/", "//", 1),
            lambda: path + "/..",
            lambda: path + "/.",
            lambda: path.replace("~/", "~/../", 1),
            lambda: f"/{path}",
            lambda: path.replace("~", "", 1).lstrip("/"),
            lambda: f"/.reserved/raw{path}",
            lambda: f"/.reserved/.inodes/{{{self.some_file().name}}}",
            lambda: f"/.reserved/.inodes/{{{self.some_file().name}}}/{self.name()}",
            lambda: f"/.reserved/.inodes/{{{self.some_file().name}}}/..",
            lambda: "/.reserved" + self.random.choice(RESERVED),
            lambda: f"{path}/.snapshot",
            lambda: f"{path}/.snapshot/a",
            lambda: self.random.choice(["/", "", "~", "//", "~/" + "a/" * 1001, "~/" + "x" * 8001]),
        ]
        return self.random.choice(forms)()

    def length(self) -> int:
        """Of a block that grows: mostly not less than any before; a namespace that takes less has lost data."""
        if self.chance(0.02):
            return self.random.choice((0, 1, BLOCK + 1))
        self.reached = min(BLOCK, self.reached + self.random.randrange(8) ** 2)
        return self.reached

    def some_file(self) -> Ref:
        return self.random.choice(self.open).step if self.open else Ref("s0")

    def forget(self, path: str) -> None:
        below = path + "/"
        self.files = [one for one in self.files if one != path and not one.startswith(below)]
        self.directories = [one for one in self.directories if one != path and not one.startswith(below)] or ["~"]

    def moved(self, source: str, target: str) -> None:
        for known in (self.files, self.directories):
            known[:] = [target + one[len(source) :] if (one + "/").startswith(source + "/") else one for one in known]


def own(call: str, key: str, path: str) -> str:
    """The path, or another one if it would lead to what belongs to all programs."""
    if path in ROOTS:
        return path if call in ASK_ABOUT_ROOT or (call, key) in (("rename", "src"), ("rename2", "src")) else "~"
    if "~" in path or "{" in path or not path.startswith("/"):
        return path
    return "~" + path if not path.startswith("/.reserved") or path.startswith("/.reserved/raw/") else path
