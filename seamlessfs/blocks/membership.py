"""Which datanodes belong to the cluster, which are leaving it, and when one has left nothing behind."""

from __future__ import annotations

from seamlessfs.blocks.cluster import ClusterState, DatanodeDescriptor, NodeState, StorageState
from seamlessfs.blocks.invalidation import Invalidations
from seamlessfs.blocks.policy import ANYWHERE
from seamlessfs.blocks.repair import Repairer
from seamlessfs.blocks.replica_book import ReplicaBook
from seamlessfs.blocks.report_turns import ReportTurns
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.blocks.sweeps import Sweeps
from seamlessfs.model.cluster import AdminState, DatanodeId
from seamlessfs.model.errors import RegistrationRefused
from seamlessfs.model.host_lists import HostLists
from seamlessfs.model.ids import BlockId, DatanodeUuid


class Membership:
    """Goes by the include and exclude lists.

    Replicas on a datanode that is leaving are read and copied from, and do not count: each of its blocks owes a copy to
    the same IDC, and is paid like every other debt. They stay on its disks, so that it can come back at any time.
    """

    def __init__(
        self,
        cluster: ClusterState,
        book: ReplicaBook,
        repairer: Repairer,
        sweeps: Sweeps,
        invalidations: Invalidations,
        turns: ReportTurns,
        settings: BlockSettings,
    ) -> None:
        self._cluster = cluster
        self._book = book
        self._repairer = repairer
        self._sweeps = sweeps
        self._invalidations = invalidations
        self._turns = turns
        self._settings = settings
        self._lists = HostLists()
        self._unseen: dict[DatanodeUuid, list[tuple[int, int]]] = {}
        """Pages of each leaving datanode's storages that may still hold what only it has."""

    def replace(self, lists: HostLists) -> None:
        """Goes by other lists: who is not admitted any more is expelled, the others come or go."""
        self._lists = lists
        for node in list(self._cluster.nodes.values()):
            if not lists.admits(node.id):
                self.bury(node)
                self._cluster.expel(node)
            elif lists.dismisses(node.id) == node.in_service:
                self.settle(node)

    def require_admitted(self, datanode: DatanodeId) -> None:
        """Raises RegistrationRefused: there is an include list, and the datanode is not in it."""
        if not self._lists.admits(datanode):
            raise RegistrationRefused(
                f"datanode {datanode.hostname} ({datanode.xfer_address}) is not in the include list: "
                "add it to hosts_file (dfs.hosts), then run `dfsadmin -refreshNodes`"
            )

    def bury(self, node: DatanodeDescriptor) -> None:
        """Gives a datanode up for dead at once."""
        node.state, node.connected = NodeState.DEAD, False
        node.heartbeat_at_ms = -self._settings.dead_after_ms
        self._cluster.refresh()
        self.drop_replicas(node)

    def drop_replicas(self, node: DatanodeDescriptor) -> None:
        """A datanode is dead: what it holds is gone until it reports it again."""
        self._invalidations.drop_datanode(node)
        self._turns.gone(node.id.uuid)
        self._sweeps.leave(node.storages.values())

    def settle(self, node: DatanodeDescriptor) -> None:
        """Begins a datanode's decommissioning, or ends it, as the lists say; a dead one has nothing left to give."""
        self._unseen.pop(node.id.uuid, None)
        state = AdminState.NORMAL
        if self._lists.dismisses(node.id):
            dead = node.state is NodeState.DEAD
            state = AdminState.DECOMMISSIONED if dead else AdminState.DECOMMISSION_INPROGRESS
        if state is not node.admin:
            self._enter(node, state)
            for storage in node.storages.values():
                self._sweeps.touch_storage(storage)

    def _enter(self, node: DatanodeDescriptor, state: AdminState) -> None:
        node.admin = state
        node.touch()
        self._cluster.refresh()

    def look(self) -> list[DatanodeDescriptor]:
        """Datanodes that are decommissioned from now on. Cost: bounded; the first block that waits ends the look."""
        leaving = [n for n in self._cluster.nodes.values() if n.admin is AdminState.DECOMMISSION_INPROGRESS]
        done = [node for node in leaving if not self._sweeps.pending and self._has_left(node)]
        for node in done:
            self._enter(node, AdminState.DECOMMISSIONED)
            self._unseen.pop(node.id.uuid, None)
        return done

    def _has_left(self, node: DatanodeDescriptor) -> bool:
        """Whether nothing depends on the datanode any more."""
        if node.state is NodeState.DEAD:
            return not len(self._repairer.debts) and not len(self._repairer.missing)
        if not node.reported:
            return False
        if node.id.uuid not in self._unseen:
            self._unseen[node.id.uuid] = self._pages(node)
        pages = self._unseen[node.id.uuid]
        left = self._settings.sweep_max
        while pages and left > 0:
            blocks = self._book.map.blocks_of_page(*pages[-1])
            if any(self._holds_up(block_id, node) for block_id in blocks):
                return False
            left -= len(blocks)
            pages.pop()
        return not pages and not any(self._holds_up_open(block_id, node) for block_id in self._book.open)

    def is_waited_for(self, block_id: BlockId) -> bool:
        """Whether a datanode that is leaving has to stay for this block."""
        opened = self._book.open.get(block_id)
        indexes = (opened.pipeline or opened.seen) if opened is not None else self._book.map.replicas_of(block_id)
        nodes = {self._cluster.storage(index).node for index in indexes}
        holds = self._holds_up_open if opened is not None else self._holds_up
        return any(node.admin is AdminState.DECOMMISSION_INPROGRESS and holds(block_id, node) for node in nodes)

    def _pages(self, node: DatanodeDescriptor) -> list[tuple[int, int]]:
        indexes = [storage.index for storage in node.storages.values()]
        return [(index, page) for index in indexes for page in self._book.map.pages_of(index)]

    def _holds_up(self, block_id: BlockId, node: DatanodeDescriptor) -> bool:
        """Whether a leaving datanode has to stay for this block: its IDC owes a copy, or nobody else has one."""
        if block_id in self._book.dirty:
            return True
        owed = self._repairer.debts.of(block_id)
        if any(item.idc in (node.location.idc, ANYWHERE) for item in owed):
            return True
        return not any(replica.node.in_service for replica in self._book.replicas(block_id))

    def _holds_up_open(self, block_id: BlockId, node: DatanodeDescriptor) -> bool:
        """The same for a block that is being written: it is enough that one member of its pipeline stays.

        What is missing then is owed once the block is finished: a file that is open for ever holds nobody up.
        """
        opened = self._book.open[block_id]
        members = [self._cluster.storage(index) for index in opened.pipeline or opened.seen]
        return _is_of(node, members) and not any(member.node.in_service for member in members)


def _is_of(node: DatanodeDescriptor, storages: list[StorageState]) -> bool:
    return any(storage.node is node for storage in storages)
