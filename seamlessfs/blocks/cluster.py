"""The datanodes of the cluster: who they are, where, how full, how busy, and whether they are heard of."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from seamlessfs.blocks.policy import ANYWHERE
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.model.block import ReplicaLocation
from seamlessfs.model.cluster import AdminState, DatanodeId, DatanodeInfo, Location, StorageReport
from seamlessfs.model.errors import RegistrationRefused, UnregisteredNode
from seamlessfs.model.ids import DatanodeUuid, StorageHint, StorageId, storage_hint

STORAGES_MAX = 65_535
"""The block map keeps a storage as 16 bits, of which 0 means none."""


class NodeState(enum.Enum):
    """What the silence of a datanode says about it."""

    LIVE = "live"
    STALE = "stale"
    DEAD = "dead"


class IdcState(enum.Enum):
    """Whether an IDC as a whole is there. Debts are paid to NORMAL ones only."""

    NORMAL = "normal"
    OFFLINE = "offline"
    RECOVERING = "recovering"


@dataclass(slots=True, eq=False)
class StorageState:
    """One volume of a datanode. `reported`: a full report of it has come since its datanode registered."""

    index: int
    report: StorageReport
    node: DatanodeDescriptor
    reported: bool = False
    last_report_at_ms: int = 0
    _replica: ReplicaLocation | None = None
    _replica_of: StorageReport | None = None

    @property
    def id(self) -> StorageId:
        return self.report.storage_id

    @property
    def location(self) -> Location:
        return self.node.location

    @property
    def gone(self) -> bool:
        """Whether nothing on it counts: its datanode is dead, or it has failed."""
        return self.node.state is NodeState.DEAD or self.report.failed

    @property
    def confirmed(self) -> bool:
        """Whether its replicas are certain enough to let go of others because of them."""
        return self.reported and self.node.state is NodeState.LIVE

    def replica(self) -> ReplicaLocation:
        """As readers see it. The same object until its datanode or its report changes."""
        info, report = self.node.info(), self.report
        known = self._replica
        if known is None or known.datanode is not info or self._replica_of is not report:
            known = self._replica = ReplicaLocation(info, report.storage_id, report.storage_type)
            self._replica_of = report
        return known


@dataclass(slots=True, eq=False)
class DatanodeDescriptor:
    """One datanode as the block manager sees it."""

    id: DatanodeId
    location: Location
    heartbeat_at_ms: int
    registered_at_ms: int
    storages: dict[StorageId, StorageState] = field(default_factory=dict)
    state: NodeState = NodeState.LIVE
    connected: bool = True
    admin: AdminState = AdminState.NORMAL
    xceivers: int = 0
    transfers_running: int | None = None
    idle_since_ms: int = 0
    sending: int = 0
    receiving: int = 0
    remaining: int = 0
    room: int = 0
    """Free bytes of the emptiest volume."""
    _info: DatanodeInfo | None = None

    def touch(self) -> None:
        """Forgets what was derived from the volumes' reports."""
        free = [storage.report.remaining for storage in self.storages.values() if not storage.report.failed]
        self.remaining, self.room = sum(free), max(free, default=0)
        self._info = None

    @property
    def in_service(self) -> bool:
        """Whether its replicas count: it is neither leaving nor gone by an administrator's will."""
        return self.admin is AdminState.NORMAL

    @property
    def reported(self) -> bool:
        return all(storage.reported or storage.report.failed for storage in self.storages.values())

    def info(self) -> DatanodeInfo:
        if self._info is None:
            reports = [storage.report for storage in self.storages.values()]
            self._info = DatanodeInfo(
                self.id,
                self.location,
                capacity=sum(report.capacity for report in reports),
                used=sum(report.used for report in reports),
                remaining=self.remaining,
                last_update_at_ms=self.heartbeat_at_ms,
                last_update_mono_ms=self.heartbeat_at_ms,
                xceivers=self.xceivers,
                admin_state=self.admin,
                last_block_report_at_ms=max((s.last_report_at_ms for s in self.storages.values()), default=0),
            )
        return self._info


