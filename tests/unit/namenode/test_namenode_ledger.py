"""Sums of what datanodes counted, over restarts of theirs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seamlessfs.model.ids import DatanodeUuid
from seamlessfs.namenode.ledger import Ledger
from seamlessfs.wire.pb.seamless import control_pb2 as pb

ONE, TWO = DatanodeUuid("one"), DatanodeUuid("two")


def row(sent: int = 0, received: int = 0, source: str = "a", target: str = "b", kind: str = "write") -> pb.LinkTraffic:
    return pb.LinkTraffic(
        source=source,
        target=target,
        traffic_class=kind,
        payload_sent=sent,
        payload_received=received,
        wire_sent=sent + 1,
        wire_received=received + 1,
    )


def test_rows_of_all_datanodes_are_summed_by_link_and_class() -> None:
    ledger = Ledger()
    ledger.joined(ONE, 1)
    ledger.joined(TWO, 1)
    ledger.counted(ONE, [row(sent=5), row(sent=1, kind="read"), row(sent=7, source="b", target="a")])
    ledger.counted(TWO, [row(received=5)])
    sums = [(r.source, r.target, r.traffic_class, r.payload_sent, r.payload_received) for r in ledger.sums()]
    assert sums == [("a", "b", "read", 1, 0), ("a", "b", "write", 5, 5), ("b", "a", "write", 7, 0)]


def test_a_later_report_replaces_an_earlier_one_also_over_a_new_stream() -> None:
    ledger = Ledger()
    ledger.joined(ONE, 1)
    ledger.counted(ONE, [row(sent=5)])
    ledger.counted(ONE, [row(sent=6)])
    ledger.joined(ONE, 1)
    ledger.counted(ONE, [row(sent=7)])
    assert ledger.sums() == [row(sent=7)]


@given(st.lists(st.lists(st.integers(0, 100), min_size=1), max_size=5))
def test_a_datanode_started_anew_adds_to_what_it_counted_before(lives: list[list[int]]) -> None:
    ledger, before = Ledger(), 0
    for started_at_ms, amounts in enumerate(lives, 1):
        ledger.joined(ONE, started_at_ms)
        for sent in sorted(amounts):
            ledger.counted(ONE, [row(sent=sent)])
            assert [r.payload_sent for r in ledger.sums()] == [before + sent]
        before += max(amounts)
