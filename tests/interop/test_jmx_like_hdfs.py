"""/jmx side by side with stock HDFS: what we say exists there, in the same form and of the same type."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from tests.support.observe import client_in
from tests.support.stock_hdfs import HOST, StockHdfs

VARIES = re.compile(r"ForPort\d+|-[0-9a-f]{8}-[0-9a-f-]{27}|-[\d.]+-\d+$")
"""Ports, identifiers and addresses in the names of beans."""


class Pair(NamedTuple):
    """The same daemon of both: the addresses of their web ports."""

    ours: str
    theirs: str


@pytest.fixture(scope="module")
def namenodes(mini: MiniCluster, stock_hdfs: StockHdfs) -> Pair:
    return Pair(mini.http_url, f"http://{HOST}:{stock_hdfs.http_port}")


@pytest.fixture(scope="module")
def datanodes(mini: MiniCluster, stock_hdfs: StockHdfs) -> Pair:
    ours = mini.datanodes[0]
    port = stock_hdfs.datanodes[0].logged(r"Listening HTTP traffic on \S*?:(\d+)")
    return Pair(f"http://{ours.address}:{json.loads(ours.port_file.read_text())['info']}", f"http://{HOST}:{port}")


def ask(address: str, **query: str) -> tuple[int, Any]:
    with urlopen(f"{address}/jmx?{urlencode(query)}", timeout=30) as answer:
        return answer.status, json.load(answer)


def beans(address: str) -> dict[str, dict[str, Any]]:
    """All beans by name, without what differs between two daemons."""
    return {VARIES.sub("-", bean["name"]): bean for bean in ask(address, qry="Hadoop:*")[1]["beans"]}


def shape(value: Any) -> Any:
    """The types of a value; those inside a text of JSON too. Paths and addresses as keys differ between daemons."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        return shape(json.loads(value))
    if isinstance(value, dict):
        return {"of each" if re.search(r"[/.:]|^localhost$", key) else key: shape(each) for key, each in value.items()}
    return type(value).__name__


def differences(ours: Any, theirs: Any, at: str) -> Iterator[str]:
    """What stock does not have, or has in another type."""
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        if ours != theirs:
            yield f"{at}: {ours} here, {theirs} there"
        return
    for key, value in ours.items():
        if key in theirs:
            yield from differences(value, theirs[key], f"{at}::{key}")
        else:
            yield f"{at}::{key} is not there"


@pytest.mark.peers
@pytest.mark.parametrize("which", ["namenodes", "datanodes"])
def test_each_attribute_is_one_of_stock_and_of_its_type(which: str, request: pytest.FixtureRequest) -> None:
    pair: Pair = request.getfixturevalue(which)
    ours, theirs = beans(pair.ours), beans(pair.theirs)
    assert ours.keys() <= theirs.keys()
    assert len(ours) >= 6
    for name, bean in ours.items():
        other = theirs[name]
        assert VARIES.sub("-", bean.pop("modelerType")) == VARIES.sub("-", other.pop("modelerType"))
        found = [
            line
            for key, value in bean.items()
            for line in differences(shape(value), _there(other, key), f"{name}::{key}")
        ]
        assert found == []


def _there(bean: dict[str, Any], key: str) -> Any:
    return shape(bean[key]) if key in bean else "nothing"


QUERIES = [
    {"qry": "Hadoop:service=NameNode,name=NameNodeStatus"},
    {"qry": "Hadoop:name=NameNodeStatus,service=NameNode"},
    {"qry": "Hadoop:name=NameNodeStatus"},
    {"qry": "Hadoop:name=NameNodeStatu?,*"},
    {"qry": "Hadoop:*,service=NameNode,name=FSNamesystem*"},
    {"qry": "*:name=FSNamesystem,*"},
    {"qry": "Ha*:service=*,name=NameNodeInfo"},
    {"qry": "Hadoop:service=NameNode,name=Nothing"},
    {"qry": "hadoop:service=NameNode,name=NameNodeInfo"},
    {"qry": "nothing"},
    {"qry": "Hadoop:"},
    {"get": "Hadoop:service=NameNode,name=NameNodeStatus::NNRole"},
    {"get": "Hadoop:service=NameNode,name=NameNodeStatus::Nothing"},
    {"get": "Hadoop:service=NameNode,name=Nothing::NNRole"},
    {"get": "Hadoop:service=NameNode,name=NameNodeStatus"},
    {"get": "::"},
    {"get": "a::b::c"},
]


@pytest.mark.peers
@pytest.mark.parametrize("query", QUERIES, ids=lambda query: next(iter(query.items()))[1])
def test_a_query_finds_the_same_beans(namenodes: Pair, query: dict[str, str]) -> None:
    answers = [ask(address, **query) for address in namenodes]
    if "qry" in query:
        answers = [(status, found and sorted(bean["name"] for bean in found["beans"])) for status, found in answers]
    assert answers[0] == answers[1]


@pytest.mark.peers
def test_what_exists_is_counted_alike(mini: MiniCluster, stock_hdfs: StockHdfs, namenodes: Pair) -> None:
    def count() -> list[list[int]]:
        found = [
            ask(address, qry="Hadoop:service=NameNode,name=FSNamesystemState")[1]["beans"][0] for address in namenodes
        ]
        return [[bean["FilesTotal"], bean["BlocksTotal"]] for bean in found]

    before = count()
    with (
        client_in(mini, "a") as ours,
        Client(ClientOptions.from_url(f"hdfs://{stock_hdfs.namenode_address}", user="root")) as theirs,
    ):
        for client in (ours, theirs):
            client.write_file("/jmx/counted/one", b"x" * 1000)
            client.write_file("/jmx/counted/two", b"")
    grown = [[now - then for now, then in zip(*pair, strict=True)] for pair in zip(count(), before, strict=True)]
    assert grown == [[4, 1], [4, 1]]


def test_live_nodes_are_ours(mini: MiniCluster) -> None:
    (bean,) = ask(mini.http_url, qry="Hadoop:service=NameNode,name=NameNodeInfo")[1]["beans"]
    nodes = json.loads(bean["LiveNodes"])
    assert {node["location"] for node in nodes.values()} == {f"/{node.idc}/{node.rack}" for node in mini.datanodes}
    assert all(node["capacity"] > 0 for node in nodes.values())
