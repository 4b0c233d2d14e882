"""A datanode's figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import Metric

from seamlessfs.web.prometheus import Family

if TYPE_CHECKING:
    from seamlessfs.datanode.daemon import Datanode

DATANODE = Family("datanode")


class DatanodeMetrics:
    """Reads every part of a datanode. Cost: links, volumes and methods, never replicas."""

    def __init__(self, datanode: Datanode) -> None:
        self.datanode = datanode

    def __call__(self) -> Iterator[Metric]:
        yield from self._traffic()
        yield from self._work()
        yield from self._volumes()

    def _traffic(self) -> Iterator[Metric]:
        counts = self.datanode.ledger.counter.snapshot()
        for kind, what in (("payload", "File data"), ("wire", "All bytes")):
            for direction in ("sent", "received"):
                yield DATANODE.counters(
                    f"link_{kind}_{direction}_bytes",
                    f"{what} {direction} by this datanode, by the IDCs of both ends and what it was for.",
                    ("source", "target", "class"),
                    {
                        (link.source, link.target, traffic_class): getattr(count, f"{kind}_{direction}")
                        for (link, traffic_class), count in counts.items()
                    },
                )

    def _work(self) -> Iterator[Metric]:
        datanode = self.datanode
        for what, count in datanode.ledger.tally.read().items():
            yield DATANODE.counter(what.value, f"{what.value.replace('_', ' ').capitalize()}.", count)
        yield DATANODE.gauge(
            "transfers", "Replications that are being sent or wait for it.", datanode.transfers_running
        )
        yield DATANODE.gauge("xceivers", "Connections that are in an operation.", datanode.transfer_server.active)
        yield DATANODE.gauge("xceivers_max", "The most of them.", datanode.settings.max_xceivers)
        yield DATANODE.counters(
            "xceiver_refusals",
            "Connections ended from this side.",
            ("reason",),
            {(reason.value,): count for reason, count in list(datanode.transfer_server.refusals.items())},
        )
        yield DATANODE.gauge("namenodes_registered", "Namenodes that this datanode reports to.", datanode.registered)

    def _volumes(self) -> Iterator[Metric]:
        disks, scanner = self.datanode.store.disks, self.datanode.scanner
        volumes = {(str(volume.root),): volume for volume in disks.all}
        reports = {label: disks.report(volume) for label, volume in volumes.items() if volume.opened}
        for name in ("capacity", "used", "remaining"):
            yield DATANODE.gauges(
                f"volume_{name}_bytes",
                f"Bytes of a volume: {name}.",
                ("volume",),
                {label: getattr(report, name) for label, report in reports.items()},
            )
        yield DATANODE.gauges(
            "volume_failed",
            "1 for a volume that is out of use.",
            ("volume",),
            {label: volume.failed for label, volume in volumes.items()},
        )
        yield DATANODE.gauges(
            "replicas_to_scan",
            "Replicas that the scanner has not come to in this period.",
            ("volume",),
            {label: scanner.ahead.get(volume, 0) for label, volume in volumes.items()},
        )
        yield DATANODE.times(
            "sync",
            "Waits for a volume's disk (fsync, fdatasync).",
            ("volume",),
            {label: volume.syncs.took for label, volume in volumes.items()},
        )
