"""What must be there, given the log of intents and acknowledgements. Pure.

A state in which nobody was told is a doubt: one of the operation's outcomes must be seen, as a whole. What is then seen
is settled: from there on it must stay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.kill.operations import Changes, File, Folder, Node, Op, outcomes


@dataclass(frozen=True, slots=True)
class Seen:
    """A file or directory as it was found.

    Attributes:
        contents: of those that the log says may be there, the ones whose beginning it is.
        policy: of a file that of its stamp, of a directory the one in force.
        unread: its writer has it open and nobody else can read it now: only he may know that its datanodes died.
    """

    is_folder: bool
    mode: int
    policy: str
    owner: str = ""
    length: int = 0
    is_open: bool = False
    contents: frozenset[str] = frozenset()
    modified_at_ms: int = 0
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Doubt:
    """An operation whose client does not know what became of it."""

    who: str
    op: Op
    outcomes: tuple[Changes, ...]

    @property
    def paths(self) -> set[str]:
        return {path for changes in self.outcomes for path in changes}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def misfit(node: Node | None, seen: Seen | None) -> str | None:
    """Why what was seen is not what must be there; None: it is."""
    if node is None or seen is None:
        if node is None and seen is None:
            return None
        return "is missing" if seen is None else "is there, and nothing may be"
    if isinstance(node, Folder):
        return _folder_misfit(node, seen)
    return _file_misfit(node, seen)


def _folder_misfit(node: Folder, seen: Seen) -> str | None:
    if not seen.is_folder:
        return "is a file, and must be a directory"
    if seen.mode != node.mode:
        return f"has mode {seen.mode:o}, and must have {node.mode:o}"
    if node.policy and seen.policy != node.policy:
        return f"has policy {seen.policy}, and must have {node.policy}"
    return None


def _file_misfit(node: File, seen: Seen) -> str | None:
    if seen.is_folder:
        return "is a directory, and must be a file"
    if not seen.unread and not node.least <= seen.length <= node.most:
        return f"has {seen.length} bytes, and must have {node.least} to {node.most}"
    if not seen.unread and node.content not in seen.contents:
        return f"does not have the bytes of {node.content}"
    if node.closed is not None and node.closed == seen.is_open:
        return "is open, and must be closed" if seen.is_open else "is closed, and its writer has not closed it"
    for name, value, wanted in (
        ("mode", seen.mode, node.mode),
        ("policy", seen.policy, node.policy),
        ("owner", seen.owner, node.owner or seen.owner),
        ("modification time", seen.modified_at_ms, node.modified_at_ms or seen.modified_at_ms),
    ):
        if value != wanted:
            return f"has {name} {value}, and must have {wanted}"
    return None


def narrowed(node: Node | None, seen: Seen | None) -> Node | None:
    """What must be there from now on, once this was seen where the log left a choice."""
    if not isinstance(node, File) or seen is None:
        return node
    closed = None if seen.is_open and node.closed is None else not seen.is_open
    if closed:
        return replace(node, least=seen.length, most=seen.length, closed=True, writer="", loose=False)
    return replace(node, least=max(node.least, seen.length), closed=closed)


@dataclass
class Expected:
    """The log's meaning, entry by entry.

    Attributes:
        world: what was acknowledged. running: operations that have begun and not ended.
        heard: who has ever begun anything. gone: of those, whose connection has ended.
    """

    world: dict[str, Node] = field(default_factory=dict)
    running: dict[tuple[str, int], Op] = field(default_factory=dict)
    doubts: list[Doubt] = field(default_factory=list)
    acknowledged: int = 0
    doubted: int = 0
    wrong: list[Finding] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    def feed(self, entry: Mapping[str, Any]) -> None:
        """Takes one entry of the log."""
        who, phase = entry["who"], entry["phase"]
        if phase == "intent":
            self.running[who, entry["id"]] = Op.from_fields(entry["op"])
            self.heard.add(who)
        elif phase == "ack":
            op = self.running.pop((who, entry["id"]))
            self.apply(outcomes(self.world, op, who)[-1])
            self.acknowledged += 1
        elif phase == "fail":
            self._doubt(who, self.running.pop((who, entry["id"])))
        elif phase == "wrong":
            self.wrong.append(Finding(entry["path"], f"{who}: {entry['what']}"))
        elif phase == "gone":
            self._gone(who)
        elif phase == "settled":
            self.doubts.clear()
            self.apply({path: decode_node(fields) for path, fields in entry["paths"].items()})

    def apply(self, changes: Changes) -> None:
        for path, node in changes.items():
            if node is None:
                self.world.pop(path, None)
            else:
                self.world[path] = node

    def _doubt(self, who: str, op: Op) -> None:
        doubt = Doubt(who, op, outcomes(self.world, op, who))
        both = doubt.paths & {path for other in self.doubts for path in other.paths}
        assert not both, f"{who} went on with {both}, of which it could not know the state: the load is wrong"
        if doubt.paths:
            self.doubts.append(doubt)
            self.doubted += 1

    def _gone(self, who: str) -> None:
        self.gone.add(who)
        for key in [key for key in self.running if key[0] == who]:
            self._doubt(who, self.running.pop(key))
        for path, node in self.world.items():
            if isinstance(node, File) and node.writer == who and node.closed is False:
                self.world[path] = replace(node, closed=None)

    def possible(self) -> Iterator[tuple[str, Node]]:
        """Everything that may be there, by path; a path comes once for each possibility."""
        yield from self.world.items()
        for doubt in self.doubts:
            for changes in doubt.outcomes:
                yield from ((path, node) for path, node in changes.items() if node is not None)

    def adrift(self) -> set[str]:
        """Files that may be open with nobody who will close them."""
        files = ((path, node) for path, node in self.possible() if isinstance(node, File))
        return {path for path, node in files if node.closed is None or node.loose}

    def noted(self, killed: set[str]) -> bool:
        """Whether the log knows of each of these that it is gone; one who never began anything is not missed."""
        return killed & self.heard <= self.gone

    def busy(self) -> dict[str, Op]:
        """Who is in the middle of what."""
        return {who: op for (who, _), op in self.running.items()}

    def closed(self) -> Iterator[tuple[str, File]]:
        """Files whose every byte was acknowledged."""
        return ((path, node) for path, node in self.world.items() if isinstance(node, File) and node.closed)

    def open_paths(self) -> Iterator[str]:
        """Files that somebody may still be writing."""
        return (path for path, node in self.world.items() if isinstance(node, File) and not node.closed)

    def held(self) -> set[str]:
        """Files whose writers are there and have not failed."""
        return {path for path, node in self.world.items() if isinstance(node, File) and node.closed is False} - {
            path for doubt in self.doubts for path in doubt.paths
        }

    def left(self) -> set[str]:
        """Paths to which no worker comes back: what is in doubt, and what a dead one was writing."""
        adrift = {path for path, node in self.world.items() if isinstance(node, File) and node.closed is None}
        return adrift | {path for doubt in self.doubts for path in doubt.paths}

    def contents(self) -> dict[str, set[str]]:
        """Contents that each file may have."""
        found: dict[str, set[str]] = {}
        for path, node in self.possible():
            if isinstance(node, File):
                found.setdefault(path, set()).add(node.content)
        return found

    def judge(self, seen: Mapping[str, Seen]) -> tuple[list[Finding], dict[str, Node | None]]:
        """Compares what was seen with what must be there.

        Returns:
            What is wrong; and what is settled by having been seen.
        """
        findings: list[Finding] = []
        settled: dict[str, Node | None] = {}
        judged: set[str] = set()
        for doubt in self.doubts:
            judged |= doubt.paths
            fitting, reasons = self._fitting(doubt, seen)
            if fitting is None:
                findings.append(Finding(doubt.op.path, f"is in no state that {doubt.op.kind} may leave: {reasons}"))
            else:
                settled |= fitting
        for path in sorted(self.world.keys() | seen.keys()):
            if path in judged:
                continue
            node = self.world.get(path)
            reason = misfit(node, seen.get(path))
            if reason is not None:
                findings.append(Finding(path, reason))
            elif isinstance(node, File) and (node.closed is None or node.loose):
                settled[path] = narrowed(node, seen.get(path))
        return findings, settled

    def _fitting(self, doubt: Doubt, seen: Mapping[str, Seen]) -> tuple[dict[str, Node | None] | None, str]:
        """The outcome of a doubt that was seen, settled; or why each is not it."""
        reasons = []
        for changes in reversed(doubt.outcomes):
            state = {path: changes.get(path, self.world.get(path)) for path in doubt.paths}
            bad = {path: why for path, node in state.items() if (why := misfit(node, seen.get(path))) is not None}
            if not bad:
                return {path: narrowed(node, seen.get(path)) for path, node in state.items()}, ""
            path, why = min(bad.items())
            reasons.append(f"{path} {why}")
        return None, "; or ".join(reasons)


def encode_node(node: Node | None) -> dict[str, Any] | None:
    if node is None:
        return None
    return {"is": type(node).__name__, **dataclasses.asdict(node)}


def decode_node(fields: Mapping[str, Any] | None) -> Node | None:
    if fields is None:
        return None
    values = dict(fields)
    return (Folder if values.pop("is") == "Folder" else File)(**values)


def history(entries: Iterable[Mapping[str, Any]], path: str) -> list[Mapping[str, Any]]:
    """The entries of the log that tell of a path: operations on it, on what is above it, and how they ended."""
    operations: set[tuple[str, int]] = set()
    found = []
    for entry in entries:
        named = entry.get("op", {})
        touched = [named.get("path", ""), named.get("target", ""), named.get("via", ""), entry.get("path", "")]
        if any(one and (path == one or path.startswith(one + "/")) for one in touched):
            operations.add((entry["who"], entry.get("id", -1)))
            found.append(entry)
        elif entry["phase"] in ("ack", "fail") and (entry["who"], entry["id"]) in operations:
            found.append(entry)
        elif path in entry.get("paths", {}):
            found.append({**entry, "paths": {path: entry["paths"][path]}})
    return found
