"""Looks at blocks that changed, notes what they owe, trims what is too much, and starts the copies."""

from __future__ import annotations

import enum
import heapq
from collections import Counter
from collections.abc import Collection
from itertools import islice

from seamlessfs.blocks.arrivals import Arrivals
from seamlessfs.blocks.cluster import (
    ClusterState,
    DatanodeDescriptor,
    IdcState,
    NodeState,
    StorageState,
    takes_replicas,
)
from seamlessfs.blocks.commands import TransferCommand
from seamlessfs.blocks.debt import DebtBook, Owed
from seamlessfs.blocks.invalidation import Invalidations
from seamlessfs.blocks.missing import MissingBlocks
from seamlessfs.blocks.placement import Picker, best_peer
from seamlessfs.blocks.policy import ANYWHERE, NO_IDC, BlockFacts, FactsLookup, Random
from seamlessfs.blocks.redundancy import Reason, Verdict, as_wanted, verify
from seamlessfs.blocks.replica_book import CorruptReason, ReplicaBook
from seamlessfs.blocks.reports import ReportJudge
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.blocks.transfers import Transfer, Transfers
from seamlessfs.model.cluster import Link
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp
from seamlessfs.model.policy import WriteMode

_PASSED_OVER_MAX = 256
"""Blocks passed over on a link in one tick (busy or missing datanodes), before the rest must wait."""

_EVALUATION_WORK = 8
"""What a whole evaluation costs, in quick looks."""


class _Outcome(enum.Enum):
    BUSY = "busy"
    STUCK = "stuck"
    SETTLED = "settled"


