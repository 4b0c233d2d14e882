"""A cluster in virtual time around one real BlockManager: datanodes, a namespace of blocks, faults.

Datanodes here keep replicas in dictionaries and carry out commands at the rate that they were given; the block
manager under test is the real one. Everything follows from one seed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from seamlessfs.blocks.commands import Command, InvalidateCommand, RequestReportCommand, TransferCommand
from seamlessfs.blocks.manager import BlockManager
from seamlessfs.blocks.policy import BlockFacts
from seamlessfs.blocks.reports import ChangeKind, Counters, ReplicaChange, ReportPart
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.blocks.topology import Topology
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.cluster import DatanodeId, Link, Location, StorageReport
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, StorageId
from seamlessfs.model.policy import BUILT_IN_POLICIES, PlacementPolicy

CAPACITY_BYTES = 1 << 40
STAMP = GenerationStamp(1001)


@dataclass
class Replica:
    generation_stamp: int
    length: int
    state: ReplicaState = ReplicaState.FINALIZED
    xxh3: int = 7


@dataclass
class Datanode:
    id: DatanodeId
    location: Location
    up: bool = True
    disk: dict[int, Replica] = field(default_factory=dict)
    running: dict[int, tuple[int, TransferCommand]] = field(default_factory=dict)
    """Transfer id -> (when it ends, command)."""
    capacity: int = CAPACITY_BYTES

    @property
    def storage_id(self) -> StorageId:
        return StorageId(f"DS-{self.id.uuid}")

    def storage(self) -> StorageReport:
        used = sum(replica.length for replica in self.disk.values())
        return StorageReport(self.storage_id, "DISK", self.capacity, used, max(0, self.capacity - used))


class World:
    """Datanodes `a-r0-n0`, ... in IDCs `a`, `b`, ... with addresses 10.<idc>.<rack>.<node>.

    Attributes:
        crossed_bytes: bytes that transfers took over each link (local ones under a link to itself).
        transfers: every transfer command that was issued.
        complete: blocks that the namespace answers for quickly.
        broken, deaf: sources and targets whose transfers fail.
    """

    def __init__(
        self,
        idcs: int = 2,
        racks: int = 2,
        nodes: int = 2,
        *,
        seed: int = 1,
        settings: BlockSettings | None = None,
        policies: tuple[PlacementPolicy, ...] = BUILT_IN_POLICIES,
        settle: bool = True,
    ) -> None:
        self.rng = random.Random(seed)
        self.now_ms = 1_000_000
        self.names = [chr(ord("a") + number) for number in range(idcs)]
        rules = [(f"10.{i}.{r}.0/24", Location(self.names[i], f"r{r}")) for i in range(idcs) for r in range(racks)]
        self.topology = Topology(rules, "a")
        self.settings = settings or BlockSettings()
        self.policies = {policy.id: policy for policy in policies}
        self.facts_by_id: dict[int, BlockFacts] = {}
        self.complete: dict[BlockId, tuple[GenerationStamp, int]] = {}
        self.last_block_id = 1 << 30
        self.last_stamp = int(STAMP)
        self.datanodes: dict[str, Datanode] = {}
        self.transfers: list[TransferCommand] = []
        self.deleted: list[tuple[str, int]] = []
        self.crossed_bytes: dict[Link, int] = {}
        self.broken: set[str] = set()
        self.deaf: set[str] = set()
        self._asked: list[Command] = []
        self.restart_manager()
        for i, name in enumerate(self.names):
            for r in range(racks):
                for n in range(nodes):
                    self.add_datanode(f"{name}-r{r}-n{n}", f"10.{i}.{r}.{n + 1}", Location(name, f"r{r}"))
        if settle:
            self.settle()

    def restart_manager(self) -> None:
        """A namenode that has just started: nothing is known until datanodes register and report."""
        rng = random.Random(self.rng.random())
        self.manager = BlockManager(
            self.topology,
            self.policies.__getitem__,
            rng,
            self.settings,
            counters=self.counters,
            complete=self.complete.get,
        )

    def counters(self) -> Counters:
        return Counters(BlockId(self.last_block_id), GenerationStamp(self.last_stamp))

    def facts(self, block_id: BlockId) -> BlockFacts | None:
        return self.facts_by_id.get(block_id)

    # Datanodes

    def add_datanode(self, uuid: str, ip: str, location: Location) -> Datanode:
        node = Datanode(DatanodeId(DatanodeUuid(uuid), ip, f"{uuid}.test", 9866, 0, 9867), location)
        self.datanodes[uuid] = node
        self.connect(uuid)
        return node

    def connect(self, uuid: str, *, report: bool = True) -> None:
        node = self.datanodes[uuid]
        node.up = True
        self.manager.register(node.id, node.location, [node.storage()], self.now_ms)
        if report:
            self.report(uuid)

    def report(self, uuid: str, part_blocks: int = 1_000_000) -> None:
        node = self.datanodes[uuid]
        ids = sorted(node.disk)
        parts = max(1, -(-len(ids) // part_blocks))
        for part in range(parts):
            chosen = ids[part * part_blocks : (part + 1) * part_blocks]
            replicas = [node.disk[block_id] for block_id in chosen]
            report = ReportPart(
                node.storage_id,
                self.now_ms,
                part,
                parts,
                chosen,
                [replica.generation_stamp for replica in replicas],
                [replica.length for replica in replicas],
                [int(replica.state) for replica in replicas],
                [replica.xxh3 for replica in replicas],
                part + 1 == parts,
            )
            self._asked += self.manager.apply_report(node.id.uuid, report, self.facts, self.now_ms)

    def kill(self, *uuids: str) -> None:
        """SIGKILL: the stream breaks, disks stay."""
        for uuid in uuids:
            self.datanodes[uuid].up = False
            self.datanodes[uuid].running.clear()
            self.manager.disconnected(DatanodeUuid(uuid), self.now_ms)

    def kill_idc(self, idc: str) -> None:
        self.kill(*[uuid for uuid, node in self.datanodes.items() if node.location.idc == idc])

    def in_idc(self, idc: str) -> list[str]:
        return [uuid for uuid, node in self.datanodes.items() if node.location.idc == idc]

    # Blocks

    def write(self, policy: PlacementPolicy, writer_ip: str = "10.0.0.99", *, length: int = 1 << 20) -> BlockFacts:
        """Writes a block through the pipeline that the manager chooses; it must be complete after that."""
        placement = self.manager.choose_targets(
            policy.id, replication=policy.replication or 3, block_size=length, writer_ip=writer_ip
        )
        assert placement.targets, placement
        self.last_block_id += 1
        block = Block(BlockId(self.last_block_id), STAMP, length)
        facts = BlockFacts(
            block, policy, policy.replication or 3, placement.home_idc, placement.peer_idc, False, self.now_ms
        )
        self.facts_by_id[block.id] = facts
        self.manager.block_opened(facts, [target.storage_id for target in placement.targets])
        for target in placement.targets:
            self.store(target.datanode.id.uuid, facts)
        assert self.manager.ready(facts)
        return self.commit(facts)

    def commit(self, facts: BlockFacts) -> BlockFacts:
        done = BlockFacts(
            facts.block, facts.policy, facts.replication, facts.home_idc, facts.peer_idc, True, self.now_ms
        )
        self.facts_by_id[facts.block.id] = done
        self.manager.block_committed(done)
        return done

    def adopt(
        self,
        policy: PlacementPolicy,
        uuids: list[str],
        *,
        home: str = "a",
        peer: str = "b",
        length: int = 1 << 20,
        replication: int = 0,
    ) -> BlockFacts:
        """A committed block with replicas on exactly these datanodes, reported by them."""
        self.last_block_id += 1
        block = Block(BlockId(self.last_block_id), STAMP, length)
        facts = BlockFacts(block, policy, replication or policy.replication, home, peer, True, self.now_ms)
        self.facts_by_id[block.id] = facts
        self.manager.block_committed(facts)
        for uuid in uuids:
            self.store(uuid, facts)
        return facts

    def store(self, uuid: str, facts: BlockFacts, xxh3: int = 7) -> None:
        """The datanode finalises a replica and reports it."""
        node, block = self.datanodes[uuid], facts.block
        node.disk[block.id] = Replica(block.generation_stamp, block.length, xxh3=xxh3)
        self.change(uuid, ChangeKind.RECEIVED, block, xxh3)

    def change(self, uuid: str, kind: ChangeKind, block: Block, xxh3: int = 0) -> None:
        change = ReplicaChange(
            kind, self.datanodes[uuid].storage_id, block.id, block.generation_stamp, block.length, xxh3
        )
        self.manager.apply_changes(DatanodeUuid(uuid), [change], self.facts, self.now_ms)

    def remove(self, facts: BlockFacts) -> None:
        self.facts_by_id.pop(facts.block.id)
        self.manager.block_removed(facts.block)

    def holders(self, facts: BlockFacts) -> list[str]:
        """Datanodes, up ones, with a finalised replica on disk."""
        return [uuid for uuid, node in self.datanodes.items() if node.up and facts.block.id in node.disk]

    def spread(self, facts: BlockFacts) -> dict[str, int]:
        counts: dict[str, int] = {}
        for uuid in self.holders(facts):
            idc = self.datanodes[uuid].location.idc
            counts[idc] = counts.get(idc, 0) + 1
        return counts

    # Time

    def settle(self) -> None:
        self.run(self.settings.settle_ms + 1_000)

    def run(self, duration_ms: int, step_ms: int = 1_000) -> None:
        """Lets time pass: heartbeats, transfers that end, ticks, commands carried out."""
        for _ in range(duration_ms // step_ms):
            self.step(step_ms)

    def step(self, step_ms: int = 1_000) -> None:
        self.now_ms += step_ms
        for uuid, node in self.datanodes.items():
            if node.up and node.id.uuid in self.manager.cluster.nodes:
                self._end_transfers(uuid, node)
                self.manager.heartbeat(node.id.uuid, [node.storage()], 1, self.now_ms, len(node.running))
        self._asked += self.manager.tick(self.now_ms, self.facts)
        self.manager.membership.look()
        while self._asked:
            self._carry_out(self._asked.pop(0))

    def _carry_out(self, command: TransferCommand | InvalidateCommand | RequestReportCommand) -> None:
        if isinstance(command, TransferCommand):
            self.transfers.append(command)
            source = self.datanodes[command.source.uuid]
            rate = command.rate_bytes_per_s or 1 << 30
            if source.up:
                ends_at_ms = self.now_ms + 1_000 * command.block.length // rate
                source.running[command.transfer_id] = (ends_at_ms, command)
        elif isinstance(command, InvalidateCommand):
            node = self.datanodes[command.uuid]
            for doomed in command.replicas if node.up else ():
                self.deleted.append((command.uuid, doomed.block_id))
                replica = node.disk.get(doomed.block_id)
                if replica is not None and replica.generation_stamp <= doomed.generation_stamp:
                    del node.disk[doomed.block_id]
                    self.change(command.uuid, ChangeKind.DELETED, Block(doomed.block_id, doomed.generation_stamp))
        else:
            self.report(command.uuid)

    def _end_transfers(self, uuid: str, node: Datanode) -> None:
        for transfer_id, (ends_at_ms, command) in list(node.running.items()):
            if ends_at_ms > self.now_ms:
                continue
            del node.running[transfer_id]
            targets = [target.datanode.id.uuid for target in command.targets]
            ok = uuid not in self.broken and all(self._takes(target, command.block.id) for target in targets)
            if ok:
                self._copy(uuid, command)
            self.manager.transfer_result(transfer_id, ok, "" if ok else "broken pipe", self.now_ms)

    def _takes(self, uuid: str, block_id: BlockId) -> bool:
        node = self.datanodes[uuid]
        return node.up and uuid not in self.deaf and block_id not in node.disk

    def _copy(self, uuid: str, command: TransferCommand) -> None:
        place = self.datanodes[uuid].location.idc
        replica = self.datanodes[uuid].disk.get(command.block.id)
        for target in command.targets if replica is not None else ():
            link = Link(place, target.datanode.location.idc)
            self.crossed_bytes[link] = self.crossed_bytes.get(link, 0) + replica.length
            place = target.datanode.location.idc
            other = self.datanodes[target.datanode.id.uuid]
            other.disk[command.block.id] = Replica(replica.generation_stamp, replica.length, xxh3=replica.xxh3)
            self.change(other.id.uuid, ChangeKind.RECEIVED, command.block, replica.xxh3)

    def crossed(self) -> int:
        """Bytes that transfers took over links between IDCs."""
        return sum(count for link, count in self.crossed_bytes.items() if link.crosses)
