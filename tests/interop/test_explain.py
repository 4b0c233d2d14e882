"""`seamlessfs explain`: what it says of blocks of a running cluster."""

from __future__ import annotations

import json
import re

import pytest

from seamlessfs.cli.main import main
from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.placement import fetch_explanation
from seamlessfs.model.errors import AccessDenied, FileNotFound
from seamlessfs.wire.pb.seamless import placement_pb2 as pb
from tests.support.observe import client_in, until

Shown = pytest.CaptureFixture[str]


def explained(mini: MiniCluster, path: str) -> pb.ExplainResponseProto:
    with client_in(mini, "a") as client:
        return fetch_explanation(client, path)


def as_wanted(mini: MiniCluster, path: str) -> bool:
    return all(block.satisfied and len(block.replicas) == 4 for block in explained(mini, path).blocks)


def said(mini: MiniCluster, capsys: Shown, *words: str) -> str:
    capsys.readouterr()
    assert main(["explain", "-fs", mini.url, *words]) == 0
    return capsys.readouterr().out


def test_a_file_is_explained_replica_by_replica(mini: MiniCluster, capsys: Shown) -> None:
    with client_in(mini, "b") as client:
        client.write_file("/explain/file", b"x" * 3000)
    until(lambda: as_wanted(mini, "/explain/file"), "all replicas are reported")
    title, blank, block, *rest = said(mini, capsys, "/explain/file").splitlines()
    assert (title, blank) == ("/explain/file: policy IDC_2_2_SYNC (sync)", "")
    assert re.fullmatch(r"blk_\d+_\d+  2\.9 K  as wanted", block)
    assert [line.split()[0] for line in rest[:4]] == ["/a/r1", "/a/r2", "/b/r1", "/b/r2"]
    for line in rest[:2]:
        assert line.endswith("  valid  a is the peer IDC: it was the best other one at the time")
    for line in rest[2:4]:
        assert line.endswith("  valid  b is the home IDC: its writer was there")
    assert rest[4:] == ["  next: nothing: all is as the policy wants it"]


def test_a_block_is_found_by_its_name_or_number(mini: MiniCluster, capsys: Shown) -> None:
    with client_in(mini, "a") as client:
        client.write_file("/explain/by-block", b"x" * 10)
    until(lambda: as_wanted(mini, "/explain/by-block"), "all replicas are reported")
    block = explained(mini, "/explain/by-block").blocks[0]
    shown = said(mini, capsys, "/explain/by-block")
    for name in (f"blk_{block.block_id}", f"{block.block_id}", f"blk_{block.block_id}_{block.generation_stamp}"):
        assert said(mini, capsys, name) == shown
    found = json.loads(said(mini, capsys, "--json", f"{block.block_id}"))
    assert found["path"] == "/explain/by-block"
    assert [step["step"] for step in found["blocks"][0]["next"]] == ["nothing"]
    assert {one["place"] for one in found["blocks"][0]["replicas"]} == {"home", "peer"}


def test_a_block_that_is_being_written_waits_for_its_writer(mini: MiniCluster, capsys: Shown) -> None:
    with client_in(mini, "a") as client, client.open_write("/explain/open") as file:
        file.write(b"x" * 1000)
        file.flush()
        text = said(mini, capsys, "/explain/open")
    assert "  being written\n" in text
    assert len(re.findall(r"^  /\S+ +\S+ +open ", text, re.MULTILINE)) == 4
    assert text.endswith("  next: its writer finishes it, or a recovery does when the lease has run out\n")


def test_it_is_said_to_those_who_may_know(mini: MiniCluster, capsys: Shown) -> None:
    with client_in(mini, "a") as client, client_in(mini, "a", user="alice") as alice:
        client.write_file("/explain/private", b"x")
        client.namenode.set_permission("/explain/private", 0o600)
        block_id = fetch_explanation(client, "/explain/private").blocks[0].block_id
        with pytest.raises(AccessDenied):
            fetch_explanation(alice, "/explain/private")
        with pytest.raises(AccessDenied):
            fetch_explanation(alice, block_id=block_id)
        with pytest.raises(FileNotFound):
            fetch_explanation(client, block_id=7)
    assert main(["explain", "-fs", mini.url, "/explain/none"]) == 1
    assert "/explain/none" in capsys.readouterr().err


def test_a_file_without_blocks(mini: MiniCluster, capsys: Shown) -> None:
    with client_in(mini, "a") as client:
        client.write_file("/explain/empty", b"")
    assert said(mini, capsys, "/explain/empty") == "/explain/empty: no blocks\n"
