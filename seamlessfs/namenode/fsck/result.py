"""The sums of a check, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass, fields

from seamlessfs.model.java_text import float_percent, float_text, single
from seamlessfs.model.status import ServerDefaults

MIN_REPLICATION = 1
STARS = "  ********************************\n"


@dataclass(slots=True)
class Result:
    """Sums over files of one kind. `open_*`: over files that are being written, which are not looked at closer."""

    size: int = 0
    files: int = 0
    blocks: int = 0
    open_size: int = 0
    open_files: int = 0
    open_blocks: int = 0
    replicas: int = 0
    expected_replicas: int = 0
    missing_replicas: int = 0
    minimally: int = 0
    under_minimum: int = 0
    over: int = 0
    under: int = 0
    misplaced: int = 0
    corrupt_files: int = 0
    corrupt_blocks: int = 0
    corrupt_size: int = 0
    missing_blocks: int = 0
    missing_size: int = 0
    queued: int = 0

    @property
    def healthy(self) -> bool:
        return not self.missing_blocks and not self.corrupt_blocks

    def as_dict(self) -> dict[str, int]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _share(self, count: int) -> str:
        return f"{count} ({float_text(float_percent(count, self.blocks))} %)" if self.blocks else str(count)

    def _average(self) -> str:
        return float_text(single(self.replicas / self.blocks) if self.blocks else 0.0)

    def _missing_replicas(self) -> str:
        if not self.replicas:
            return str(self.missing_replicas)
        return f"{self.missing_replicas} ({float_text(float_percent(self.missing_replicas, self.expected_replicas))} %)"

    def _head(self, block: str) -> str:
        """Sizes and numbers; `block` is what the files are made of."""
        size = f" Total size:\t{self.size} B"
        if self.open_size:
            size += f" (Total open files size: {self.open_size} B)"
        files = f" Total files:\t{self.files}"
        if self.open_files:
            files += f" (Files currently being written: {self.open_files})"
        blocks = f" Total {block}s (validated):\t{self.blocks}"
        if self.blocks:
            blocks += f" (avg. {block} size {self.size // self.blocks} B)"
        if self.open_blocks:
            blocks += f" (Total open file {block}s (not validated): {self.open_blocks})"
        return f"{size}\n{files}\n{blocks}\n"

    def _alarm(self) -> str:
        """Between stars what a person must do something about."""
        if not self.corrupt_files and not self.under_minimum:
            return ""
        text = STARS
        if self.under_minimum:
            text += f"  UNDER MIN REPL'D BLOCKS:\t{self._share(self.under_minimum)}\n"
            text += f"  MINIMAL BLOCK REPLICATION:\t{MIN_REPLICATION}\n"
        if self.corrupt_files:
            text += f"  CORRUPT FILES:\t{self.corrupt_files}\n"
        if self.missing_size:
            text += f"  MISSING BLOCKS:\t{self.missing_blocks}\n  MISSING SIZE:\t\t{self.missing_size} B\n"
        if self.corrupt_blocks:
            text += f"  CORRUPT BLOCKS: \t{self.corrupt_blocks}\n  CORRUPT SIZE:\t\t{self.corrupt_size} B\n"
        return text + STARS

    def replicated(self) -> str:
        """The paragraph about files whose blocks have replicas."""
        return (
            f"{self._head('block')}{self._alarm()}"
            f" Minimally replicated blocks:\t{self._share(self.minimally)}\n"
            f" Over-replicated blocks:\t{self._share(self.over)}\n"
            f" Under-replicated blocks:\t{self._share(self.under)}\n"
            f" Mis-replicated blocks:\t\t{self._share(self.misplaced)}\n"
            f" Default replication factor:\t{ServerDefaults().replication}\n"
            f" Average block replication:\t{self._average()}\n"
            f" Missing blocks:\t\t{self.missing_blocks}\n"
            f" Corrupt blocks:\t\t{self.corrupt_blocks}\n"
            f" Missing replicas:\t\t{self._missing_replicas()}\n"
            f" Blocks queued for replication:\t{self.queued}\n"
        )


def striped() -> str:
    """The paragraph about striped files, of which there are none."""
    none = Result()
    return (
        f"{none._head('block group')}"
        " Minimally erasure-coded block groups:\t0\n"
        " Over-erasure-coded block groups:\t0\n"
        " Under-erasure-coded block groups:\t0\n"
        " Unsatisfactory placement block groups:\t0\n"
        " Average block group size:\t0.0\n"
        " Missing block groups:\t\t0\n"
        " Corrupt block groups:\t\t0\n"
        " Missing internal blocks:\t0\n"
        " Blocks queued for replication:\t0\n"
    )
