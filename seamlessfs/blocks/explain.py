"""Why a block is where it is, what it owes, and what happens to it next: for operators, derived when they ask."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from seamlessfs.blocks.cluster import StorageState
from seamlessfs.blocks.debt import Owed
from seamlessfs.blocks.policy import ANYWHERE, NO_IDC, BlockFacts
from seamlessfs.blocks.redundancy import Reason, Verdict
from seamlessfs.blocks.transfers import Transfer
from seamlessfs.model.cluster import Link

if TYPE_CHECKING:
    from seamlessfs.blocks.manager import BlockManager


class Place(enum.StrEnum):
    """What the policy says about a replica's IDC."""

    HOME = "home"
    PEER = "peer"
    ANY = "any"
    """The policy wants a number of replicas, wherever they are."""
    UNWANTED = "unwanted"


class Standing(enum.StrEnum):
    """What a replica counts for."""

    VALID = "valid"
    UNCONFIRMED = "unconfirmed"
    """It counts, but its datanode is silent or has not reported since it registered."""
    LEAVING = "leaving"
    """Its datanode is decommissioned, or is to be: it is read and copied from, and does not count."""
    SURPLUS = "surplus"
    CORRUPT = "corrupt"
    OPEN = "open"
    """Being written."""


class ReplicaView(NamedTuple):
    """One replica. `detail`: why it is corrupt."""

    storage: StorageState
    place: Place
    standing: Standing
    detail: str = ""


class Step(enum.StrEnum):
    """What happens next, or what is waited for."""

    NOTHING = "nothing"
    WRITER = "writer"
    """The block's writer, or a recovery in its place, has to finish it."""
    SETTLING = "settling"
    """The namenode has started lately, or is in safe mode of its start: nothing is copied or deleted yet."""
    LOOK = "look"
    """It has changed and is looked at again soon."""
    COPY = "copy"
    REPORT = "report"
    """A copy is made, or a writer's datanode has it: the report has not come yet."""
    TURN = "turn"
    """Other copies go first on the link."""
    RETRY = "retry"
    """A copy failed, and is tried again."""
    ROOM = "room"
    """No datanode that could take the replica was found."""
    IDC = "idc"
    """The IDC that lacks replicas has no datanode that takes any."""
    NO_PEER = "no_peer"
    """There is no second IDC."""
    REPLICA = "replica"
    """No datanode that is heard of has a valid replica."""
    DELETE = "delete"


class Next(NamedTuple):
    """A step, for how many replicas, over which link, from where to where.

    Attributes:
        in_ms: when it is due; 0: unknown, or now. since_ms: since when, on the block manager's clock; 0: unknown.
        ahead: blocks that wait for the same link, at most.
    """

    step: Step
    link: Link | None = None
    replicas: int = 0
    in_ms: int = 0
    since_ms: int = 0
    ahead: int = 0
    source: str = ""
    targets: tuple[str, ...] = ()


class Explanation(NamedTuple):
    """All that is known about one block; no verdict while it is being written."""

    verdict: Verdict | None
    replicas: tuple[ReplicaView, ...]
    owed: tuple[Owed, ...]
    next: tuple[Next, ...]


def explain(manager: BlockManager, facts: BlockFacts, now_ms: int) -> Explanation:
    """Looks at everything that concerns a block; changes nothing."""
    verdict = manager.verdict(facts) if facts.committed else None
    replicas = tuple(sorted(_replicas(manager, facts, verdict), key=lambda view: str(view.storage.location)))
    owed = manager.repairer.debts.of(facts.block.id)
    return Explanation(verdict, replicas, owed, tuple(_next(manager, facts, verdict, owed, now_ms)))


def _replicas(manager: BlockManager, facts: BlockFacts, verdict: Verdict | None) -> Iterator[ReplicaView]:
    book, block_id = manager.book, facts.block.id
    surplus = verdict.surplus if verdict is not None else ()
    for storage in book.replicas(block_id):
        standing = Standing.VALID if storage.confirmed else Standing.UNCONFIRMED
        if not storage.node.in_service:
            standing = Standing.LEAVING
        yield ReplicaView(storage, _place(facts, storage), Standing.SURPLUS if storage in surplus else standing)
    for index, reason in book.corrupt.get(block_id, {}).items():
        storage = manager.cluster.storage(index)
        yield ReplicaView(storage, _place(facts, storage), Standing.CORRUPT, reason.value)
    opened = book.open.get(block_id)
    for index in dict.fromkeys((*opened.pipeline, *opened.seen)) if opened else ():
        storage = manager.cluster.storage(index)
        yield ReplicaView(storage, _place(facts, storage), Standing.OPEN)


def _place(facts: BlockFacts, storage: StorageState) -> Place:
    if not facts.policy.home_replicas:
        return Place.ANY
    idc = storage.location.idc
    if idc == facts.home_idc:
        return Place.HOME
    return Place.PEER if facts.policy.peer_replicas and idc == facts.peer_idc else Place.UNWANTED


def _next(
    manager: BlockManager, facts: BlockFacts, verdict: Verdict | None, owed: tuple[Owed, ...], now_ms: int
) -> Iterator[Next]:
    if verdict is None:
        yield Next(Step.WRITER)
        return
    copies = manager.repairer.transfers.of(facts.block.id)
    yield from (_copy(transfer, now_ms) for transfer in copies)
    if verdict.satisfied:
        if not copies:
            yield Next(Step.NOTHING)
    elif Reason.MISSING in verdict.reasons:
        yield Next(Step.REPLICA)
    elif manager.resting:
        yield Next(Step.SETTLING)
    elif facts.block.id in manager.book.dirty or (verdict.owed and not owed):
        yield Next(Step.LOOK)
    else:
        for item in owed:
            under_way = sum(len(transfer.targets) for transfer in copies if transfer.idc == item.idc)
            if item.replicas > under_way:
                yield _waiting(manager, facts, item, item.replicas - under_way, now_ms)
        if verdict.surplus:
            yield Next(Step.DELETE, replicas=len(verdict.surplus))


def _copy(transfer: Transfer, now_ms: int) -> Next:
    step = Step.COPY if transfer.running else Step.REPORT
    targets = tuple(str(target.node.id.xfer_address) for target in transfer.targets)
    since_ms = transfer.dispatched_at_ms if transfer.running else transfer.done_at_ms
    source = transfer.source.id.xfer_address
    return Next(step, transfer.link, len(targets), since_ms=since_ms, source=source, targets=targets)


def _waiting(manager: BlockManager, facts: BlockFacts, item: Owed, replicas: int, now_ms: int) -> Next:
    """Why copies that are owed are not made yet."""
    if item.idc == NO_IDC:
        return Next(Step.NO_PEER, replicas=replicas)
    retry = manager.repairer.transfers.retries.get(facts.block.id)
    if retry is not None and retry.not_before_ms > now_ms:
        step = Step.RETRY if retry.avoid else Step.ROOM
        return Next(step, item.link, replicas, in_ms=retry.not_before_ms - now_ms)
    if item.idc != ANYWHERE and not manager.cluster.pool(item.link.target).nodes:
        return Next(Step.IDC, item.link, replicas)
    if not item.waiting:
        return Next(Step.REPORT, item.link, replicas)
    return Next(Step.TURN, item.link, replicas, ahead=manager.repairer.debts.queued(item.link))