class Repairer:
    """Keeps blocks as their policies want them. Cost: in proportion to blocks that changed and copies that start."""

    def __init__(
        self,
        cluster: ClusterState,
        book: ReplicaBook,
        invalidations: Invalidations,
        judge: ReportJudge,
        settings: BlockSettings,
        rng: Random,
    ) -> None:
        self._cluster = cluster
        self._judge = judge
        self._book = book
        self._invalidations = invalidations
        self._settings = settings
        self._rng = rng
        self.debts = DebtBook()
        self.transfers = Transfers(settings)
        self.missing = MissingBlocks()
        self._delayed: list[tuple[int, BlockId]] = []
        self._stuck: dict[BlockId, None] = {}
        self._arrivals = Arrivals(cluster, book, settings, self._delay)

    @property
    def delayed(self) -> int:
        """Blocks that are looked at again at a later time."""
        return len(self._delayed)

    def evaluate_dirty(self, facts: FactsLookup, now_ms: int) -> None:
        """Evaluates up to `evaluate_max` blocks that changed."""
        while self._delayed and self._delayed[0][0] <= now_ms:
            self._book.touch(heapq.heappop(self._delayed)[1])
        for transfer in self.transfers.lost(now_ms):
            self._give_up(transfer, now_ms)
        dirty, work = self._book.dirty, 0
        for block_id in list(islice(dirty, self._settings.evaluate_max)):
            if work >= self._settings.evaluate_max:
                break
            dirty.pop(block_id, None)
            if self._is_fine(block_id, facts):
                work += 1
            else:
                work += _EVALUATION_WORK
                self.evaluate(block_id, facts, now_ms)
        if not dirty:
            dirty.clear()  # an emptied dictionary keeps its table: 40 to 80 bytes a block of a first wave

    def _is_fine(self, block_id: BlockId, facts: FactsLookup) -> bool:
        """Quick look at a block with nothing on record against it: most of those that a start-up reports."""
        book = self._book
        if block_id in book.open or block_id in book.corrupt or block_id in book.unfinished:
            return False
        if block_id in self.missing:
            return False
        if self.debts.of(block_id) or self.transfers.of(block_id) or block_id in self.transfers.retries:
            return False
        known = facts(block_id)
        if known is None or not known.committed:
            return False
        block = known.block
        if book.map.version(block_id) != (block.generation_stamp, block.length):
            return False
        return as_wanted(known, book.replicas(block_id))

    def _give_up(self, transfer: Transfer, now_ms: int) -> None:
        retry = self.transfers.failed(transfer, self._rng.random(), now_ms)
        self._delay(transfer.block_id, retry.not_before_ms)
        self._book.touch(transfer.block_id)

    def finished(self, transfer_id: int, ok: bool, now_ms: int) -> None:
        """Takes a transfer's result; one that is not known any more is ignored."""
        transfer = self.transfers.get(transfer_id)
        if transfer is None:
            return
        if ok:
            self.transfers.stop(transfer, now_ms)
        else:
            self._give_up(transfer, now_ms)

    def forget(self, block_id: BlockId) -> None:
        """The block is gone: nothing is owed. Copies under way end at their datanodes and are then unknown there."""
        self.debts.set(block_id, ())
        self.missing.discard(block_id)
        self.transfers.retries.pop(block_id, None)
        self._stuck.pop(block_id, None)
        self._arrivals.forget(block_id)

    def remove(self, block_id: BlockId, generation_stamp: GenerationStamp | None = None) -> None:
        """No file has the block: every replica goes, whatever its state."""
        version = self._book.map.version(block_id)
        opened = self._book.open.get(block_id)
        newest = max(generation_stamp or 0, version[0] if version else 0, opened.generation_stamp if opened else 0)
        for storage in self._book.forget(block_id):
            self._invalidations.add(block_id, GenerationStamp(newest), storage, "file deleted")
        self.forget(block_id)

    def evaluate(self, block_id: BlockId, facts: FactsLookup, now_ms: int) -> Verdict | None:
        """Derives what one block owes and has too much; None for a block that owes nothing yet or any more."""
        known = facts(block_id)
        if known is None:
            self.remove(block_id)
            return None
        if not known.committed:
            self.forget(block_id)
            if block_id in self._book.open:
                self._delay(block_id, now_ms + self._settings.retry_base_ms)
            return None
        self.promote(known)
        self._book.set_version(block_id, known.block.generation_stamp, known.block.length)
        self._book.dirty.pop(block_id, None)
        self._arrivals.judge_unfinished(block_id, now_ms)
        replicas = self._book.replicas(block_id)
        verdict = self.verdict(known, replicas)
        self._note_debt(known, replicas, verdict, now_ms)
        self._trim(known, verdict)
        self._drop_corrupt(known, verdict)
        return verdict

    def promote(self, known: BlockFacts) -> None:
        """A committed block is not open any more: what was reported of it while it was is judged now.

        A report that came after the commit was judged at once, and outranks what was seen before it.
        """
        opened = self._book.open.pop(known.block.id, None)
        if opened is not None:
            judged = {index for index in opened.seen if self._book.map.has(known.block.id, index)}
            for index, seen in opened.seen.items():
                if index not in judged:
                    self._judge.judge_committed(self._cluster.storage(index), seen, known)
            self._arrivals.expect(known.block.id, opened.pipeline)

    def verdict(self, known: BlockFacts, replicas: list[StorageState]) -> Verdict:
        """What a block with these valid replicas has, wants and owes now."""
        under_way = [target for transfer in self.transfers.of(known.block.id) for target in transfer.targets]
        peer = self._peer(known, [replica.location.idc for replica in replicas + under_way])
        return verify(known, replicas, self._cluster.live_racks, peer)

    def _peer(self, known: BlockFacts, idcs: list[str]) -> str:
        """The block's peer; where that was left open because there was none: the one that it has, or the best now."""
        policy = known.policy
        if known.peer_idc or policy.write_mode is WriteMode.LOCAL_ONLY or not policy.peer_replicas:
            return known.peer_idc
        for idc in idcs:
            if idc != known.home_idc:
                return idc
        picker = Picker(self._cluster, self._settings, self._rng, known.block.length)
        return best_peer(picker, known.home_idc, policy.peer_replicas)

    def _note_debt(self, known: BlockFacts, replicas: list[StorageState], verdict: Verdict, now_ms: int) -> None:
        block_id = known.block.id
        if Reason.MISSING in verdict.reasons:
            if block_id not in self.missing:
                self.missing.add(block_id, sum(part.want for part in verdict.per_idc.values()))
            self.debts.set(block_id, ())
            return
        self.missing.discard(block_id)
        expected = self._arrivals.expected(block_id, now_ms)
        retry = self.transfers.retries.get(block_id)
        held = retry is not None and retry.not_before_ms > now_ms
        owed = []
        for idc, count in verdict.owed.items():
            if idc == ANYWHERE and self._cluster.an_idc_is_silent:
                count = min(count, 2 - sum(replica.node.in_service for replica in replicas))
            if count <= 0:
                continue
            under_way = self._under_way(block_id, idc) + (expected.total() if idc == ANYWHERE else expected[idc])
            priority = (0 if Reason.LAST_COPY in verdict.reasons else 1, known.committed_at_ms)
            link = self._link(known, replicas, idc, idc in verdict.rack_moves)
            crossing = under_way > 0 and link.crosses
            waiting = count > under_way and not crossing and not held and idc != NO_IDC
            owed.append(Owed(link, idc, count, known.block.length, waiting, priority))
        self.debts.set(block_id, tuple(owed), now_ms)
        if not owed and retry is not None:
            del self.transfers.retries[block_id]
            self._stuck.pop(block_id, None)

    def _under_way(self, block_id: BlockId, idc: str) -> int:
        return sum(len(transfer.targets) for transfer in self.transfers.of(block_id) if transfer.idc == idc)

    def _link(self, known: BlockFacts, replicas: list[StorageState], idc: str, rack_move: bool) -> Link:
        """Where the copy comes from and goes to. Repair rule: out of the target's IDC if it has any valid replica."""
        holders = Counter(replica.location.idc for replica in replicas)
        if idc == ANYWHERE:
            idc = self._anywhere(replicas, holders, rack_move)
        if idc in holders:
            return Link(idc, idc)
        source = known.home_idc if known.home_idc in holders else min(holders)
        return Link(source, idc)

    def _anywhere(self, replicas: list[StorageState], holders: Counter[str], rack_move: bool) -> str:
        """An IDC for a block that may be anywhere: one that has it already, if that has room, else the roomiest."""
        staying = {replica.location for replica in replicas if replica.node.in_service}
        for idc, _ in sorted(holders.items(), key=lambda item: (-item[1], item[0])):
            nodes = [node for node in self._cluster.in_idc(idc) if takes_replicas(node)]
            used = {replica.node.id.uuid for replica in replicas}
            racks = staying if rack_move or len(staying) == 1 else set()
            if any(node.id.uuid not in used and node.location not in racks for node in nodes):
                return idc
        others = [idc for idc in self._cluster.idcs if self._cluster.live_racks(idc) and idc not in holders]
        return others[0] if others else min(holders)

    def _trim(self, known: BlockFacts, verdict: Verdict) -> None:
        for replica in verdict.surplus:
            self._book.remove(known.block.id, replica)
            self._invalidations.add(known.block.id, known.block.generation_stamp, replica, "surplus")

    def _drop_corrupt(self, known: BlockFacts, verdict: Verdict) -> None:
        """Deletes corrupt replicas once every copy that they made owed is there.

        Where no datanode can take one but those that have the corrupt ones, these go first, if two valid ones stay;
        those of an older stamp, which nobody can read, if one stays.

        One of an older stamp is named by a stamp below the block's: a recovery may have given it the right one since.
        """
        marked = self._book.corrupt.get(known.block.id)
        if not marked:
            return
        valid = sum(replica.confirmed for replica in self._book.replicas(known.block.id))
        wanted = sum(part.want for part in verdict.per_idc.values())
        short = any(part.have < part.want for idc, part in verdict.per_idc.items() if idc != NO_IDC)
        stuck = known.block.id in self._stuck
        if short and not stuck:
            return
        for index in list(marked):
            storage, reason = self._cluster.storage(index), marked[index]
            older = reason is CorruptReason.GENERATION_STAMP
            if valid < min(1 if older and stuck else 2, wanted):
                continue
            stamp = GenerationStamp(known.block.generation_stamp - older)
            self._invalidations.add(known.block.id, stamp, storage, f"corrupt: {reason.value}")
            self._book.remove(known.block.id, storage)

    def _delay(self, block_id: BlockId, until_ms: int) -> None:
        heapq.heappush(self._delayed, (until_ms, block_id))

    def dispatch(self, facts: FactsLookup, now_ms: int) -> list[TransferCommand]:
        """Starts what is owed, most urgent first on each link, within the limits of links and datanodes."""
        commands: list[TransferCommand] = []
        for link in self.debts.waiting_links():
            if self._cluster.idc_state(link.target) is IdcState.NORMAL and self._cluster.pool(link.target).nodes:
                commands += self._dispatch_link(link, facts, now_ms, self._settings.dispatch_max - len(commands))
        return commands

    def _dispatch_link(self, link: Link, facts: FactsLookup, now_ms: int, most: int) -> list[TransferCommand]:
        commands: list[TransferCommand] = []
        passed_over: list[BlockId] = []
        while len(commands) < most and len(passed_over) < _PASSED_OVER_MAX and self.transfers.admits(link):
            taken = self.debts.take(link)
            if taken is None:
                break
            result = self._dispatch_block(*taken, facts, now_ms)
            if result in (_Outcome.BUSY, _Outcome.STUCK):
                passed_over.append(taken[0])
                continue
            self.debts.give_back(taken[0])
            if isinstance(result, TransferCommand):
                commands.append(result)
        for block_id in passed_over:
            self.debts.give_back(block_id)
        return commands

    def _put_off(self, block_id: BlockId, facts: FactsLookup, now_ms: int) -> _Outcome:
        """No datanode can take or give the block now: others go first, until time or a new datanode helps."""
        retry = self.transfers.put_off(block_id, self._rng.random(), now_ms)
        self._stuck[block_id] = None
        self._delay(block_id, retry.not_before_ms)
        self.evaluate(block_id, facts, now_ms)
        return _Outcome.STUCK

    def wake_stuck(self) -> None:
        """A datanode has come up: blocks that found none are tried again."""
        for block_id in self._stuck:
            self.transfers.retries.pop(block_id, None)
            self._book.touch(block_id)
        self._stuck.clear()

    def _dispatch_block(
        self, block_id: BlockId, item: Owed, facts: FactsLookup, now_ms: int
    ) -> TransferCommand | _Outcome:
        """Re-derives what the block owes, then picks source and targets."""
        waiting = self.debts.queued(item.link) + 1
        verdict = self.evaluate(block_id, facts, now_ms)
        known = facts(block_id)
        current = next((owed for owed in self.debts.of(block_id) if owed.idc == item.idc), None)
        if verdict is None or known is None or current is None or not current.waiting or current.link != item.link:
            return _Outcome.SETTLED
        replicas = self._book.replicas(block_id)
        avoid = self._avoided(block_id)
        holders = [r for r in replicas if r.location.idc == item.link.source and r.node.connected]
        sources = [r for r in holders if self._can_send(r.node)]
        if not sources:
            return _Outcome.BUSY if holders else self._put_off(block_id, facts, now_ms)
        targets = self._pick_targets(known, current, verdict, replicas, avoid)
        if not targets:
            return self._put_off(block_id, facts, now_ms)
        free = [target for target in targets if target.node.receiving < self._settings.node_transfers_max]
        if len(free) < len(targets):
            return _Outcome.BUSY
        source = min(
            sources, key=lambda r: (r.node.id.uuid in avoid, r.node.state is not NodeState.LIVE, r.node.sending)
        )
        rate = self.transfers.share(item.link, waiting)
        size = known.block.length
        transfer = self.transfers.start(block_id, item.link, item.idc, source.node, targets, rate, size, now_ms)
        self.evaluate(block_id, facts, now_ms)
        cause = ",".join(reason.value for reason in verdict.reasons)
        return TransferCommand(
            transfer.id, known.block, source.node.id, tuple(t.replica() for t in targets), rate, f"{item.link} {cause}"
        )

    def _avoided(self, block_id: BlockId) -> Collection[DatanodeUuid]:
        retry = self.transfers.retries.get(block_id)
        return retry.avoid if retry is not None else ()

    def _can_send(self, node: DatanodeDescriptor) -> bool:
        if node.sending >= self._settings.node_transfers_max:
            return False
        return not self.transfers.unresolved(node)

    def _pick_targets(
        self,
        known: BlockFacts,
        owed: Owed,
        verdict: Verdict,
        replicas: list[StorageState],
        avoid: Collection[DatanodeUuid],
    ) -> list[StorageState]:
        """Datanodes for all missing copies, in one chain; after a failure one at a time, on others if there are any."""
        block_id = known.block.id
        under_way = [target for transfer in self.transfers.of(block_id) for target in transfer.targets]
        staying = {replica.location for replica in replicas if replica.node.in_service}
        one_rack = owed.idc == ANYWHERE and len(staying) == 1
        count = 1 if one_rack or avoid else owed.replicas - self._under_way(block_id, owed.idc)
        for avoided in (avoid, ()):
            picker = Picker(self._cluster, self._settings, self._rng, known.block.length, set(avoided))
            picker.extra_load = lambda node: self._unfit(node, block_id)
            for replica in [*replicas, *under_way]:
                picker.reserve(replica)
            targets = picker.pick(owed.link.target, count, new_rack_only=owed.idc in verdict.rack_moves)
            if targets or not avoided:
                break
            self.transfers.retries[block_id].avoid = frozenset()
        return targets

    def _unfit(self, node: DatanodeDescriptor, block_id: BlockId) -> bool:
        if self._invalidations.on_datanode(block_id, node):
            return True
        marked = self._book.corrupt.get(block_id, ())
        return any(storage.index in marked for storage in node.storages.values())
