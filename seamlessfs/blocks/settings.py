"""Numbers of the block manager, with their units and reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seamlessfs.model.cluster import Link


@dataclass(frozen=True, slots=True)
class BlockSettings:
    """How patient and how busy the block manager is.

    Attributes:
        stale_after_ms: silence after which a datanode gets no new replicas and is read last.
        dead_after_ms: silence after which its replicas count as lost.
        settle_ms: time after the start in which nothing is repaired or trimmed: datanodes are still reporting.
        idc_silent_fraction: share of dead datanodes from which an IDC counts as lost as a whole.
        idc_returned_fraction: share of live, reported datanodes at which a lost IDC counts as back.
        idc_return_wait_ms: how long to wait for that share before copying starts anyway.
        link_rate_bytes_per_s: rate of background copies on a link; 0 stands for no limit.
        link_transfers_max: copies that run on one link at a time; each gets its share of the rate.
        node_transfers_max: copies that one datanode sends, and that it receives, at a time.
        transfer_timeout_ms: silence about a transfer after which it counts as lost, never a limit on its duration.
        retry_base_ms: wait after a first failed transfer; doubled each time up to `retry_max_ms`, with jitter.
        arrival_ms: time that a target has to report a replica whose transfer was reported as done.
        recent_ms: how long single changes outrank a full report that may have been gathered before them.
        overload_factor, overload_slack: a datanode is overloaded above mean transfers x factor + slack.
        evaluate_max, sweep_max, dispatch_max: work of one tick. Units: blocks that are found as wanted at a quick look
            (a whole evaluation counts eight), blocks, copies.
        invalidate_max, invalidate_tick_max: replicas that a datanode, and that all of them are told to delete in a
            tick.
        unconfirmed_max: deletions that a datanode has not confirmed beyond which it is told of no others.
        invalidations_max: replicas that wait for deletion on one datanode; others are found again in its next report.
        report_turns_max: full reports that are given at a time (dfs.namenode.max.full.block.report.leases).
        report_turn_ms: silence after which a report counts as broken off.
        parked_max: reported replicas newer than the namespace that are remembered per storage.
        sync_patience_ms: wait for finalised replicas at complete, after which the policy's shortage rule decides.
    """

    stale_after_ms: int = 10_000
    dead_after_ms: int = 40_000
    settle_ms: int = 40_000
    idc_silent_fraction: float = 0.9
    idc_returned_fraction: float = 0.95
    idc_return_wait_ms: int = 600_000
    link_rate_bytes_per_s: Mapping[Link, int] = field(default_factory=dict)
    default_link_rate_bytes_per_s: int = 100 << 20
    link_transfers_max: int = 8
    node_transfers_max: int = 4
    transfer_timeout_ms: int = 30_000
    retry_base_ms: int = 1_000
    retry_max_ms: int = 300_000
    arrival_ms: int = 10_000
    recent_ms: int = 60_000
    overload_factor: float = 2.0
    overload_slack: int = 32
    evaluate_max: int = 1_000
    sweep_max: int = 5_000
    dispatch_max: int = 200
    invalidate_max: int = 1_000
    invalidate_tick_max: int = 10_000
    unconfirmed_max: int = 10_000
    invalidations_max: int = 100_000
    report_turns_max: int = 6
    report_turn_ms: int = 60_000
    parked_max: int = 10_000
    sync_patience_ms: int = 5_000

    def link_rate(self, link: Link) -> int:
        """Bytes a second that background copies may use on `link`; 0: no limit."""
        return self.link_rate_bytes_per_s.get(link, self.default_link_rate_bytes_per_s)
