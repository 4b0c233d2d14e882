"""When the namespace stands still: since the start, until replicas are reported, or while an operator wants it to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from seamlessfs.blocks.safe_mode import Found, SafeModeRule, Stage, StartupSafeMode
from seamlessfs.namenode.events import event

LOG = logging.getLogger(__name__)


class Standstill:
    """Safe mode of both kinds. Times are monotonic.

    Args:
        hold_ms: for how long after the start changes wait for its end, rather than be refused.
        found: what is there now.
        over: called when the namespace moves again.
    """

    def __init__(
        self,
        rule: SafeModeRule,
        hold_ms: int,
        found: Callable[[], Found],
        clock: Callable[[], int],
        over: Callable[[], None],
    ) -> None:
        self.manual = False
        self._startup = StartupSafeMode(rule)
        self._found = found
        self._clock = clock
        self._over = over
        self._held_until_ms = clock() + hold_ms
        self._moving = asyncio.Event()

    @property
    def starting(self) -> bool:
        """Whether it is safe mode of the start: nothing is copied or deleted either."""
        return self._startup.stage is not Stage.OFF

    @property
    def on(self) -> bool:
        return self.manual or self.starting

    def look(self) -> None:
        """Leaves safe mode of the start when it is time. Cheap: call it whenever something was reported."""
        if not self.starting:
            return
        before, found = self._startup.stage, self._found()
        if self._startup.look(found, self._clock()) is not before:
            event(LOG, "safe_mode_of_start", stage=self._startup.stage.value, **found._asdict())
            self._moved()

    def enter(self) -> None:
        """An operator has the namespace stand still."""
        self.manual = True
        self._moving.clear()

    def leave(self, *, force: bool) -> None:
        """An operator ends safe mode of both kinds; replicas newer than the namespace must be forced through."""
        if self.starting and self._found().future_bytes and not force:
            return
        self._startup.leave()
        self.manual = False
        self._moved()

    def _moved(self) -> None:
        if not self.on:
            self._over()
            self._moving.set()

    @property
    def patience_ms(self) -> int:
        """How long a change may still wait for the end; 0: it is not in sight."""
        return 0 if self.manual else max(0, self._held_until_ms - self._clock())

    async def hold(self) -> None:
        """Returns when the namespace moves again, or patience has run out."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._moving.wait(), self.patience_ms / 1000)

    def why(self) -> str:
        """Wire: what stock HDFS 3.3.6 says, observed of a namenode without datanodes, with one of two, with both."""
        if self.manual:
            return 'It was turned on manually. Use "hdfs dfsadmin -safemode leave" to turn safe mode off.'
        rule, found = self._startup.rule, self._found()
        missing = rule.blocks_needed(found.total) - found.located
        reported = f"The reported blocks {found.located}"
        whole = f"the threshold {rule.threshold:.4f} of total blocks {found.total}."
        blocks = f"{reported} needs additional {missing} blocks to reach {whole}\n"
        if missing <= 0:
            blocks = f"{reported} has reached {whole} "
        return blocks + self._datanodes(found) + self._end(found)

    def _datanodes(self, found: Found) -> str:
        least = self._startup.rule.datanodes_min
        if not least:
            return "The minimum number of live datanodes is not required. "
        live = f"The number of live datanodes {found.datanodes}"
        if found.datanodes >= least:
            return f"{live} has reached the minimum number {least}. "
        missing = least - found.datanodes
        return f"{live} needs an additional {missing} live datanodes to reach the minimum number {least}.\n"

    def _end(self, found: Found) -> str:
        if found.future_bytes:
            return (
                f"Datanodes have {found.future_bytes} bytes of replicas that are newer than the namespace, which may "
                "be an old copy of itself: start the namenode with the newest one, or give these replicas up with "
                '"hdfs dfsadmin -safemode forceExit".'
            )
        if self._startup.stage is Stage.PENDING:
            return "Safe mode will be turned off automatically once the thresholds have been reached."
        seconds = self._startup.left_ms(self._clock()) // 1000
        return f"In safe mode extension. Safe mode will be turned off automatically in {seconds} seconds."
