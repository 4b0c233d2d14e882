"""Steps of random programs: three users, two writers, few names, everything that changes the namespace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from tests.property.namespace_model import GROUPS, Path
from tests.property.namespace_writers import Named, WriterModel

T = TypeVar("T")
USERS = ("root", "root", "root", *GROUPS)
HOLDERS = ("h1", "h2")
NAMES = ("a", "b", "c")
MODES = (*[0o777] * 8, 0o755, 0o755, 0o1777, 0o700, 0o500, 0o300, 0o070, 0o000)
LENGTHS = (0, 1, 40, 99, 100, 101)
DEPTH_MAX = 4


class Chooser(Protocol):
    """Where chance comes from."""

    def pick(self, values: Sequence[T]) -> T: ...


Step = tuple[Any, ...]
"""Number, name, arguments. What a step makes is called by its number in later steps."""


def draw(number: int, choose: Chooser, model: WriterModel) -> Step:
    """A step that has a fair chance to get somewhere in the model as it is."""
    return number, *choose.pick(MAKERS)(choose, model)


def some_path(choose: Chooser, model: WriterModel) -> Path:
    """Of something that is there, or below it."""
    known = choose.pick(list(model.nodes))
    if len(known) < DEPTH_MAX and choose.pick((True, False, False)):
        known = (*known, choose.pick(NAMES))
    return known


def new_path(choose: Chooser, model: WriterModel) -> Path:
    known = some_path(choose, model)
    return (*known, choose.pick(NAMES)) if len(known) < DEPTH_MAX else known


def some_file(choose: Chooser, model: WriterModel) -> tuple[int, str]:
    """Number and holder of an open file; now and then of another one, or for another holder."""
    opened = [(node.number, node.holder) for node in model.nodes.values() if node.holder is not None]
    every = [node.number for node in model.nodes.values() if not node.directory]
    if opened and choose.pick(range(8)):
        return choose.pick(opened)
    return choose.pick([*every, 10**6]), choose.pick(HOLDERS)


def some_block(choose: Chooser, model: WriterModel, number: int) -> Named | None:
    """The last block of a file with a length that is possible; now and then another one, another stamp, or none."""
    path = model.by_number(number)
    blocks = model.nodes[path].blocks if path is not None else []
    if not blocks:
        return None
    which = choose.pick(range(12))
    if which == 0:
        return None
    block = blocks[0] if which == 1 else blocks[-2] if which == 2 and len(blocks) > 1 else blocks[-1]
    length = choose.pick([length for length in LENGTHS if length >= block.length or which == 3] or [block.length])
    stamp = 10**6 if which == 4 else block.stamp
    return Named(block.number, stamp, length)


def create(choose: Chooser, model: WriterModel) -> Step:
    user, path, mode = choose.pick(USERS), new_path(choose, model), choose.pick((0o644, 0o666, *MODES))
    overwrite, parents = choose.pick((True, False)), choose.pick((True, True, False))
    return "create", user, path, mode, choose.pick(HOLDERS), overwrite, parents, choose.pick((1, 2, 3, 3, 0, 513))


def add_block(choose: Chooser, model: WriterModel) -> Step:
    number, holder = some_file(choose, model)
    return "add_block", number, holder, some_block(choose, model, number)


def complete(choose: Chooser, model: WriterModel) -> Step:
    number, holder = some_file(choose, model)
    return "complete", number, holder, some_block(choose, model, number), choose.pick((True, True, False))


def abandon(choose: Chooser, model: WriterModel) -> Step:
    number, holder = some_file(choose, model)
    return "abandon_block", number, holder, some_block(choose, model, number) or Named(10**6, 10**6, 0)


def new_stamp(choose: Chooser, model: WriterModel) -> Step:
    number, holder = some_file(choose, model)
    return "update_block_for_pipeline", holder, some_block(choose, model, number) or Named(10**6, 10**6, 0)


def new_pipeline(choose: Chooser, model: WriterModel) -> Step:
    """The stamp is one that was given out lately, for whatever block."""
    number, holder = some_file(choose, model)
    old = some_block(choose, model, number) or Named(10**6, 10**6, 0)
    stamp = choose.pick([*sorted(model.stamps)[-3:], 10**6])
    return "update_pipeline", holder, old, Named(old.number, stamp, choose.pick((old.length, old.length, 0, 100)))


def recover(choose: Chooser, model: WriterModel) -> Step:
    """Of an old file rather than of one that is being written."""
    files = [node.number for node in model.nodes.values() if not node.directory]
    return "recover", choose.pick(files or [10**6]), choose.pick((0, 0, 30))


def rename2(choose: Chooser, model: WriterModel) -> Step:
    source, target = some_path(choose, model), new_path(choose, model)
    return "rename2", choose.pick(USERS), source, target, choose.pick((True, False)), choose.pick((True, False, False))


def set_owner(choose: Chooser, model: WriterModel) -> Step:
    names = (None, "alice", "bob", "")
    return (
        "set_owner",
        choose.pick(USERS),
        some_path(choose, model),
        choose.pick(names),
        choose.pick((None, "shared", "")),
    )


def set_times(choose: Chooser, model: WriterModel) -> Step:
    times = (-1, 0, 5, 1 << 45)
    return "set_times", choose.pick(USERS), some_path(choose, model), choose.pick(times), choose.pick(times)


def of_path(name: str, *more: Sequence[Any]) -> Callable[[Chooser, WriterModel], Step]:
    """A step about one path, with further arguments from these."""
    return lambda choose, model: (
        name,
        choose.pick(USERS),
        (new_path if name == "mkdirs" else some_path)(choose, model),
        *map(choose.pick, more),
    )


MAKERS: tuple[Callable[[Chooser, WriterModel], Step], ...] = (
    *[of_path("mkdirs", MODES, (True, False))] * 5,
    *[create] * 8,
    *[add_block] * 9,
    *[complete] * 3,
    abandon,
    lambda choose, model: ("fsync", *some_file(choose, model), choose.pick(LENGTHS)),
    new_stamp,
    new_stamp,
    *[new_pipeline] * 2,
    recover,
    *[of_path("delete", (True, False, False))] * 3,
    *[lambda choose, model: ("rename", choose.pick(USERS), some_path(choose, model), new_path(choose, model))] * 3,
    *[rename2] * 3,
    *[of_path("set_permission", MODES)] * 2,
    set_owner,
    *[set_times] * 2,
    of_path("set_replication", (1, 2, 4, 0)),
    of_path("set_storage_policy", ("IDC_NONE", "IDC_2_2_SYNC", "IDC_LOCAL_2", "HOT", "nope")),
    of_path("unset_storage_policy"),
    *[of_path("look")] * 2,
    of_path("names"),
    of_path("summary"),
    *[lambda choose, model: ("seal",)] * 5,
    lambda choose, model: ("apply",),
    lambda choose, model: ("reload",),
    lambda choose, model: ("crash",),
    *[lambda choose, model: ("reap", choose.pick((1, 3, 50)))] * 2,
)
