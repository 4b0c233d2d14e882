"""The namenode's figures for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import Metric

from seamlessfs.blocks.cluster import NodeState
from seamlessfs.namenode.core import Core
from seamlessfs.namenode.health import Health
from seamlessfs.namenode.sessions import ControlService
from seamlessfs.net.histogram import Histogram
from seamlessfs.net.rpc_server import RpcServer
from seamlessfs.web.prometheus import Family

NAMENODE = Family("namenode")


class NamenodeMetrics:
    """Reads every part of a namenode. Cost: datanodes, queues and methods, never blocks or files."""

    def __init__(self, core: Core, control: ControlService, health: Health, rpc: RpcServer) -> None:
        self.core = core
        self.control = control
        self.health = health
        self.rpc = rpc

    def __call__(self) -> Iterator[Metric]:
        yield from self._links()
        yield from self._waiting()
        yield from self._calls()
        yield from self._writing()
        yield from self._datanodes()
        yield from self._namespace()

    def _links(self) -> Iterator[Metric]:
        """As `getTraffic` answers."""
        rows = self.control.ledger.sums()
        ends = ("source", "target", "class")
        for name, counted_by in (("sent", "senders"), ("received", "receivers")):
            for kind, what in (("payload", "File data"), ("wire", "Everything that datanodes said")):
                yield NAMENODE.counters(
                    f"link_{kind}_{name}_bytes",
                    f"{what} on the link between two IDCs, counted by the {counted_by}.",
                    ends,
                    {(row.source, row.target, row.traffic_class): getattr(row, f"{kind}_{name}") for row in rows},
                )
        yield NAMENODE.counters(
            "control_bytes",
            "Control messages between the namenode and the datanodes of an IDC.",
            ("idc", "direction"),
            {tuple(place): count for place, count in self.control.control_bytes.items()},
        )
        debts = self.core.blocks.owed()
        owed = {(link.source, link.target): debt for link, debt in debts.items()}
        yield NAMENODE.gauges(
            "owed_blocks",
            "Blocks that wait to be copied over a link.",
            ("source", "target"),
            {ends: debt.blocks for ends, debt in owed.items()},
        )
        yield NAMENODE.gauges(
            "owed_bytes",
            "Bytes that wait to be copied over a link.",
            ("source", "target"),
            {ends: debt.size_bytes for ends, debt in owed.items()},
        )

    def _waiting(self) -> Iterator[Metric]:
        queues, oldest = self.health.queues(), self.health.oldest()
        yield NAMENODE.gauges("queue_length", "What waits.", ("queue",), {(each.name,): each.length for each in queues})
        yield NAMENODE.gauges(
            "queue_length_max",
            "The most that a queue ever holds.",
            ("queue",),
            {(each.name,): each.bound for each in queues if each.bound},
        )
        yield NAMENODE.gauges(
            "oldest_age_seconds",
            "Age of the oldest of its kind.",
            ("kind",),
            {(each.kind,): each.age_ms / 1000 for each in oldest},
        )
        yield NAMENODE.gauges(
            "oldest_age_limit_seconds",
            "Age from which on the oldest of its kind counts as stuck.",
            ("kind",),
            {(each.kind,): each.limit_ms / 1000 for each in oldest},
        )

    def _calls(self) -> Iterator[Metric]:
        rpc = self.rpc
        methods: dict[tuple[str, ...], Histogram] = {
            (method,): served.took for protocol in rpc.services.values() for method, served in protocol.items()
        }
        yield NAMENODE.times("rpc_call", "From a call's turn to its answer.", ("method",), methods)
        yield NAMENODE.times("rpc_queue", "From a call's arrival to its turn.", (), {(): rpc.waited})
        yield NAMENODE.counter("rpc_calls", "Calls received.", rpc.calls)
        yield NAMENODE.counter("rpc_errors", "Calls answered with a failure, and refused connections.", rpc.errors)
        yield NAMENODE.counters(
            "rpc_refusals",
            "Connections dropped and calls refused before they were read.",
            ("reason",),
            {(reason.value,): count for reason, count in rpc.refusals.items()},
        )
        yield NAMENODE.gauge("rpc_connections", "Connections of clients.", rpc.connections)
        yield NAMENODE.gauge("rpc_received_bytes", "Received and not looked at yet.", rpc.buffered_bytes)
        yield NAMENODE.gauge("rpc_unread_bytes", "Answers that clients have not read yet.", rpc.unread_bytes)

    def _writing(self) -> Iterator[Metric]:
        writer = self.core.writer
        figures = writer.figures
        yield NAMENODE.times("commit", "From a batch's first operation to its answers.", (), {(): figures.commit})
        yield NAMENODE.times("journal_append", "Until the journal had a batch.", (), {(): figures.append})
        yield NAMENODE.sizes("batch_operations", "Operations in a batch.", figures.batch_operations)
        yield NAMENODE.sizes("batch_bytes", "Bytes of a batch in the journal.", figures.batch_bytes)
        yield NAMENODE.counter("operations", "Operations run by the writer.", writer.operations)
        yield NAMENODE.counter("journal_syncs", "Waits of the journal for its disk.", writer.fdatasyncs)
        yield NAMENODE.counter("store_commits", "Commits of the store.", writer.commits)
        yield NAMENODE.gauge("durable_txid", "Last batch that the journal has.", writer.durable_txid)
        yield NAMENODE.gauge("applied_txid", "Last batch that the store has.", writer.applied_txid)

    def _datanodes(self) -> Iterator[Metric]:
        blocks = self.core.blocks
        states = Counter(node.state for node in blocks.cluster.nodes.values())
        stats = blocks.stats()
        yield NAMENODE.gauges(
            "datanodes", "Datanodes by state.", ("state",), {(state.value,): states[state] for state in NodeState}
        )
        yield NAMENODE.gauge("capacity_bytes", "Of all live datanodes.", stats.capacity)
        yield NAMENODE.gauge("used_bytes", "Of all live datanodes.", stats.used)
        yield NAMENODE.gauge("remaining_bytes", "Of all live datanodes.", stats.remaining)
        yield NAMENODE.gauge("under_replicated_blocks", "Blocks that lack a replica.", stats.under_replicated)
        yield NAMENODE.gauge("missing_blocks", "Blocks without a replica.", stats.missing_blocks)
        yield NAMENODE.gauge("corrupt_blocks", "Blocks of which all replicas are damaged.", stats.corrupt_blocks)
        yield NAMENODE.gauge("located_blocks", "Blocks with a replica.", blocks.located)

    def _namespace(self) -> Iterator[Metric]:
        core = self.core
        view = core.view()
        summary = core.namespace.get_content_summary(view, core.own_context(), "/")
        yield NAMENODE.gauge("files", "Files.", summary.files)
        yield NAMENODE.gauge("directories", "Directories.", summary.directories)
        yield NAMENODE.gauge("blocks", "Complete blocks.", core.namespace.complete_blocks(view))
        yield NAMENODE.gauge("safe_mode", "1 while the namespace stands still.", core.safe_mode)
