"""What a worker does next, given what it knows: a random choice among what its client can do. Pure."""

from __future__ import annotations

import posixpath
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.kill.operations import File, Folder, Kind, Node, Op, outcomes

BLOCK_BYTES = 1 << 20
POLICIES = ("IDC_2_2_SYNC", "IDC_2_2_SYNC", "IDC_2_2_ASYNC", "IDC_LOCAL_2")
SIZES = (0, 1, 511, 512, 513, 4097, 65_536, 65_537, 300_000)
LARGE_SIZES = (BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 3 * BLOCK_BYTES + 4099)
STREAMS_MAX = 2
ENTRIES_MAX = 40
OPS_PER_ERA = 80
"""An era is a folder that a worker works in; it begins another one after so many operations, or after a doubt."""

WEIGHTS: Mapping[Kind, int] = {
    Kind.MKDIRS: 4,
    Kind.CREATE: 6,
    Kind.WRITE: 22,
    Kind.CLOSE: 5,
    Kind.PUT: 14,
    Kind.RENAME: 8,
    Kind.DELETE: 5,
    Kind.CHMOD: 3,
    Kind.CHOWN: 2,
    Kind.TIMES: 2,
    Kind.READ: 12,
}


def home_of(who: str) -> str:
    """How the folders of a worker begin: /slot/generation. The slot's folder is there before its first worker."""
    slot, _, generation = who.rpartition(".")
    return f"/{slot}/{generation}"


@dataclass(frozen=True)
class Abilities:
    """What a client can do. `syncs`: how it can flush. `via` and `loose`: see `Op`; `via` is appended to the path."""

    kinds: frozenset[Kind]
    syncs: tuple[str, ...] = ("",)
    overwrites: bool = True
    rename_overwrites: bool = False
    via: str = ""
    loose: bool = False


@dataclass
class Era:
    """A worker's folder and what it knows to be in it."""

    root: str
    world: dict[str, Node] = field(default_factory=dict)
    steps: int = 0
    names: int = 0

    def files(self, closed: bool) -> list[str]:
        return [path for path, node in self.world.items() if isinstance(node, File) and node.closed is closed]

    def folders(self) -> list[str]:
        """Folders that files are made in."""
        return [path for path, node in self.world.items() if isinstance(node, Folder) and self.inside(path)]

    def inside(self, path: str) -> bool:
        return path == self.root or path.startswith(self.root + "/")

    def take(self, op: Op) -> None:
        """The operation was acknowledged."""
        for path, node in outcomes(self.world, op, "")[-1].items():
            if node is None:
                self.world.pop(path, None)
            else:
                self.world[path] = node

    def movable(self) -> list[str]:
        """Folders that may go as a whole: nothing in them is being written."""
        busy = self.files(closed=False)
        inner = [path for path in self.folders() if path != self.root]
        return [path for path in inner if not any(one.startswith(path + "/") for one in busy)]


def era_of(path: str) -> str:
    """The era that a path is in: /slot/generation-number."""
    return "/".join(path.split("/")[:3])


def opening(era: Era, abilities: Abilities, rng: random.Random) -> list[Op]:
    """How an era begins."""
    begin = [Op(Kind.MKDIRS, era.root)]
    if Kind.POLICY in abilities.kinds:
        begin.append(Op(Kind.POLICY, era.root, name=rng.choice(POLICIES)))
    return begin


def closing(era: Era) -> list[Op]:
    """How an era ends: whatever is open is closed."""
    files = [(path, era.world[path]) for path in era.files(closed=False)]
    return [
        Op(Kind.CLOSE, path, content=node.content, length=node.most) for path, node in files if isinstance(node, File)
    ]


def choose(era: Era, abilities: Abilities, rng: random.Random) -> Op:
    """The next operation; always one that must succeed if the cluster keeps its word."""
    era.steps += 1
    kinds = [kind for kind in WEIGHTS if kind in abilities.kinds]
    while True:
        (kind,) = rng.choices(kinds, [WEIGHTS[kind] for kind in kinds])
        op = _CHOICES[kind](era, abilities, rng)
        if op is not None:
            return op


def _name(era: Era, rng: random.Random, prefix: str) -> str:
    era.names += 1
    return posixpath.join(rng.choice(era.folders()), f"{prefix}{era.names}")


def _mkdirs(era: Era, abilities: Abilities, rng: random.Random) -> Op | None:
    if len(era.folders()) > ENTRIES_MAX // 4:
        return None
    path = _name(era, rng, "d")
    return Op(Kind.MKDIRS, path if rng.random() < 0.7 else f"{path}/below")