@dataclass(frozen=True, slots=True)
class Pool:
    """Datanodes of one IDC that take replicas, with what placement needs to pick one without looking at all."""

    nodes: tuple[DatanodeDescriptor, ...]
    racks: frozenset[Location]
    remaining: int
    roomiest: int
    least_room: int
    mean_xceivers: float

    @classmethod
    def of(cls, nodes: Iterable[DatanodeDescriptor]) -> Pool:
        taking = tuple(node for node in nodes if takes_replicas(node))
        free = [node.remaining for node in taking]
        return cls(
            taking,
            frozenset(node.location for node in taking),
            sum(free),
            max(free, default=0),
            min((node.room for node in taking), default=0),
            sum(node.xceivers for node in taking) / len(taking) if taking else 0.0,
        )


@dataclass(slots=True)
class _IdcRecord:
    state: IdcState = IdcState.NORMAL
    since_ms: int = 0


class ClusterState:
    """All datanodes ever registered since the start, their storages, and the state of each IDC.

    Invariant: a storage keeps its index for the life of the process, whichever datanode it is plugged into.
    """

    def __init__(self, settings: BlockSettings) -> None:
        self._settings = settings
        self.nodes: dict[DatanodeUuid, DatanodeDescriptor] = {}
        self._by_idc: dict[str, dict[DatanodeUuid, DatanodeDescriptor]] = {}
        self._by_ip: dict[str, dict[DatanodeUuid, DatanodeDescriptor]] = {}
        self._storages: list[StorageState | None] = [None]
        self._by_storage_id: dict[StorageId, StorageState] = {}
        self._by_hint: dict[StorageHint, tuple[StorageState, ...]] = {}
        self._idcs: dict[str, _IdcRecord] = {}
        self._pools: dict[str, Pool] = {}

    def register(
        self, datanode: DatanodeId, location: Location, storages: Iterable[StorageReport], now_ms: int
    ) -> DatanodeDescriptor:
        """Adds a datanode, or takes a known one up again with unreported storages; one it does not name has failed.

        Raises:
            RegistrationRefused: the cluster has more volumes than can be numbered.
        """
        node = self.nodes.get(datanode.uuid)
        if node is None:
            node = DatanodeDescriptor(datanode, location, now_ms, now_ms)
        else:
            self._unlink(node)
            node.id, node.location = datanode, location
        node.heartbeat_at_ms = node.registered_at_ms = node.idle_since_ms = now_ms
        node.connected, node.state, node.transfers_running = True, NodeState.LIVE, None
        self.nodes[datanode.uuid] = node
        self._by_idc.setdefault(location.idc, {})[datanode.uuid] = node
        self._by_ip.setdefault(datanode.ip, {})[datanode.uuid] = node
        self._idcs.setdefault(location.idc, _IdcRecord())
        for storage in node.storages.values():
            storage.reported = False
        named = {report.storage_id: report for report in storages}
        for report in named.values():
            self.update_storage(node, report)
        for storage_id in node.storages.keys() - named.keys():
            node.storages[storage_id].report = StorageReport(storage_id, failed=True)
        node.touch()
        self.refresh()
        return node

    def expel(self, node: DatanodeDescriptor) -> None:
        """Forgets a datanode, as if it had never registered; its storages keep their numbers."""
        self._unlink(node)
        del self.nodes[node.id.uuid]
        self.refresh()

    def _unlink(self, node: DatanodeDescriptor) -> None:
        self._by_idc[node.location.idc].pop(node.id.uuid, None)
        self._by_ip[node.id.ip].pop(node.id.uuid, None)

    def update_storage(self, node: DatanodeDescriptor, report: StorageReport) -> StorageState:
        """Takes over what a heartbeat or registration says about one volume."""
        storage = node.storages.get(report.storage_id)
        if storage is not None:
            storage.report = report
            return storage
        storage = self._by_storage_id.get(report.storage_id)
        if storage is None:
            if len(self._storages) > STORAGES_MAX:
                raise RegistrationRefused(
                    f"datanode {node.id.hostname}: volume {report.storage_id} would be number {len(self._storages)}, "
                    f"a cluster has at most {STORAGES_MAX} volumes"
                )
            storage = StorageState(len(self._storages), report, node)
            self._storages.append(storage)
            self._by_storage_id[report.storage_id] = storage
            hint = storage_hint(report.storage_id)
            self._by_hint[hint] = (*self._by_hint.get(hint, ()), storage)
        else:
            storage.node.storages.pop(report.storage_id, None)
            storage.node.touch()
            storage.node, storage.report, storage.reported = node, report, False
        node.storages[report.storage_id] = storage
        return storage

    def node(self, uuid: DatanodeUuid) -> DatanodeDescriptor:
        """The datanode with this uuid.

        Raises:
            UnregisteredNode: it has not registered since the start.
        """
        found = self.nodes.get(uuid)
        if found is None:
            raise UnregisteredNode(f"Datanode {uuid} is not registered: it must register before it reports")
        return found

    def storage(self, index: int) -> StorageState:
        found = self._storages[index]
        assert found is not None
        return found

    def storage_by_id(self, storage_id: StorageId) -> StorageState | None:
        return self._by_storage_id.get(storage_id)

    def unconfirmed(self, hint: StorageHint) -> Iterator[StorageState]:
        """Storages that the hint may stand for whose datanode is back and has not said yet what they hold."""
        for storage in self._by_hint.get(hint, ()):
            if not storage.reported and not storage.gone:
                yield storage

    @property
    def idcs(self) -> list[str]:
        """IDCs in which a datanode has registered, sorted."""
        return sorted(idc for idc, nodes in self._by_idc.items() if nodes)

    def in_idc(self, idc: str) -> Iterable[DatanodeDescriptor]:
        return self._by_idc.get(idc, {}).values()

    def at_address(self, ip: str) -> Iterable[DatanodeDescriptor]:
        return self._by_ip.get(ip, {}).values()

    def pool(self, idc: str) -> Pool:
        """The IDC's datanodes that take replicas, as of the last `refresh`."""
        if idc not in self._pools:
            self._pools[idc] = Pool.of(self.nodes.values() if idc == ANYWHERE else self.in_idc(idc))
        return self._pools[idc]

    def refresh(self) -> None:
        """Forgets pools: a datanode's state has changed, or their figures are a tick old."""
        self._pools.clear()

    def live_racks(self, idc: str) -> int:
        """Racks of the IDC, or of the cluster, with a datanode that could take a replica."""
        return len(self.pool(idc).racks)

    def idc_state(self, idc: str) -> IdcState:
        record = self._idcs.get(idc)
        return record.state if record else IdcState.OFFLINE

    @property
    def an_idc_is_silent(self) -> bool:
        return any(record.state is not IdcState.NORMAL for record in self._idcs.values())

    def sweep(self, now_ms: int) -> Iterator[tuple[DatanodeDescriptor, NodeState]]:
        """Moves silent datanodes on; yields each one that changed, with the state that it had."""
        for node in self.nodes.values():
            before, silence_ms = node.state, now_ms - node.heartbeat_at_ms
            if silence_ms >= self._settings.dead_after_ms:
                node.state = NodeState.DEAD
            elif silence_ms >= self._settings.stale_after_ms or not node.connected:
                node.state = NodeState.STALE if before is not NodeState.DEAD else before
            if node.state is not before:
                yield node, before
        for idc, record in self._idcs.items():
            self._sweep_idc(idc, record, now_ms)

    def _sweep_idc(self, idc: str, record: _IdcRecord, now_ms: int) -> None:
        nodes = [node for node in self.in_idc(idc) if node.admin is not AdminState.DECOMMISSIONED]
        if not nodes:
            return
        dead = sum(node.state is NodeState.DEAD for node in nodes)
        back = sum(node.state is NodeState.LIVE and node.reported for node in nodes)
        if dead >= self._settings.idc_silent_fraction * len(nodes):
            record.state, record.since_ms = IdcState.OFFLINE, now_ms
        elif record.state is IdcState.OFFLINE:
            record.state, record.since_ms = IdcState.RECOVERING, now_ms
        waited = now_ms - record.since_ms >= self._settings.idc_return_wait_ms
        enough = back >= self._settings.idc_returned_fraction * len(nodes)
        if record.state is IdcState.RECOVERING and (enough or waited):
            record.state, record.since_ms = IdcState.NORMAL, now_ms


def takes_replicas(node: DatanodeDescriptor) -> bool:
    """Whether new replicas may go to this datanode at all."""
    return node.state is NodeState.LIVE and node.connected and node.in_service
