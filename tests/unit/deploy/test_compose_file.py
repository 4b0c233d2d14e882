"""The compose file is what its generator prints, and its networks are where the router expects them."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from deploy.compose import IDCS_MAX, datanodes, render
from seamlessfs.config.topology import parse_topology

COMMITTED = Path(__file__).resolve().parents[3] / "deploy" / "docker-compose.yml"


def test_committed_file_is_fresh() -> None:
    assert COMMITTED.read_text() == render(2), "run `python -m deploy.compose > deploy/docker-compose.yml`"


@pytest.mark.parametrize("idcs", [2, 3, IDCS_MAX])
def test_topology_places_every_datanode_and_client(idcs: int) -> None:
    text = render(idcs)
    rules = dict(parse_topology("\n".join(re.findall(r"^ +(\S+/\d+ /\S+)$", text, re.M)), "compose file"))
    for number, idc in enumerate("abcdefgh"[:idcs], 1):
        for name, address in datanodes(number, idc):
            (place,) = (place for network, place in rules.items() if IPv4Address(address) in IPv4Network(network))
            assert f"datanode-{place.idc}-{place.rack}" in name
            assert f"  {name}:\n    <<: *datanode" in text
            assert f"\n  {name}:\n" in text.partition("volumes:\n  secret:")[2]
        assert f"\n  client-{idc}:\n" in text


def test_nothing_is_published_wider_than_loopback_and_only_the_router_has_a_capability() -> None:
    text = COMMITTED.read_text()
    published = re.findall(r'^ +- "(\S+:\d+)"$', text, re.M)
    assert len(published) == 2
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert text.count("cap_add") == text.count("devices:") == 1
    assert "privileged:" not in text.replace("no-new-privileges:", "")
