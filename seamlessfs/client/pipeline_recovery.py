"""What to do when a pipeline broke: who is left out, who replaces it, how the rest goes on. Pure.

`next_step` takes the state of a recovery and what has happened, and returns the new state and one step; whoever
carries the step out comes back with its outcome. The order is HDFS's: leave out the one that is to blame, find and fill
a replacement where the policy wants one, open a pipeline of the survivors under a new generation stamp, tell the
namenode, send again what is not acknowledged.

    Broken --> [FindReplacement --> Fill]* --> Reopen --> Announce --> Resume
                                                 '-- OpenFailed: from the beginning, with one datanode fewer
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace

from seamlessfs.model.block import LocatedBlock, ReplicaLocation
from seamlessfs.model.cluster import DatanodeInfo
from seamlessfs.wire.xfer.ops import Stage

RECOVERIES_MAX = 5
"""Pipelines in a row that break without a packet acknowledged; HDFS gives up after as many."""

REOPENINGS_MAX = 16
"""Pipelines that are tried without a packet acknowledged: each leaves out one datanode more."""

FILLS_MAX = 3
"""Replacements that are tried in one recovery, as in HDFS."""

RESTART_WAITS_S = (1.0,) * 30
"""A datanode that said it restarts is waited for only where no other is left: 30 s, as in HDFS."""


class ReplacementPolicy(enum.Enum):
    """When a lost datanode is replaced, by HDFS's names."""

    ALWAYS = "ALWAYS"
    DEFAULT = "DEFAULT"
    NEVER = "NEVER"


@dataclass(frozen=True, slots=True)
class Lost:
    """A datanode that is left out, and why."""

    replica: ReplicaLocation
    reason: str


@dataclass(frozen=True, slots=True)
class Rules:
    """How a block is recovered.

    Attributes:
        replication: of the file. Below 3, DEFAULT never replaces.
        best_effort: go on with fewer datanodes when no replacement can be had.
    """

    replication: int
    policy: ReplacementPolicy = ReplacementPolicy.DEFAULT
    best_effort: bool = True

    def wants_replacement(self, pipeline: Sequence[ReplicaLocation], lost: Sequence[Lost], flushed: bool) -> bool:
        """Whether a datanode is to be added to a pipeline that lost some.

        Deviation: DEFAULT also replaces when an IDC that was in the pipeline would have no datanode in it any more; in
        HDFS's terms that is only half of the replicas gone, but it is all of what protects against the loss of an IDC.
        """
        if self.policy is ReplacementPolicy.NEVER or not 0 < len(pipeline) < self.replication:
            return False
        if self.policy is ReplacementPolicy.ALWAYS:
            return True
        if self.replication < 3:
            return False
        left = {idc_of(one) for one in pipeline}
        return len(pipeline) <= self.replication // 2 or flushed or any(idc_of(one.replica) not in left for one in lost)


@dataclass(frozen=True, slots=True)
class Written:
    """How far the block is. Units: bytes.

    Attributes:
        acked: every datanode has them. sent: any may have them.
        packets_acked: counts up; tells progress.
        ended: the last packet was sent. data_acked: nothing else is unacknowledged.
        flushed: the block was flushed: readers may have seen what is acknowledged. Appending counts too.
    """

    acked: int = 0
    sent: int = 0
    packets_acked: int = 0
    ended: bool = False
    data_acked: bool = False
    flushed: bool = False


@dataclass(frozen=True, slots=True)
class RecoveryState:
    """A block's pipeline and what befell it. One of these lives as long as the block is written.

    Attributes:
        lost: datanodes left out of this block for good, with reasons.
        unfit: those that were offered as replacements and could not be filled.
        finished: left out because they refused to go on with a block whose last packet was sent: they may have it
            whole.
        closing: nothing is to be sent any more, the replicas only get the new stamp and are finalised.
        recoveries, reopenings: since a packet was last acknowledged.
        fills: replacements tried in this recovery; FILLS_MAX: none is looked for any more.
        filling: the pipeline with the replacement that is being filled.
        restart_waits: how often a restarting datanode was waited for in this recovery; None: none restarts.
    """

    pipeline: tuple[ReplicaLocation, ...]
    written: Written = Written()
    lost: tuple[Lost, ...] = ()
    unfit: tuple[DatanodeInfo, ...] = ()
    finished: tuple[ReplicaLocation, ...] = ()
    closing: bool = False
    recoveries: int = 0
    reopenings: int = 0
    fills: int = 0
    filling: tuple[ReplicaLocation, ...] = ()
    restart_waits: int | None = None

    @property
    def excluded(self) -> tuple[DatanodeInfo, ...]:
        """Datanodes that are not wanted as replacements."""
        return tuple(one.replica.datanode for one in self.lost) + self.unfit


