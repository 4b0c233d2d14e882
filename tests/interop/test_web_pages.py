"""The web ports of a running cluster."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.wire.pb.hadoop import client_namenode_pb2
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL
from tests.support.observe import client_in


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


def test_every_daemon_says_that_it_is_well(urls: list[str]) -> None:
    assert {url: fetch(f"{url}/healthz") for url in urls} == dict.fromkeys(urls, (200, "ok\n"))


def test_clients_are_told_where_a_datanode_answers(mini: MiniCluster, urls: list[str]) -> None:
    with client_in(mini, "a") as client:
        told = [node.id for node in client.namenode.get_datanode_report("LIVE")]
    assert {f"http://{node.ip}:{node.info_port}" for node in told} == set(urls[1:])


def test_safe_mode_is_no_health(mini: MiniCluster, urls: list[str]) -> None:
    with client_in(mini, "a") as client:
        set_safe_mode(client, client_namenode_pb2.SAFEMODE_ENTER)
        try:
            status, text = fetch(f"{urls[0]}/healthz")
        finally:
            set_safe_mode(client, client_namenode_pb2.SAFEMODE_LEAVE)
    assert (status, text.startswith("safe mode: It was turned on manually.")) == (503, True)
