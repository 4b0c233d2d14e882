"""What waits in the block manager: every queue with its bound, and the oldest of what should not wait for long."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seamlessfs.blocks.cluster import NodeState
from seamlessfs.blocks.transfers import MOVED_MAX

if TYPE_CHECKING:
    from seamlessfs.blocks.manager import BlockManager


class Gauge(NamedTuple):
    """A queue. `bound`: the most that it ever holds; 0: as many as there are blocks or datanodes."""

    name: str
    length: int
    bound: int = 0


class Waiting(NamedTuple):
    """The oldest of its kind. `since_ms`: on the block manager's clock."""

    kind: str
    what: str
    since_ms: int
    detail: str = ""


def gauges(manager: BlockManager) -> list[Gauge]:
    """Cost: datanodes and storages, never blocks."""
    settings, repairer, turns = manager.settings, manager.repairer, manager.turns
    nodes = len(manager.cluster.nodes)
    storages = sum(len(node.storages) for node in manager.cluster.nodes.values())
    unconfirmed = sum(manager.invalidations.unconfirmed(uuid) for uuid in manager.cluster.nodes)
    return [
        Gauge("reports_wanted", turns.waiting, nodes),
        Gauge("reports_running", turns.running, settings.report_turns_max),
        Gauge("replicas_parked", manager.judge.parked, storages * settings.parked_max),
        Gauge("replicas_of_gone_storages", manager.sweeps.leaving_replicas),
        Gauge("pages_to_look_at", manager.sweeps.pages),
        Gauge("blocks_to_look_at", len(manager.book.dirty)),
        Gauge("blocks_put_off", repairer.delayed),
        Gauge("blocks_owed", len(repairer.debts)),
        Gauge("blocks_missing", len(repairer.missing)),
        Gauge("copies_running", len(repairer.transfers)),
        Gauge("places_to_note", repairer.transfers.moved, MOVED_MAX),
        Gauge("deletions_waiting", manager.invalidations.waiting_replicas, nodes * settings.invalidations_max),
        Gauge("deletions_unconfirmed", unconfirmed, nodes * (settings.unconfirmed_max + settings.invalidate_max)),
    ]


def waiting(manager: BlockManager) -> list[Waiting]:
    """The oldest debt, copy, deletion, parked replica and unfinished report, as far as there are any."""
    found = [_debt(manager), _copy(manager), manager.invalidations.oldest(), manager.judge.oldest_parked()]
    return [each for each in (*found, _report(manager)) if each is not None]


def _debt(manager: BlockManager) -> Waiting | None:
    oldest = manager.repairer.debts.oldest()
    if oldest is None:
        return None
    block_id, since_ms, owed = oldest
    detail = ", ".join(f"{item.replicas} to {item.idc} over {item.link}" for item in owed)
    return Waiting("debt", f"block {block_id}", since_ms, detail)


def _copy(manager: BlockManager) -> Waiting | None:
    running = [transfer for transfer in manager.repairer.transfers.all() if transfer.running]
    if not running:
        return None
    oldest = min(running, key=lambda transfer: transfer.dispatched_at_ms)
    detail = f"block {oldest.block_id} from {oldest.source.id.hostname} over {oldest.link}"
    return Waiting("copy", f"transfer {oldest.id}", oldest.dispatched_at_ms, detail)


def _report(manager: BlockManager) -> Waiting | None:
    silent = [node for node in manager.cluster.nodes.values() if node.state is not NodeState.DEAD and not node.reported]
    if not silent:
        return None
    oldest = min(silent, key=lambda node: node.registered_at_ms)
    return Waiting("report", f"datanode {oldest.id.uuid}", oldest.registered_at_ms, oldest.id.hostname)
