"""What a mutant is, and how it gets into a copy of the sources."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """A bug as a replacement in one file.

    Attributes:
        promise: what it breaks, in the words of who relies on it.
        file: below `seamlessfs/`.
        old, new: text that occurs exactly once, and what stands there instead.
        caught_by: tests that must notice: files, or single tests as `file::name`, below `tests/`.
    """

    name: str
    promise: str
    file: str
    old: str
    new: str
    caught_by: tuple[str, ...]

    def path(self, root: Path) -> Path:
        return root / "seamlessfs" / self.file

    def mutate(self, source: str) -> str:
        """The source with the bug.

        Raises:
            ValueError: the text to replace is not there exactly once: the mutant has to follow the code.
        """
        found = source.count(self.old)
        if found != 1:
            raise ValueError(f"mutant {self.name!r}: its text occurs {found} times in {self.file}, not once")
        return source.replace(self.old, self.new)