def _create(era: Era, abilities: Abilities, rng: random.Random) -> Op | None:
    if len(era.files(closed=False)) >= STREAMS_MAX or len(era.world) > ENTRIES_MAX:
        return None
    old = era.files(closed=True)
    if abilities.overwrites and old and rng.random() < 0.2:
        return Op(Kind.CREATE, rng.choice(old), content=_content(era), overwrite=True)
    return Op(Kind.CREATE, _name(era, rng, "s"), content=_content(era))


def _content(era: Era) -> str:
    era.names += 1
    return f"{era.root}#{era.names}"


def _write(era: Era, abilities: Abilities, rng: random.Random) -> Op | None:
    file = _pick_open(era, rng)
    if file is None:
        return None
    path, node = file
    more = rng.choice((1, 100, 511, 513, 5000, 70_000, 70_000, 300_000))
    if node.most + more > 3 * BLOCK_BYTES:
        return None
    sync = rng.choice(abilities.syncs)
    return Op(Kind.WRITE, path, content=node.content, length=node.most + more, sync=sync)


def _close(era: Era, abilities: Abilities, rng: random.Random) -> Op | None:
    file = _pick_open(era, rng)
    if file is None or (file[1].most < 5000 and rng.random() < 0.7):
        return None
    return Op(Kind.CLOSE, file[0], content=file[1].content, length=file[1].most)


def _pick_open(era: Era, rng: random.Random) -> tuple[str, File] | None:
    paths = era.files(closed=False)
    if not paths:
        return None
    path = rng.choice(paths)
    node = era.world[path]
    assert isinstance(node, File)
    return path, node


def _put(era: Era, abilities: Abilities, rng: random.Random) -> Op | None:
    old = era.files(closed=True)
    overwrite = abilities.overwrites and bool(old) and rng.random() < 0.2
    if not overwrite and len(era.world) > ENTRIES_MAX:
        return None
    path = rng.choice(old) if overwrite else _name(era, rng, "f")
    length = rng.choice(LARGE_SIZES if rng.random() < 0.15 else SIZES)
    via = path + abilities.via if abilities.via else ""
    content = _content(era)
    return Op(Kind.PUT, path, content=content, length=length, overwrite=overwrite, via=via, loose=abilities.loose)


def _rename(era: Era, abilities: Abilities, rng: random.Random) -> Op | None:
    folders, files = era.movable(), era.files(closed=True)
    if folders and rng.random() < 0.3:
        source = rng.choice(folders)
        parents = [path for path in era.folders() if path != source and not path.startswith(source + "/")]
        era.names += 1
        return Op(Kind.RENAME, source, target=f"{rng.choice(parents)}/m{era.names}")
    if not files:
        return None
    source = rng.choice(files)
    others = [path for path in files if path != source]
    if abilities.rename_overwrites and others and rng.random() < 0.3:
        return Op(Kind.RENAME, source, target=rng.choice(others), overwrite=True)
    return Op(Kind.RENAME, source, target=_name(era, rng, "r"))


def _delete(era: Era, abilities: Abilities, rng: random.Random) -> Op | None:
    candidates = era.movable() if rng.random() < 0.2 else era.files(closed=True)
    return Op(Kind.DELETE, rng.choice(candidates)) if candidates else None


def _chmod(era: Era, abilities: Abilities, rng: random.Random) -> Op | None:
    candidates = [*era.movable(), *era.files(closed=True)]
    return Op(Kind.CHMOD, rng.choice(candidates), mode=rng.choice((0o700, 0o750, 0o711))) if candidates else None


def _chown(era: Era, abilities: Abilities, rng: random.Random) -> Op | None:
    files = era.files(closed=True)
    return Op(Kind.CHOWN, rng.choice(files), name=rng.choice(("ann", "ben"))) if files else None


def _times(era: Era, abilities: Abilities, rng: random.Random) -> Op | None:
    files = era.files(closed=True)
    return Op(Kind.TIMES, rng.choice(files), at_ms=rng.randrange(1, 1 << 40)) if files else None


def _read(era: Era, abilities: Abilities, rng: random.Random) -> Op | None:
    files = [*era.files(closed=True), *(era.files(closed=False) if "hflush" in abilities.syncs else ())]
    if not files:
        return None
    path = rng.choice(files)
    node = era.world[path]
    assert isinstance(node, File)
    return Op(Kind.READ, path, content=node.content, length=node.least)


_CHOICES = {
    Kind.MKDIRS: _mkdirs,
    Kind.CREATE: _create,
    Kind.WRITE: _write,
    Kind.CLOSE: _close,
    Kind.PUT: _put,
    Kind.RENAME: _rename,
    Kind.DELETE: _delete,
    Kind.CHMOD: _chmod,
    Kind.CHOWN: _chown,
    Kind.TIMES: _times,
    Kind.READ: _read,
}
