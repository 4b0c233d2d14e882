"""Small kill campaigns on real clusters, and that a campaign finds what is wrong. `make kill` runs long ones."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seamlessfs.client.client import Client
from tests.kill.campaign import Campaign, CampaignFailed
from tests.kill.inspection import Inspector, Storage
from tests.kill.operations import Kind, Op, content_of
from tests.support.observe import block_files, client_in
from tests.support.peer_files import PeerFiles

SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1_000_000))
"""A new one each time; SEED=... repeats one."""

SMALL = (2, 2, 1)
LENGTH = 5000


def test_a_few_faults_under_our_own_load_lose_nothing(tmp_path: Path) -> None:
    print(f"SEED={SEED}")
    campaign = Campaign(SEED, 3, ("own@0", "own@1"), tmp_path / "kill", print, shape=SMALL)
    campaign.run()
    assert campaign.tally.faults == 3
    assert campaign.expected.acknowledged > 20


@pytest.mark.peers
@pytest.mark.timeout(300)
def test_faults_under_a_load_of_stock_clients_lose_nothing(peers: PeerFiles, tmp_path: Path) -> None:
    print(f"SEED={SEED}")
    kinds = ("own@0", "own@1", "rust@0", "java-3.4@0", "go@0")
    campaign = Campaign(SEED, 12, kinds, tmp_path / "kill", print)
    campaign.run()
    assert campaign.tally.faults == 12
    assert campaign.tally.looks >= 3


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """A campaign without load or faults, of a cluster that keeps its word, and does not see itself what is doctored."""
    folder = tmp_path_factory.mktemp("doctored") / "kill"
    with Campaign(SEED, 0, (), folder, print, shape=(1, 2, 1), settled_s=3.0, scans=False) as running:
        for path in ("/files", "/files/below"):
            assert not running.do(Op(Kind.MKDIRS, path))
        for number in range(3):
            assert not running.do(Op(Kind.PUT, f"/files/{number}", content=f"c{number}", length=LENGTH))
        running.look()
        yield running
        running.look()


@pytest.fixture
def client(campaign: Campaign) -> Iterator[Client]:
    """Somebody of whom the log does not know."""
    with client_in(campaign.cluster, "a") as stranger:
        yield stranger


def found(campaign: Campaign) -> str:
    with pytest.raises(CampaignFailed) as failure:
        campaign.look()
    return str(failure.value)


def test_what_goes_behind_the_logs_back_is_found(campaign: Campaign, client: Client) -> None:
    client.delete("/files/0")
    client.write_file("/files/1", b"x" * LENGTH)
    client.write_file("/files/2", content_of("c2", LENGTH - 1))
    client.mkdirs("/files/extra")
    client.namenode.set_permission("/files/below", 0o700)
    told = found(campaign)
    for line in (
        "FOUND /files/0: is missing",
        "FOUND /files/1: does not have the bytes of c1",
        f"FOUND /files/2: has {LENGTH - 1} bytes, and must have {LENGTH} to {LENGTH}",
        "FOUND /files/extra: is there, and nothing may be",
        "FOUND /files/below: has mode 700, and must have 755",
        f"SEED={SEED}",
        str(campaign.folder),
    ):
        assert line in told
    assert "'kind': 'put', 'path': '/files/0'" in told, "the history of what was found"
    for number in range(3):
        client.write_file(f"/files/{number}", content_of(f"c{number}", LENGTH))
    client.delete("/files/extra")
    client.namenode.set_permission("/files/below", 0o755)


def test_an_acknowledgement_that_was_not_kept_is_found(campaign: Campaign, client: Client) -> None:
    campaign.log.ack(campaign.log.intent(Op(Kind.PUT, "/files/never", content="n", length=LENGTH)))
    assert "FOUND /files/never: is missing" in found(campaign)
    client.write_file("/files/never", content_of("n", LENGTH))


def on_disk(campaign: Campaign, name: str) -> Path:
    return next(file for file in block_files(campaign.cluster) if file.name.startswith(name))


def storage_of(campaign: Campaign, client: Client) -> Storage:
    seen, unreadable = Inspector(client, campaign.expected).look()
    assert unreadable == []
    return Storage.look(campaign.cluster, client, seen)


def test_what_is_left_on_a_disk_is_found(campaign: Campaign) -> None:
    stray = on_disk(campaign, "blk_").with_name("blk_4242")
    stray.write_bytes(b"nobody's")
    assert "FOUND blk_4242: belongs to no file" in found(campaign)
    stray.unlink()


def test_what_is_missing_on_a_disk_is_found(campaign: Campaign, client: Client) -> None:
    """Nothing is read meanwhile: a reader would meet it, and the datanode mend it."""
    storage = storage_of(campaign, client)
    assert storage.unsettled() == []
    meta = next(file for file in block_files(campaign.cluster) if file.suffix == ".meta")
    kept = meta.read_bytes()
    meta.unlink()
    (finding,) = storage.unsettled()
    assert "has 2 replicas, on disks:" in finding.what
    meta.write_bytes(kept)


def test_a_replica_with_other_bytes_is_found(campaign: Campaign, client: Client) -> None:
    storage = storage_of(campaign, client)
    assert storage.wrong_bytes(campaign.expected) == []
    file = next(file for file in block_files(campaign.cluster) if file.suffix != ".meta")
    kept = file.read_bytes()
    file.write_bytes(b"?" + kept[1:])
    (finding,) = storage.wrong_bytes(campaign.expected)
    assert "has other bytes in" in finding.what
    file.write_bytes(kept)


def log_a_complaint(campaign: Campaign) -> Callable[[], object]:
    log = campaign.cluster.namenode.log
    kept = log.read_bytes()
    log.write_bytes(kept + b"2026-01-01 ERROR something_broke\n")
    return lambda: log.write_bytes(kept)


def let_one_die(campaign: Campaign) -> Callable[[], object]:
    datanode = campaign.cluster.datanodes[0]
    assert datanode.process is not None
    datanode.process.kill()
    datanode.process.wait()
    return datanode.start


@pytest.mark.parametrize(
    ("doctor", "line"), [(log_a_complaint, "ERROR something_broke"), (let_one_die, "FOUND datanode-a-r1-1: died")]
)
def test_a_daemon_that_complains_or_dies_is_found(
    campaign: Campaign, doctor: Callable[[Campaign], Callable[[], object]], line: str
) -> None:
    undo = doctor(campaign)
    assert line in found(campaign)
    undo()
