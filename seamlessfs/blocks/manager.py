"""The block manager: every decision about replicas behind one object. Events in, commands out, no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from seamlessfs.blocks.cluster import ClusterState, DatanodeDescriptor, NodeState, StorageState
from seamlessfs.blocks.commands import Command, RequestReportCommand
from seamlessfs.blocks.completion import is_written
from seamlessfs.blocks.debt import LinkDebt
from seamlessfs.blocks.figures import datanodes, summed
from seamlessfs.blocks.invalidation import Invalidations
from seamlessfs.blocks.locations import Locations
from seamlessfs.blocks.membership import Membership
from seamlessfs.blocks.placement import Placement, TargetRequest, choose
from seamlessfs.blocks.policy import ANYWHERE, BlockFacts, FactsLookup, Random
from seamlessfs.blocks.redundancy import Verdict
from seamlessfs.blocks.repair import Repairer
from seamlessfs.blocks.replacement import choose_additional
from seamlessfs.blocks.replica_book import CorruptReason, OpenBlock, ReplicaBook
from seamlessfs.blocks.report_turns import ReportTurns
from seamlessfs.blocks.reports import CompleteLookup, Counters, ReplicaChange, ReportJudge, ReportPart
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.blocks.sweeps import Sweeps
from seamlessfs.blocks.topology import Topology
from seamlessfs.model.block import Block, ReplicaLocation, ReplicaState
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo, Link, Location, StorageReport
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, PolicyId, StorageHint, StorageId
from seamlessfs.model.policy import PlacementPolicy
from seamlessfs.model.status import FsStats


class BlockManager:
    """Which replica is where, which are owed, where new ones go.

    Args:
        policies: the policy registry; raises KeyError for an id that it does not have.
        rng: the only source of chance.
        counters: newest block id and generation stamp that the namespace has handed out; reports of newer ones are
            parked, not judged.
        complete: a quick answer for most reported replicas.

    Thread use: one thread (the event loop). Every `now_ms` comes from the same clock.
    """

    def __init__(
        self,
        topology: Topology,
        policies: Callable[[PolicyId], PlacementPolicy],
        rng: Random,
        settings: BlockSettings | None = None,
        *,
        counters: Callable[[], Counters],
        complete: CompleteLookup = lambda _: None,
    ) -> None:
        self.topology = topology
        self.settings = settings or BlockSettings()
        self._policies = policies
        self._rng = rng
        self.cluster = ClusterState(self.settings)
        self.book = ReplicaBook(self.cluster)
        self.invalidations = Invalidations(self.cluster, self.settings)
        self.sweeps = Sweeps(self.book)
        self.turns = ReportTurns(self.settings.report_turns_max, self.settings.report_turn_ms)
        self.judge = ReportJudge(self.book, self.invalidations, self.settings, self.sweeps, counters, complete)
        self.repairer = Repairer(self.cluster, self.book, self.invalidations, self.judge, self.settings, rng)
        self.membership = Membership(
            self.cluster, self.book, self.repairer, self.sweeps, self.invalidations, self.turns, self.settings
        )
        self._locations = Locations(self.book, self.invalidations, topology, rng)
        self._started_at_ms: int | None = None
        self._settled = False
        self._nodes_up: set[DatanodeUuid] = set()
        self._racks_up: frozenset[Location] = frozenset()
        self._quiet = False

    # Datanodes

    def register(
        self, datanode: DatanodeId, location: Location, storages: Iterable[StorageReport], now_ms: int
    ) -> DatanodeDescriptor:
        """A datanode has registered, for the first time or again; its volumes are unreported from now on.

        Its report is wanted once it can be asked for it (`ReportTurns.anew`).

        Raises:
            RegistrationRefused: it is not in the include list, or the cluster has more volumes than can be numbered.
        """
        self.membership.require_admitted(datanode)
        if self._started_at_ms is None:
            self._started_at_ms = now_ms
        for other in list(self.cluster.at_address(datanode.ip)):
            if other.id.uuid != datanode.uuid and other.id.xfer_port == datanode.xfer_port:
                self.membership.bury(other)
        if (known := self.cluster.nodes.get(datanode.uuid)) is not None and known.location != location:
            for storage in known.storages.values():
                self.sweeps.touch_storage(storage)
        node = self.cluster.register(datanode, location, storages, now_ms)
        self.turns.gone(datanode.uuid)
        self._begin_anew(node, now_ms)
        return node

    def _begin_anew(self, node: DatanodeDescriptor, now_ms: int) -> None:
        """The report that comes decides, whatever was known of the datanode."""
        self.membership.settle(node)
        self.sweeps.back(node.storages.values())
        self.sweeps.leave([storage for storage in node.storages.values() if storage.report.failed])
        for storage in node.storages.values():
            self.judge.start_storage(storage, now_ms)

    def heartbeat(
        self,
        uuid: DatanodeUuid,
        storages: Iterable[StorageReport],
        xceivers: int,
        now_ms: int,
        transfers_running: int | None = None,
    ) -> None:
        """A datanode is alive.

        Args:
            transfers_running: copies that it is making now; a copy counts as lost only when its source makes none.

        Raises:
            UnregisteredNode: it must register first.
        """
        node = self._heard_of(uuid, now_ms)
        node.xceivers = xceivers
        if transfers_running or node.transfers_running:
            node.idle_since_ms = now_ms
        node.transfers_running = transfers_running
        for report in storages:
            before = node.storages.get(report.storage_id)
            failed = before is not None and before.report.failed
            storage = self.cluster.update_storage(node, report)
            if report.failed and not failed:
                self.sweeps.leave([storage])
            elif failed and not report.failed:
                self.sweeps.back([storage])
                self.turns.want(uuid, now_ms)
        node.touch()

    def _heard_of(self, uuid: DatanodeUuid, now_ms: int) -> DatanodeDescriptor:
        """Any message is a sign of life; one from a datanode that was given up for dead asks for its reports."""
        node = self.cluster.node(uuid)
        node.heartbeat_at_ms = now_ms
        if node.state is not NodeState.LIVE or not node.connected:
            was_dead = node.state is NodeState.DEAD
            node.state, node.connected = NodeState.LIVE, True
            if was_dead:
                self._begin_anew(node, now_ms)
                self.turns.want(uuid, now_ms)
            self.cluster.refresh()
        return node

    def disconnected(self, uuid: DatanodeUuid, now_ms: int) -> None:
        """The control stream broke: no new replicas for it, readers go elsewhere first; dead when silent for long."""
        node = self.cluster.nodes.get(uuid)
        if node is not None:
            node.connected = False
            self.turns.gone(uuid)
            if node.state is NodeState.LIVE:
                node.state = NodeState.STALE
            self.cluster.refresh()

    # Reports

    def apply_report(self, uuid: DatanodeUuid, part: ReportPart, facts: FactsLookup, now_ms: int) -> list[Command]:
        """Applies a part of a full report, or a slice of one.

        Raises:
            UnregisteredNode: the datanode must register first.
        """
        storage = self._storage(uuid, part.storage_id, now_ms)
        self.turns.heard(uuid, now_ms)
        applied = self.judge.apply_part(storage, part, facts, now_ms)
        if not applied:
            self.turns.want(uuid, now_ms)
        if part.last or not applied:
            self.turns.done(uuid)
        return self.ask_for_reports(now_ms)

    def ask_for_reports(self, now_ms: int) -> list[Command]:
        """Asks those whose turn it is."""
        return [RequestReportCommand(uuid) for uuid in self.turns.give(now_ms)]

    def apply_changes(
        self, uuid: DatanodeUuid, changes: Iterable[ReplicaChange], facts: FactsLookup, now_ms: int
    ) -> list[Command]:
        """Applies an incremental report.

        Raises:
            UnregisteredNode: the datanode must register first.
        """
        for change in changes:
            storage = self._storage(uuid, change.storage_id, now_ms)
            self.judge.apply_change(storage, change, facts, now_ms)
            if self.book.map.has(change.block_id, storage.index):
                self.repairer.transfers.received(change.block_id, storage, now_ms)
        return []

    def _storage(self, uuid: DatanodeUuid, storage_id: StorageId, now_ms: int) -> StorageState:
        node = self._heard_of(uuid, now_ms)
        return node.storages.get(storage_id) or self.cluster.update_storage(node, StorageReport(storage_id))

    def report_bad(self, block_id: BlockId, uuid: DatanodeUuid, storage_id: StorageId) -> None:
        """A reader found a replica that does not fit its checksums; one that is not known is ignored."""
        node = self.cluster.nodes.get(uuid)
        for storage in node.storages.values() if node else ():
            if storage_id in (storage.id, "") and self.book.map.has(block_id, storage.index):
                self.book.mark_corrupt(block_id, storage, CorruptReason.CHECKSUM)

    # Blocks

    def block_opened(self, facts: BlockFacts, targets: Iterable[StorageId]) -> None:
        """A block has got its pipeline, or a new one with a new generation stamp."""
        known = (self.cluster.storage_by_id(storage_id) for storage_id in targets)
        pipeline = tuple(storage.index for storage in known if storage is not None)
        opened = self.book.open.setdefault(facts.block.id, OpenBlock(facts.block.generation_stamp))
        opened.generation_stamp, opened.pipeline = facts.block.generation_stamp, pipeline

    def block_committed(self, facts: BlockFacts) -> None:
        """The block's length and generation stamp are final: reported replicas count from now on."""
        block = facts.block
        self.book.set_version(block.id, block.generation_stamp, block.length)
        self.book.touch(block.id)
        self.repairer.promote(facts)

    def block_removed(self, block: Block) -> None:
        """No file has the block any more: every replica goes, whatever its state."""
        self.repairer.remove(block.id, block.generation_stamp)

    def choose_targets(
        self,
        policy_id: PolicyId,
        *,
        replication: int,
        block_size: int,
        writer: Location | None = None,
        writer_ip: str = "",
        excluded: Collection[DatanodeUuid] = (),
        favored: Sequence[str] = (),
        already: Sequence[StorageId] = (),
        home_idc: str = "",
        peer_idc: str = "",
        additional: int = 0,
    ) -> Placement:
        """Where the replicas of a new block go, or those that replace lost ones.

        Args:
            additional: so many more than `already`, whatever is wanted; 0: what is missing.
            writer: its place; None: what the topology says about `writer_ip`, else the default home IDC.
            already: storages that the block has and keeps; the answer holds only the others.
            home_idc, peer_idc: of an existing block, or of the file's earlier blocks; "" lets the policy decide.
        """
        known = (self.cluster.storage_by_id(storage_id) for storage_id in already)
        request = TargetRequest(
            self._policies(policy_id),
            replication,
            block_size,
            writer or self.topology.locate(writer_ip),
            writer_ip,
            excluded,
            favored,
            [storage for storage in known if storage is not None],
            home_idc,
            peer_idc,
        )
        home = self.topology.default_home
        if additional:
            return choose_additional(request, additional, self.cluster, self.settings, self._rng, home)
        return choose(request, self.cluster, self.settings, self._rng, home)

    def finalized_count(self, block_id: BlockId, generation_stamp: GenerationStamp) -> dict[str, int]:
        """Finalised replicas of this generation stamp by IDC, also of a block that is still open."""
        return dict(Counter(storage.location.idc for storage in self._finalized(block_id, generation_stamp, None)))

    def _finalized(self, block_id: BlockId, stamp: GenerationStamp, length: int | None) -> list[StorageState]:
        version = self.book.map.version(block_id)
        if version is not None:
            return self.book.replicas(block_id) if version[0] == stamp else []
        opened = self.book.open.get(block_id)
        return [
            self.cluster.storage(index)
            for index, seen in (opened.seen.items() if opened else ())
            if seen.state is ReplicaState.FINALIZED
            and seen.generation_stamp == stamp
            and (length is None or seen.length == length)
        ]

    def ready(self, facts: BlockFacts, waited_ms: int = 0) -> bool:
        """Whether enough replicas are finalised for the file to be completed, as its policy says.

        Args:
            facts: the block with the length and generation stamp that the writer gave.
            waited_ms: how long the writer has been asking; after `sync_patience_ms` `degrade` lets it go.
        """
        finalized = self._finalized(facts.block.id, facts.block.generation_stamp, facts.block.length)
        opened = self.book.open.get(facts.block.id)
        members = [self.cluster.storage(index) for index in opened.pipeline] if opened else []
        members = members or [s for name in facts.pipeline if (s := self.cluster.storage_by_id(name)) is not None]
        return is_written(
            facts,
            Counter(storage.location.idc for storage in finalized),
            Counter(member.location.idc for member in members) or None,
            self.cluster,
            patient=waited_ms < self.settings.sync_patience_ms,
        )

    def locations(
        self,
        block_id: BlockId,
        reader: Location | None = None,
        reader_ip: str = "",
        hints: Sequence[StorageHint] = (),
    ) -> list[ReplicaLocation]:
        """Replicas for a reader, best first: see `Locations.of_block`."""
        return self._locations.of_block(block_id, reader, reader_ip, hints)

    def storage_locations(
        self, storage_ids: Iterable[StorageId], reader: Location | None = None, reader_ip: str = ""
    ) -> list[ReplicaLocation]:
        """The same order for storages named by the namespace (the pipeline of an open block after a restart)."""
        return self._locations.of_storages(storage_ids, reader, reader_ip)

    def is_corrupt(self, block_id: BlockId) -> bool:
        """Whether only corrupt replicas are known."""
        return block_id in self.book.corrupt and not self.book.replicas(block_id)

    def verdict(self, facts: BlockFacts) -> Verdict:
        """What a block has, wants and owes now."""
        return self.repairer.verdict(facts, self.book.replicas(facts.block.id))

    # Time

    def tick(self, now_ms: int, facts: FactsLookup, *, quiet: bool = False) -> list[Command]:
        """Lets time pass: who is silent, what is owed, what has to go. Call it once a second or after events.

        Args:
            quiet: nothing is copied or deleted yet: the namespace is in safe mode of its start.

        Cost: in proportion to datanodes, to blocks that changed and to commands; never to all blocks.
        """
        for node, _ in list(self.cluster.sweep(now_ms)):
            if node.state is NodeState.DEAD:
                self.membership.drop_replicas(node)
        self.cluster.refresh()
        self.judge.expire_recent(now_ms)
        self.judge.judge_parked(facts, now_ms)
        for uuid in self.invalidations.take_overflowed(now_ms):
            self.turns.want(uuid, now_ms)
        commands = self.ask_for_reports(now_ms)
        self.sweeps.run(self.settings.sweep_max)
        self._quiet = quiet
        if self._is_settled(now_ms) and not quiet:
            self._watch_nodes()
            self.repairer.evaluate_dirty(facts, now_ms)
            commands += self.repairer.dispatch(facts, now_ms)
            commands += self.invalidations.drain(now_ms)
        return commands

    def _is_settled(self, now_ms: int) -> bool:
        """Whether the first wave of reports is over; once settled, always settled."""
        if not self._settled and self._started_at_ms is not None:
            waited = now_ms - self._started_at_ms >= self.settings.settle_ms
            live = (node for node in self.cluster.nodes.values() if node.state is not NodeState.DEAD)
            self._settled = waited and all(node.reported for node in live)
        return self._settled

    def _watch_nodes(self) -> None:
        """Datanodes that come up take what found no place; a new rack lets all blocks spread, a few each tick."""
        pool = self.cluster.pool(ANYWHERE)
        up = {node.id.uuid for node in pool.nodes}
        if up - self._nodes_up:
            self.repairer.wake_stuck()
        if pool.racks - self._racks_up and self._racks_up:
            self.sweeps.touch_all()
        self._nodes_up, self._racks_up = up, pool.racks

    @property
    def busy(self) -> bool:
        """Whether the next tick should come soon: this one has left work that nothing holds up."""
        return self.sweeps.pending or (self._settled and not self._quiet and bool(self.book.dirty))

    @property
    def resting(self) -> bool:
        """Whether nothing is copied or deleted yet."""
        return not self._settled or self._quiet

    def transfer_result(self, transfer_id: int, ok: bool, error: str, now_ms: int) -> None:
        """A datanode has finished a copy, or failed; a result nobody waits for is ignored."""
        self.repairer.finished(transfer_id, ok, now_ms)

    # Figures

    @property
    def located(self) -> int:
        """Blocks with a valid replica."""
        return self.book.map.located

    @property
    def live_datanodes(self) -> int:
        return sum(node.state is not NodeState.DEAD for node in self.cluster.nodes.values())

    def owed(self) -> dict[Link, LinkDebt]:
        """Blocks and bytes owed per link; a link from an IDC to itself is local repair."""
        return self.repairer.debts.totals()

    def stats(self) -> FsStats:
        return summed(self.cluster, self.book, self.repairer, self.judge, self.invalidations)

    def datanode_infos(self, chosen: Callable[[DatanodeDescriptor], bool] = lambda _: True) -> list[DatanodeInfo]:
        """Some of the datanodes, by uuid."""
        return datanodes(self.cluster, self.book, chosen)
