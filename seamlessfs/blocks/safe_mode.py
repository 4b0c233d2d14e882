"""Safe mode at start: the namespace stands still until enough blocks are known to have a replica."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple


class Stage(enum.Enum):
    """How far the start is."""

    PENDING = "pending"
    """Too few blocks or datanodes have been heard of."""
    EXTENSION = "extension"
    """There are enough; the rest gets some more time."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class SafeModeRule:
    """What has to be there, and for how long. `threshold`: share of the complete blocks that need a replica."""

    threshold: float
    datanodes_min: int
    extension_ms: int

    def blocks_needed(self, total: int) -> int:
        return int(total * self.threshold)


class Found(NamedTuple):
    """What is there.

    Attributes:
        located: complete blocks with a replica.
        future_bytes: of replicas that are newer than the namespace.
    """

    located: int
    total: int
    datanodes: int
    future_bytes: int


class StartupSafeMode:
    """From the start until it is left; it never comes back."""

    def __init__(self, rule: SafeModeRule) -> None:
        self.rule = rule
        self.stage = Stage.PENDING
        self._looked = False
        self._enough_since_ms = 0

    def look(self, found: Found, now_ms: int) -> Stage:
        """Moves on as far as possible. What needs nothing at the first look is left without an extension.

        Replicas newer than the namespace keep it on: the namespace may be an old copy, under which ids that they
        already have would be given out again.
        """
        enough = found.located >= self.rule.blocks_needed(found.total) and found.datanodes >= self.rule.datanodes_min
        if self.stage is Stage.PENDING and enough:
            self.stage, self._enough_since_ms = Stage.EXTENSION, now_ms
            if not self._looked:
                self.stage = Stage.OFF
        if self.stage is Stage.EXTENSION and enough and not found.future_bytes and not self.left_ms(now_ms):
            self.stage = Stage.OFF
        self._looked = True
        return self.stage

    def left_ms(self, now_ms: int) -> int:
        """What is left of the extension."""
        return max(0, self._enough_since_ms + self.rule.extension_ms - now_ms)

    def leave(self) -> None:
        """An operator has ended it."""
        self.stage = Stage.OFF
