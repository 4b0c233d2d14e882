"""What operators are told: the queues, and what is stuck; and datanodes that stall, or come all at once."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from seamlessfs.cli.main import main
from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.placement import fetch_health
from seamlessfs.model.errors import AccessDenied
from seamlessfs.wire.pb.seamless import placement_pb2 as pb
from tests.support.observe import block_files, client_in, until
from tests.support.said_datanode import SaidDatanode

QUICK = {
    "heartbeat_interval_ms": 200,
    "stale_after_ms": 1000,
    "dead_after_ms": 2000,
    "settle_ms": 200,
    "redundancy_interval_ms": 100,
    "stuck_after_ms": 300,
}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., MiniCluster]]:
    """Makes and starts a cluster."""
    with ExitStack() as stack:
        yield lambda settings={}, **shape: stack.enter_context(
            MiniCluster(tmp_path, namenode_settings=QUICK | settings, **shape)
        )


def health(cluster: MiniCluster) -> pb.GetHealthResponseProto:
    with client_in(cluster, "a") as client:
        return fetch_health(client)


def length(cluster: MiniCluster, queue: str) -> int:
    (found,) = [each for each in health(cluster).queues if each.name == queue]
    return found.length


def test_a_debt_that_cannot_be_paid_is_named_in_the_log_and_to_operators(
    make: Callable[..., MiniCluster], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = make(racks=1)
    for node in cluster.in_idc("b"):
        node.kill(signal.SIGSTOP)
    until(lambda: cluster.live_datanodes() == 2, "one IDC is silent", 15)
    with client_in(cluster, "a") as client:
        client.write_file("/owed", b"x" * 1000)
        with pytest.raises(AccessDenied), client_in(cluster, "a", user="alice") as alice:
            fetch_health(alice)
    until(lambda: " stuck kind=debt " in cluster.namenode.log.read_text(), "the log names it", 15)
    with pytest.raises(HTTPError, match="503") as told:
        urlopen(f"{cluster.http_url}/healthz", timeout=30)
    assert b"stuck: debt of block " in told.value.read()
    capsys.readouterr()
    assert main(["explain", "-fs", cluster.url, "/owed"]) == 0
    explained = capsys.readouterr().out
    assert "under_replicated" in explained.splitlines()[2]
    assert "  owed: 2 replicas over a>b\n" in explained
    assert "  next: 2 replicas over a>b: wait until a datanode of b takes replicas again\n" in explained
    assert main(["health", "-fs", cluster.url]) == 3
    shown = capsys.readouterr().out
    assert shown.startswith("safe mode: off\n\nqueue ")
    (line,) = [line for line in shown.splitlines() if line.startswith("debt ")]
    assert " STUCK  block " in line
    assert line.endswith("2 to b over a>b")
    assert main(["health", "-fs", cluster.url, "--json"]) == 3
    answer = json.loads(capsys.readouterr().out)
    assert {each["name"]: each["length"] for each in answer["queues"]}["blocks_owed"] == "1"
    for node in cluster.in_idc("b"):
        node.kill(signal.SIGCONT)
    until(lambda: " not_stuck_any_more kind=debt " in cluster.namenode.log.read_text(), "it is paid", 60)
    assert main(["health", "-fs", cluster.url]) == 0
    assert all(queue.length <= queue.bound for queue in health(cluster).queues if queue.bound)


def test_no_more_reports_at_a_time_than_may(make: Callable[..., MiniCluster]) -> None:
    """Twenty datanodes come at once; each has a turn, three at a time."""
    cluster = make({"report_turns_max": 3}, idcs=1, racks=1, datanodes_per_rack=1)
    with ExitStack() as stack:
        crowd = [stack.enter_context(SaidDatanode(cluster, f"127.1.1.{100 + number}")) for number in range(20)]
        for said in crowd:
            said.register()
        reported: list[SaidDatanode] = []
        while len(reported) < len(crowd):
            asked = [said for said in crowd if said.of("request_report") and said not in reported]
            assert len(asked) <= 3
            assert length(cluster, "reports_running") <= 3
            if asked:
                asked[0].report((1 << 40, 1 << 30, 5))
                reported.append(asked[0])
        until(lambda: length(cluster, "reports_running") == length(cluster, "reports_wanted") == 0, "all are done")
        assert all(len(said.of("request_report")) == 1 for said in crowd)
        assert length(cluster, "replicas_parked") == 20


def test_a_report_that_is_never_given_holds_up_the_others_for_a_while_only(make: Callable[..., MiniCluster]) -> None:
    cluster = make({"report_turns_max": 1, "report_turn_ms": 500}, idcs=1, racks=1, datanodes_per_rack=1)
    with ExitStack() as stack:
        first, second = (stack.enter_context(SaidDatanode(cluster, f"127.1.1.{100 + n}")) for n in range(2))
        for said in (first, second):
            said.register()
        first.wait_for_turn()
        second.wait_for_turn()
        second.report()
        first.wait_for_turn(2)
        first.report()
        first.heartbeat(report_due=True)
        first.wait_for_turn(3)


def test_a_tree_of_many_files_goes_a_little_at_a_time(make: Callable[..., MiniCluster]) -> None:
    cluster = make(idcs=1, racks=1, datanodes_per_rack=2)
    with client_in(cluster, "a") as client:
        for number in range(30):
            client.write_file(f"/tree/{number % 6}/{number}", os.urandom(100))
        assert len(block_files(cluster)) == 30 * 4
        assert client.delete("/tree", recursive=True)
        assert not client.exists("/tree")
        until(lambda: not block_files(cluster), "it is gone")
        until(lambda: length(cluster, "deletions_unconfirmed") == 0, "and confirmed")
        assert "removal" not in {each.kind for each in health(cluster).oldest}


def test_a_datanode_that_takes_nothing_is_let_go_and_the_others_go_on(make: Callable[..., MiniCluster]) -> None:
    """Its process is stopped: it counts as dead, nothing is kept for it, and it reports when it is back."""
    cluster = make(idcs=1, racks=1, datanodes_per_rack=3)
    node = cluster.datanodes[0]
    with client_in(cluster, "a") as client:
        client.write_file("/f", b"y" * 1000)
        node.kill(signal.SIGSTOP)
        until(lambda: len(client.namenode.get_datanode_report("DEAD")) == 1, "it counts as dead")
        assert client.delete("/f")
        until(lambda: length(cluster, "deletions_waiting") == 0, "nothing is kept for it")
        node.kill(signal.SIGCONT)
        until(lambda: not list((node.folder / "data").rglob("blk_*")), "what it missed is found in its report")


def test_a_stopped_namenode_ends_no_lease_and_copies_nothing(make: Callable[..., MiniCluster]) -> None:
    cluster = make({"lease_hard_limit_ms": 2500, "lease_soft_limit_ms": 2500}, idcs=1, racks=2)
    with client_in(cluster, "a") as client:
        client.write_file("/f", b"z" * 1000)
        with client.open_write("/open") as writer:
            writer.write(b"before")
            cluster.namenode.kill(signal.SIGSTOP)
            began_s = time.monotonic()
            until(lambda: time.monotonic() > began_s + 4, "it is stopped for longer than a lease lives")
            cluster.namenode.kill(signal.SIGCONT)
            writer.write(b" after")
        assert client.read_file("/open") == b"before after"
    logs = [node.log.read_text() for node in cluster.datanodes]
    assert not any(" transfer_ended " in log for log in logs)
    assert "lease_released" not in cluster.namenode.log.read_text()
