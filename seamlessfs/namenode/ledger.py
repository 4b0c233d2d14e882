"""What datanodes counted on the links between IDCs, summed over their lives and those before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from seamlessfs.model.cluster import Link
from seamlessfs.model.ids import DatanodeUuid
from seamlessfs.wire.pb.seamless import control_pb2 as pb

TrafficKey = tuple[Link, str]


@dataclass
class _Count:
    """Of one datanode: which process counts, and what it said last."""

    started_at_ms: int
    rows: Mapping[TrafficKey, pb.LinkTraffic] = field(default_factory=dict)


class Ledger:
    """Sums of counters that begin at zero whenever a datanode starts.

    Invariant: a sum never falls while the namenode runs. What a killed datanode had not reported is lost.
    """

    def __init__(self) -> None:
        self._counts: dict[DatanodeUuid, _Count] = {}
        self._ended: dict[TrafficKey, pb.LinkTraffic] = {}
        """Sums of the processes that have ended and were followed by others."""

    def joined(self, uuid: DatanodeUuid, started_at_ms: int) -> None:
        """A datanode has registered; if it was started anew, what its former process counted is kept."""
        count = self._counts.get(uuid)
        if count is None or count.started_at_ms != started_at_ms:
            if count is not None:
                _add(self._ended, count.rows.values())
            self._counts[uuid] = _Count(started_at_ms)

    def counted(self, uuid: DatanodeUuid, rows: Iterable[pb.LinkTraffic]) -> None:
        """The counters of a datanode that has joined, each since its process started."""
        self._counts[uuid].rows = {_key(row): row for row in rows}

    def sums(self) -> list[pb.LinkTraffic]:
        """One row a link and class, in the order of their names."""
        totals: dict[TrafficKey, pb.LinkTraffic] = {}
        _add(totals, self._ended.values())
        for count in self._counts.values():
            _add(totals, count.rows.values())
        return [totals[key] for key in sorted(totals)]


def _key(row: pb.LinkTraffic) -> TrafficKey:
    return Link(row.source, row.target), row.traffic_class


def _add(totals: dict[TrafficKey, pb.LinkTraffic], rows: Iterable[pb.LinkTraffic]) -> None:
    for row in rows:
        total = totals.setdefault(
            _key(row), pb.LinkTraffic(source=row.source, target=row.target, traffic_class=row.traffic_class)
        )
        total.payload_sent += row.payload_sent
        total.payload_received += row.payload_received
        total.wire_sent += row.wire_sent
        total.wire_received += row.wire_received