@dataclass(frozen=True, slots=True)
class Broken:
    """The pipeline failed while it was used; `index` is to blame."""

    index: int
    reason: str
    written: Written
    restarting: bool = False


@dataclass(frozen=True, slots=True)
class Offered:
    """The namenode's answer: the pipeline with one datanode more, in the order that it should have."""

    located: LocatedBlock


@dataclass(frozen=True, slots=True)
class NotOffered:
    """The namenode knows no further datanode, or cannot say."""

    reason: str


@dataclass(frozen=True, slots=True)
class Filled:
    """The replacement has what was acknowledged."""


@dataclass(frozen=True, slots=True)
class NotFilled:
    """The replacement did not get the bytes. `dead_source`: because this survivor could not even be asked."""

    reason: str
    dead_source: ReplicaLocation | None = None


@dataclass(frozen=True, slots=True)
class Waited:
    """The time of a Wait is over."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The new pipeline stands."""


@dataclass(frozen=True, slots=True)
class OpenFailed:
    """No pipeline of these datanodes could be made; `index` is to blame."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Announced:
    """The namenode has the new pipeline."""


Event = Broken | Offered | NotOffered | Filled | NotFilled | Waited | Opened | OpenFailed | Announced


@dataclass(frozen=True, slots=True)
class FindReplacement:
    """Ask the namenode for one datanode more (getAdditionalDatanode)."""

    existing: tuple[ReplicaLocation, ...]
    excluded: tuple[DatanodeInfo, ...]


@dataclass(frozen=True, slots=True)
class Fill:
    """Ask a survivor to give the replacement what was acknowledged (TRANSFER_BLOCK)."""

    source: ReplicaLocation
    target: ReplicaLocation


@dataclass(frozen=True, slots=True)
class Reopen:
    """Get a new generation stamp and open a pipeline under it."""

    pipeline: tuple[ReplicaLocation, ...]
    stage: Stage


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the namenode which datanodes write the block from now on (updatePipeline)."""

    pipeline: tuple[ReplicaLocation, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Come back later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Resume:
    """Send what is not acknowledged; nothing at all if the block is `closed` already."""

    closed: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The block cannot be written on."""

    reason: str


Step = FindReplacement | Fill | Reopen | Announce | Wait | Resume | GiveUp
Next = tuple[RecoveryState, Step]


def next_step(state: RecoveryState, event: Event, rules: Rules) -> Next:
    """What follows an event. The first event of a recovery is Broken; Resume and GiveUp end it."""
    match event:
        case Broken():
            return _broken(state, event, rules)
        case Offered():
            return _offered(state, event.located, rules)
        case NotOffered():
            return _without_replacement(state, event.reason, rules)
        case Filled():
            return _mend(replace(state, pipeline=state.filling, filling=(), fills=FILLS_MAX), rules)
        case NotFilled():
            return _not_filled(state, event, rules)
        case Waited():
            return _reopen(state)
        case Opened():
            return state, Announce(state.pipeline)
        case OpenFailed():
            return _open_failed(state, event, rules)
        case Announced():
            return state, Resume(closed=state.closing)


def _broken(state: RecoveryState, event: Broken, rules: Rules) -> Next:
    progress = event.written.packets_acked > state.written.packets_acked
    state = replace(
        state,
        written=event.written,
        recoveries=1 if progress else state.recoveries + 1,
        reopenings=0 if progress else state.reopenings,
        fills=0,
        finished=(),
        closing=False,
        restart_waits=None,
    )
    if state.recoveries > RECOVERIES_MAX:
        state = _left_out(state, event.index, event.reason)
        return state, GiveUp(f"{RECOVERIES_MAX} recoveries in a row brought no packet through; {_reasons(state)}")
    if event.restarting and len(state.pipeline) == 1:
        return replace(state, restart_waits=1), Wait(RESTART_WAITS_S[0])
    return _mend(_left_out(state, event.index, event.reason), rules)


def _left_out(state: RecoveryState, index: int, reason: str) -> RecoveryState:
    bad = state.pipeline[index]
    rest = state.pipeline[:index] + state.pipeline[index + 1 :]
    return replace(state, pipeline=rest, lost=(*state.lost, Lost(bad, reason)))


def _mend(state: RecoveryState, rules: Rules) -> Next:
    """A datanode was left out, or added: replace one, or go on with those that there are."""
    closing = state.closing or (state.written.ended and state.written.data_acked)
    if not state.pipeline:
        if not state.finished:
            return state, GiveUp(f"all its datanodes failed; {_reasons(state)}")
        state = replace(state, pipeline=state.finished, finished=())
        closing = True
    state = replace(state, closing=closing)
    if (
        state.fills < FILLS_MAX
        and not closing
        and rules.wants_replacement(state.pipeline, state.lost, state.written.flushed)
    ):
        return state, FindReplacement(state.pipeline, state.excluded)
    return _reopen(state)


def _reopen(state: RecoveryState) -> Next:
    if state.reopenings >= REOPENINGS_MAX:
        return state, GiveUp(f"{REOPENINGS_MAX} pipelines in a row could not be made; {_reasons(state)}")
    stage = Stage.PIPELINE_CLOSE_RECOVERY if state.closing else Stage.PIPELINE_SETUP_STREAMING_RECOVERY
    return replace(state, reopenings=state.reopenings + 1), Reopen(state.pipeline, stage)


def _offered(state: RecoveryState, located: LocatedBlock, rules: Rules) -> Next:
    known = {one.datanode.id.uuid for one in state.pipeline}
    new = [one for one in located.locations if one.datanode.id.uuid not in known]
    if not new:
        return _without_replacement(state, "the namenode offered no further datanode", rules)
    target = new[0]
    kept = {one.datanode.id.uuid: one for one in (*state.pipeline, target)}
    order = [one.datanode.id.uuid for one in located.locations if one.datanode.id.uuid in kept]
    order += [uuid for uuid in kept if uuid not in order]
    state = replace(state, filling=grouped_by_idc([kept[uuid] for uuid in order]))
    near = [one for one in state.pipeline if idc_of(one) == idc_of(target)]
    sources = near + [one for one in state.pipeline if one not in near]
    return state, Fill(sources[state.fills % len(sources)], target)


def _not_filled(state: RecoveryState, event: NotFilled, rules: Rules) -> Next:
    if event.dead_source is not None:
        index = state.pipeline.index(event.dead_source)
        return _mend(replace(_left_out(state, index, event.reason), filling=()), rules)
    known = {one.datanode.id.uuid for one in state.pipeline}
    unfit = tuple(one.datanode for one in state.filling if one.datanode.id.uuid not in known)
    state = replace(state, fills=state.fills + 1, filling=(), unfit=state.unfit + unfit)
    if state.fills >= FILLS_MAX:
        return _without_replacement(state, event.reason, rules)
    return state, FindReplacement(state.pipeline, state.excluded)


def _without_replacement(state: RecoveryState, reason: str, rules: Rules) -> Next:
    if not rules.best_effort:
        return state, GiveUp(
            f"no replacement for its lost datanodes ({reason}), and replace-datanode-on-failure.best-effort is off; "
            f"{_reasons(state)}"
        )
    return _reopen(replace(state, fills=FILLS_MAX, filling=()))


def _open_failed(state: RecoveryState, event: OpenFailed, rules: Rules) -> Next:
    waits = state.restart_waits
    if waits is not None and waits < len(RESTART_WAITS_S):
        return replace(state, restart_waits=waits + 1, reopenings=0), Wait(RESTART_WAITS_S[waits])
    bad = state.pipeline[event.index]
    if state.written.ended and not state.closing:
        state = replace(state, finished=(*state.finished, bad))
    return _mend(replace(_left_out(state, event.index, event.reason), fills=0), rules)


def grouped_by_idc(pipeline: Sequence[ReplicaLocation]) -> tuple[ReplicaLocation, ...]:
    """The same datanodes with those of each IDC together, IDCs in the order in which they first appear."""
    idcs = list(dict.fromkeys(map(idc_of, pipeline)))
    return tuple(sorted(pipeline, key=lambda one: idcs.index(idc_of(one))))


def idc_of(replica: ReplicaLocation) -> str:
    return replica.datanode.location.idc


def _reasons(state: RecoveryState) -> str:
    return "; ".join(f"datanode {one.replica.datanode.id.xfer_address}: {one.reason}" for one in state.lost)
