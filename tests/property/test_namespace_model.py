"""Random programs against a dictionary from paths to what is there: the same results, the same classes of errors.

Three users, every call that changes something, restarts and crashes in between; after each batch the tree is compared,
and every row of the store is checked against the others. `make model STEPS=50000 SEED=7` runs one long program.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path as Folder
from typing import Any, TypeVar

import pytest

from seamlessfs.model.errors import FilesystemError
from seamlessfs.store import keys
from tests.property.namespace_model import Path
from tests.property.namespace_real import MemoryDisk, Real, RealDisk, text
from tests.property.namespace_steps import Step, draw
from tests.property.namespace_writers import WriterModel
from tests.support.shortening import shortest

T = TypeVar("T")
START_MS = 1_000_000
STEP_MS = 7
"""So little that no lease of any program falls silent."""
LONG_STEPS = 2500
SHORT_PROGRAMS, SHORT_STEPS = 40, 150


class Dice:
    """Chance from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def pick(self, values: Sequence[T]) -> T:
        return self._random.choice(values)


class Both:
    """The model and the namespace, step by step."""

    def __init__(self, real: Real) -> None:
        self.real = real
        self.model = WriterModel(START_MS)
        self.answers: dict[int, bytes] = {}
        self._keep()

    def _keep(self) -> None:
        """What is sealed will be there after a crash, with the numbers by which steps call it."""
        real = self.real
        self._sealed = self.model.copy(), *map(dict, (self.answers, real.inodes, real.blocks, real.stamps))

    def run(self, step: Step) -> None:
        number, name, *arguments = step
        self.model.step = self.real.step = number
        self.model.now = self.real.now = START_MS + number * STEP_MS
        if name in ("seal", "apply", "reload", "crash", "reap"):
            getattr(self, name)(*arguments)
            return
        expected = outcome(lambda: getattr(self.model, name)(*arguments))
        actual = outcome(lambda: self.real.run(name, tuple(arguments)))
        assert actual == expected, step
        if not isinstance(expected, type):
            self.answers[number] = repr(expected).encode()

    def seal(self) -> None:
        self.real.seal()
        self._keep()
        self.compare()

    def apply(self) -> None:
        self.real.apply()

    def reload(self) -> None:
        self.seal()
        self.real.reload()

    def reap(self, limit: int) -> None:
        self.real.gather(lambda tx: self.real.namespace.reap(tx, self.real.ctx("root"), limit))

    def crash(self) -> None:
        """What was not sealed is gone, in both."""
        self.real.crash()
        model, *known = self._sealed
        self.model = model.copy()
        self.answers, self.real.inodes, self.real.blocks, self.real.stamps = map(dict, known)
        self.compare()

    def compare(self) -> None:
        """The whole tree, and the answers of the last steps as clients that repeat them get them."""
        self.real.check()
        assert self.tree() == {path: self.described(path) for path in self.model.nodes}
        for number in list(self.answers)[-20:]:
            assert self.real.remembered(number) == self.answers[number]
        unanswered = self.model.step + 1
        assert self.real.remembered(unanswered) is None

    def described(self, path: Path) -> tuple[Any, ...]:
        node = self.model.nodes[path]
        facts = node.owner, node.group, node.mode, node.modified, node.accessed, self.model.policy_of(path)
        if node.directory:
            return True, len(self.model.entries(path)), *facts
        return False, node.length, *facts, node.replication, node.holder is None, self.real.inode(node.number)

    def tree(self) -> dict[Path, tuple[Any, ...]]:
        """What can be found by listing everything."""
        found: dict[Path, tuple[Any, ...]] = {}
        waiting: list[Path] = [()]
        view, ctx, namespace = self.real.overlay.view(), self.real.ctx("root"), self.real.namespace
        while waiting:
            path = waiting.pop()
            status = self.real.status(path)
            assert status is not None
            policy = self.real.policy_name(status.policy_id)
            facts = status.owner, status.group, status.permission, status.modified_at_ms, status.accessed_at_ms, policy
            if status.is_directory:
                found[path] = True, status.children, *facts
                listing = namespace.get_listing(view, ctx, text(path))
                assert listing is not None
                waiting += [(*path, entry.name.decode()) for entry in listing.entries]
            else:
                closed = namespace.is_file_closed(view, ctx, text(path))
                found[path] = False, status.length, *facts, status.replication, closed, status.inode_id
        return found

    def finish(self) -> None:
        """When the reaper is done, the store holds rows of what can be found, and nothing else."""
        self.seal()
        while self.real.namespace.reapable(self.real.overlay.view()):
            self.reap(50)
            self.seal()
        view, nodes = self.real.overlay.view(), self.model.nodes.values()
        assert len(list(view.scan(b"I|", b"I}"))) == len(list(view.scan(b"E|", b"E}"))) == len(nodes)
        assert len(list(view.scan(*keys.all_leases()))) == sum(node.holder is not None for node in nodes)
        assert len(list(self.real.namespace.blocks(view))) == sum(len(node.blocks) for node in nodes)


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except FilesystemError as error:
        return type(error)


def failure(seed: int, steps: int, disk: MemoryDisk | RealDisk) -> str:
    """What went wrong in a program, with its seed and the shortest program that fails; nothing if nothing did."""
    both, dice = Both(Real(disk, START_MS)), Dice(seed)
    program: list[Step] = []
    try:
        for number in range(1, steps + 1):
            program.append(draw(number, dice, both.model))
            both.run(program[-1])
        both.finish()
    except AssertionError as error:
        short = "\n".join(map(repr, shortest(program, fails)))
        return f"seed {seed}: {error}\n{short}"
    return ""


def fails(program: list[Step]) -> bool:
    """Whether a program shows a failure by itself."""
    both = Both(Real(MemoryDisk(), START_MS))
    try:
        for step in program:
            both.run(step)
        both.finish()
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("seed", range(SHORT_PROGRAMS))
def test_a_short_program(seed: int) -> None:
    if said := failure(seed, SHORT_STEPS, MemoryDisk()):
        pytest.fail(said)


@pytest.mark.timeout(3600)
def test_a_long_program(tmp_path: Folder) -> None:
    """On a real store and journal; the seed changes, and is in the message of a failure."""
    seed = int(os.environ.get("MODEL_SEED") or random.randrange(1_000_000))
    disk = RealDisk(tmp_path)
    if said := failure(seed, int(os.environ.get("MODEL_STEPS") or LONG_STEPS), disk):
        pytest.fail(said)
    disk.close()
