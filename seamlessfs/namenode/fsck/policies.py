"""On which storage types blocks are, and whether the policies of their files want that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import zip_longest

from seamlessfs.model.policy import HDFS_POLICIES
from seamlessfs.wire.convert.policy import storage_types_of

STORAGE_TYPES = ("RAM_DISK", "NVDIMM", "SSD", "DISK", "ARCHIVE", "PROVIDED")
"""In HDFS's order."""

NONE = ""
"""No policy wants the types that a block has."""


class PolicySummary:
    """Blocks by the policy of their file and the storage types that they have."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, tuple[str, ...]]] = Counter()

    def add(self, policy: str, storage_types: Iterable[str]) -> None:
        self._counts[policy, tuple(sorted(storage_types, key=STORAGE_TYPES.index))] += 1

    def text(self) -> str:
        """Two tables, as stock shows them."""
        total = self._counts.total()
        satisfied, others = [], []
        for (policy, types), count in self._counts.most_common():
            actual = _policy_of(types, policy)
            shown = ",".join(f"{kind}:{number}" for kind, number in Counter(types).items())
            shown += f"({actual})" if actual else ""
            share = f"{count / total * 100:.4f}%"
            if actual == policy:
                satisfied.append(f"{shown:<25} {count:>10}  {share:>20}\n")
            else:
                others.append(f"{shown:<35} {policy:<20} {count:>10}  {share:>20}\n")
        text = "\nBlocks satisfying the specified storage policy:\n"
        text += "Storage Policy                  # of blocks       % of blocks\n" + "".join(satisfied)
        if not others:
            return f"{text}\nAll blocks satisfy specified storage policy.\n"
        text += "\nBlocks NOT satisfying the specified storage policy:\n"
        return (
            text
            + f"Storage Policy{'':18}Specified Storage Policy      # of blocks       % of blocks\n"
            + "".join(others)
        )


def _policy_of(types: tuple[str, ...], specified: str) -> str:
    """The policy that wants these types: the specified one if it does; HDFS's by id otherwise."""
    names = [specified, *sorted(HDFS_POLICIES, key=lambda name: HDFS_POLICIES[name])]
    return next((name for name in names if _wants(name, types)), NONE)


def _wants(policy: str, types: tuple[str, ...]) -> bool:
    """Whether the policy's types come first, and its last one then stands for the rest."""
    wanted = sorted(storage_types_of(policy).creation, key=STORAGE_TYPES.index)
    return len(wanted) <= len(types) and all(a == b for a, b in zip_longest(wanted, types, fillvalue=wanted[-1]))
