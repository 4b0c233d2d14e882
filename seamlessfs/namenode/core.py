"""What every handler of the namenode uses: the writer, the tree, the block manager, the clock."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import Message

from seamlessfs.blocks.commands import Command
from seamlessfs.blocks.manager import BlockManager
from seamlessfs.blocks.policy import BlockFacts
from seamlessfs.blocks.safe_mode import Found, SafeModeRule
from seamlessfs.blocks.topology import Topology
from seamlessfs.config.namenode import NamenodeSettings
from seamlessfs.model.block import Block
from seamlessfs.model.cluster import DatanodeInfo, Location
from seamlessfs.model.errors import AccessDenied, Retriable
from seamlessfs.model.ids import BlockId, InodeId, PolicyId, Txid
from seamlessfs.model.policy import PlacementPolicy
from seamlessfs.model.principal import Principal
from seamlessfs.namenode.events import event
from seamlessfs.namenode.standstill import Standstill
from seamlessfs.namenode.writer import Rescue, Writer
from seamlessfs.namespace.context import Context, NamespaceLimits
from seamlessfs.namespace.namespace import Namespace
from seamlessfs.net.rpc_server import CallContext
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.records import BlockState, ClusterIdentity

if TYPE_CHECKING:
    from seamlessfs.namenode.recovery import LeaseRecoverer

T = TypeVar("T")
LOG = logging.getLogger(__name__)
REACHED_MAX = 1 << 16


def wall_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def mono_ms() -> int:
    """Milliseconds of a clock that never jumps."""
    return time.monotonic_ns() // 1_000_000


class SteadyClock:
    """What leases and the retry cache go by: it runs evenly, and stands still while the process does.

    It starts at the wall clock's time, so that what was stamped before a restart is of a known age after it. Time in
    which the process was stopped counts for no more than `gap_max_ms`: nobody could be heard then. It must be read
    more often than that.
    """

    def __init__(
        self, gap_max_ms: int = 1000, wall: Callable[[], int] = wall_ms, mono: Callable[[], int] = mono_ms
    ) -> None:
        self._gap_max_ms = gap_max_ms
        self._mono = mono
        self._read_at_ms = mono()
        self._now_ms = wall()

    def now_ms(self) -> int:
        at_ms = self._mono()
        self._now_ms += min(at_ms - self._read_at_ms, self._gap_max_ms)
        self._read_at_ms = at_ms
        return self._now_ms


@dataclasses.dataclass(frozen=True, slots=True)
class RunningRecovery:
    """A file that was taken from its holder and is not closed yet, the block that it waits for, and why."""

    inode_id: InodeId
    block_id: BlockId
    since_mono_ms: int
    reason: str


class Core:
    """The namenode's parts, and the two ways to change the namespace through them.

    Attributes:
        clock: what leases and the retry cache go by.
        dispatch: carries commands of the block manager to datanodes; set once the control service is there.
        reports: set whenever replicas were reported, for calls that wait for them.
        transfer_ended: set whenever a background copy has ended.
        standstill: safe mode, of the start or by hand.
        recoverer: closes files whose writers are gone; it enters itself.
    """

    recoverer: LeaseRecoverer

    def __init__(
        self,
        settings: NamenodeSettings,
        writer: Writer,
        namespace: Namespace,
        blocks: BlockManager,
        topology: Topology,
        limits: NamespaceLimits,
        identity: ClusterIdentity,
        superuser: str,
    ) -> None:
        self.settings = settings
        self.writer = writer
        self.namespace = namespace
        self.blocks = blocks
        self.topology = topology
        self.limits = limits
        self.identity = identity
        self.superuser = superuser
        self.clock = SteadyClock()
        self.policies: dict[PolicyId, PlacementPolicy] = {
            policy.id: policy for policy in namespace.storage_policies(writer.view())
        }
        self.dispatch: Callable[[Iterable[Command]], None] = lambda commands: None
        self.reports = asyncio.Event()
        self.transfer_ended = asyncio.Event()
        self.standstill = Standstill(
            SafeModeRule(settings.safemode_threshold, settings.safemode_min_datanodes, settings.safemode_extension_ms),
            settings.safemode_hold_ms,
            self._found,
            mono_ms,
            self._moves_again,
        )
        self._accessed: dict[InodeId, asyncio.Future[None]] = {}
        self._reached: set[InodeId] = set()
        """Directories below the root, as of the batch `_reached_at`: of many blocks few are looked up."""
        self._reached_at = Txid(0)
        self._asked_at_ms: dict[BlockId, int] = {}
        """Since when the writer of a block has been asking whether it is ready."""

    @property
    def safe_mode(self) -> bool:
        """Whether the namespace stands still."""
        return self.standstill.on

    def _found(self) -> Found:
        total = self.namespace.complete_blocks(self.view())
        blocks = self.blocks
        return Found(min(blocks.located, total), total, blocks.live_datanodes, blocks.judge.parked_bytes)

    def _moves_again(self) -> None:
        self.namespace.leases.renew_all(self.clock.now_ms())

    def context(self, call: CallContext) -> Context:
        """The call as the namespace sees it."""
        return Context(wall_ms(), call.principal, self.limits, steady_ms=self.clock.now_ms())

    def own_context(self) -> Context:
        """What the namenode does by itself, as the namespace sees it."""
        caller = Principal(self.superuser, superuser=True)
        return Context(wall_ms(), caller, self.limits, steady_ms=self.clock.now_ms())

    def view(self) -> ReadView:
        """Everything that is durable."""
        return self.writer.view()

    def place(self, call: CallContext) -> Location | None:
        """Where the caller is; None when no rule of the topology covers its address."""
        return self.topology.locate(call.principal.address)

    def require_superuser(self, call: CallContext) -> None:
        """Raises AccessDenied, with HDFS's text, for everybody else."""
        self.require_superuser_of(call.principal)

    def require_superuser_of(self, principal: Principal) -> None:
        """As `require_superuser`, for a caller of another port."""
        if not principal.superuser and self.settings.permissions_enabled:
            raise AccessDenied(f"Access denied for user {principal.user}. Superuser privilege is required")

    def change(self, call: CallContext, operation: Callable[[Transaction, Context], T]) -> asyncio.Future[T]:
        """Runs an operation on the namespace; the future has its result once it is durable."""
        context = self.context(call)
        return self.writer.submit(lambda tx: operation(tx, context))

    def change_once(
        self,
        call: CallContext,
        operation: Callable[[Transaction, Context], Message],
        rescue: Rescue | None = None,
    ) -> asyncio.Future[bytes]:
        """As `change`, for a call that must not run twice: a repeated one gets the first one's answer, as bytes.

        Wire: the retry cache's key is (client id, call id). The first one's answer is seen by a repeated call as soon
        as the first has run, and given when it is durable. One that was answered "false" changed nothing, and runs
        again, as in HDFS.
        """
        context, retries = self.context(call), self.namespace.retries
        client_id, call_id = call.client_id, call.call_id

        def run(tx: Transaction) -> bytes:
            kept = retries.answer(tx, client_id, call_id)
            if kept is not None:
                return kept
            answer = operation(tx, context)
            encoded = answer.SerializeToString()
            if getattr(answer, "result", True):
                retries.remember(tx, context.steady_ms, client_id, call_id, encoded)
            return encoded

        return self.writer.submit(run, rescue)

    def is_answered(self, call: CallContext) -> bool:
        """Whether a call that must not run twice has run."""
        return self.namespace.retries.answer(self.view(), call.client_id, call.call_id) is not None

    def record_access(self, call: CallContext, inode_id: InodeId) -> None:
        """Moves a file's access time behind the reader's back: one update a file at a time, nobody waits for it."""
        if inode_id in self._accessed or self.safe_mode:
            return
        try:
            moved = self.change(call, lambda tx, context: self.namespace.record_access(tx, context, inode_id))
        except Retriable:
            return
        self._accessed[inode_id] = moved
        moved.add_done_callback(lambda done: self._access_recorded(inode_id, done))

    def _access_recorded(self, inode_id: InodeId, done: asyncio.Future[None]) -> None:
        self._accessed.pop(inode_id, None)
        if not done.cancelled() and (error := done.exception()) is not None:
            event(LOG, "access_time_lost", logging.WARNING, inode=inode_id, error=error)

    def facts(self, block_id: BlockId) -> BlockFacts | None:
        """What the namespace says about a block, or None: it has no such block."""
        view = self.view()
        if view.txid != self._reached_at or len(self._reached) > REACHED_MAX:
            self._reached_at, self._reached = view.txid, set()
        return self.facts_in(view, block_id, self._reached)

    def facts_in(self, view: ReadView, block_id: BlockId, reached: set[InodeId] | None = None) -> BlockFacts | None:
        """As `facts`, as of one view."""
        record = self.namespace.block(view, block_id)
        if record is None:
            return None
        file = self.namespace.file(view, record.inode_id, reached)
        if file is None:
            return None
        return BlockFacts(
            block=record.block,
            policy=self.policies[file.policy_id],
            replication=file.replication,
            home_idc=record.home_idc,
            peer_idc=record.peer_idc,
            committed=record.state in (BlockState.COMMITTED, BlockState.COMPLETE),
            committed_at_ms=record.committed_at_ms,
            pipeline=record.pipeline,
        )

    def ready_in(self, view: ReadView, block_id: BlockId) -> bool:
        """Whether a block has the finalised replicas that its policy asks for before it counts as written."""
        facts = self.facts_in(view, block_id)
        if facts is None:
            return False
        asked_at_ms = self._asked_at_ms.setdefault(block_id, mono_ms())
        ready = self.blocks.ready(facts, mono_ms() - asked_at_ms)
        if ready:
            del self._asked_at_ms[block_id]
        return ready

    def forget_block(self, block: Block) -> None:
        """A block is gone from the namespace: so are its replicas, in time."""
        self._asked_at_ms.pop(block.id, None)
        self.recoverer.forget_block(block.id)
        self.blocks.block_removed(block)

    def block_committed(self, block_id: BlockId) -> None:
        """A block's length is final and durable: from now on its replicas count, and what is missing is owed."""
        facts = self.facts(block_id)
        if facts is not None and facts.committed:
            self.blocks.block_committed(facts)

    def recoveries(self) -> list[RunningRecovery]:
        """Files that were taken from their holders and are not closed, the oldest first."""
        return self.recoverer.recoveries()

    async def wait_for_reports(self, reports: asyncio.Event, timeout_s: float) -> None:
        """Returns once replicas are reported, or after `timeout_s`.

        Args:
            reports: `self.reports` as it was before the caller looked, so that no report in between is missed.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reports.wait(), timeout_s)

    def reported(self) -> None:
        """Wakes everybody that waits for reports."""
        self.reports.set()
        self.reports = asyncio.Event()
        self.recoverer.reported()
        self.standstill.look()

    def with_wall_clock(self, node: DatanodeInfo) -> DatanodeInfo:
        """The datanode with its monotonic times turned into wall-clock ones."""
        offset = wall_ms() - mono_ms()
        reported = node.last_block_report_at_ms
        return dataclasses.replace(
            node,
            last_update_at_ms=node.last_update_mono_ms + offset,
            last_block_report_at_ms=reported + offset if reported else 0,
        )
