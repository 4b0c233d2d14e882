"""The web ports of a running cluster."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.placement import fetch_health
from seamlessfs.wire.pb.hadoop import client_namenode_pb2
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL
from tests.support.observe import client_in, until


def fetch(url: str) -> tuple[int, str]:
    """Status and text of a page."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def set_safe_mode(client: Client, action: int) -> None:
    request = client_namenode_pb2.SetSafeModeRequestProto(action=action)  # type: ignore[arg-type]
    client.namenode.channel.call(CLIENT_PROTOCOL, "setSafeMode", request)


@pytest.fixture(scope="module")
def urls(mini: MiniCluster) -> list[str]:
    """The web port of each daemon, the namenode's first."""
    ports = [json.loads(node.port_file.read_text())["info"] for node in mini.datanodes]
    places = zip(mini.datanodes, ports, strict=True)
    return [mini.http_url, *(f"http://{node.address}:{port}" for node, port in places)]


def test_every_daemon_says_that_it_is_well(mini: MiniCluster, urls: list[str]) -> None:
    assert {url: fetch(f"{url}/healthz") for url in urls[1:]} == dict.fromkeys(urls[1:], (200, "ok\n"))
    with client_in(mini, "a") as client:
        stuck = [each.kind for each in fetch_health(client).oldest if each.age_ms > each.limit_ms]
    status, text = fetch(f"{urls[0]}/healthz")
    assert (status, text) == (200, "ok\n") if not stuck else re.findall(r"^stuck: (\w+) ", text, re.M) == stuck


def test_clients_are_told_where_a_datanode_answers(mini: MiniCluster, urls: list[str]) -> None:
    with client_in(mini, "a") as client:
        told = [node.id for node in client.namenode.get_datanode_report("LIVE")]
    assert {f"http://{node.ip}:{node.info_port}" for node in told} == set(urls[1:])


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def metrics(url: str) -> Samples:
    """Every sample by its name and labels."""
    status, text = fetch(f"{url}/metrics")
    assert status == 200
    families = text_string_to_metric_families(text)
    return {(one.name, frozenset(one.labels.items())): one.value for each in families for one in each.samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    """0 where there is no such sample."""
    if "kind" in labels:
        labels["class"] = labels.pop("kind")
    return samples.get((f"seamlessfs_{name}", frozenset(labels.items())), 0)


def test_metrics_follow_a_file_from_a_client_to_both_idcs(mini: MiniCluster, urls: list[str]) -> None:
    before = metrics(urls[0])
    size = 700_000
    with client_in(mini, "a") as client:
        client.write_file("/metrics/file", b"x" * size)
        assert client.read_file("/metrics/file") == b"x" * size
        for _ in range(5):
            client.namenode.get_file_info("/metrics/file")

    def grown(samples: Samples, name: str, **labels: str) -> float:
        return value(samples, f"namenode_{name}", **labels) - value(before, f"namenode_{name}", **labels)

    crossing = {"source": "a", "target": "b", "kind": "write"}
    for end in ("sent", "received"):
        name = f"link_payload_{end}_bytes_total"
        until(lambda name=name: grown(metrics(urls[0]), name, **crossing) == size, "it is reported")  # type: ignore[misc]
    after = metrics(urls[0])
    assert grown(after, "link_payload_sent_bytes_total", **crossing) == size
    assert grown(after, "link_wire_sent_bytes_total", **crossing) > size
    assert grown(after, "files") == 1
    assert grown(after, "blocks") == 1
    assert grown(after, "rpc_call_seconds_count", method="getFileInfo") >= 5
    assert grown(after, "rpc_call_seconds_count", method="create") == 1
    assert grown(after, "rpc_queue_seconds_count") >= grown(after, "rpc_calls_total") - 1 > 5
    assert grown(after, "batch_operations_sum") >= 3
    assert grown(after, "journal_append_seconds_count") == grown(after, "commit_seconds_count") >= 1
    assert grown(after, "journal_append_seconds_sum") < grown(after, "commit_seconds_sum")
    assert value(after, "namenode_datanodes", state="live") == len(mini.datanodes)
    assert value(after, "namenode_safe_mode") == 0
    assert value(after, "namenode_queue_length_max", queue="operations_waiting") > 0


def test_metrics_of_datanodes_add_up(mini: MiniCluster, urls: list[str]) -> None:
    def sums() -> Counter[str]:
        found: Counter[str] = Counter()
        for url in urls[1:]:
            for (name, _), amount in metrics(url).items():
                found[name.removeprefix("seamlessfs_datanode_")] += amount  # type: ignore[assignment]
        return found

    before, size = sums(), 300_000
    with client_in(mini, "b") as client:
        client.write_file("/metrics/second", b"y" * size)
        client.read_file("/metrics/second")
    after = sums()
    after.subtract(before)
    assert after["blocks_written_total"] == 4
    assert after["blocks_read_total"] >= 1
    assert after["link_payload_received_bytes_total"] >= 4 * size
    assert after["packets_received_total"] >= 8
    assert after["sync_seconds_count"] >= 4 * 3, "data, checksums and the directory of each replica"
    assert after["checksum_mismatches_total"] == after["volume_failed"] == 0
    assert sums()["volume_capacity_bytes"] > 0


def test_scrapes_name_what_prometheus_accepts(urls: list[str]) -> None:
    for url in urls[:2]:
        for name, labels in metrics(url):
            assert re.fullmatch(r"(seamlessfs_(namenode|datanode)|process)_[a-z_]+", name)
            assert len(labels) <= 3


def test_safe_mode_is_no_health(mini: MiniCluster, urls: list[str]) -> None:
    with client_in(mini, "a") as client:
        set_safe_mode(client, client_namenode_pb2.SAFEMODE_ENTER)
        try:
            status, text = fetch(f"{urls[0]}/healthz")
        finally:
            set_safe_mode(client, client_namenode_pb2.SAFEMODE_LEAVE)
    assert (status, text.startswith("safe mode: It was turned on manually.")) == (503, True)
