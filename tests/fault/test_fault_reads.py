"""Reads under fault: (what a client does) x (what happens to a local replica) x (at which byte).

Every cell has the same outcome: the right bytes, none of them from another IDC, and not long after.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from seamlessfs.client.client import Client
from seamlessfs.client.file_reader import FileReader
from seamlessfs.client.replica_choice import FileLayout
from seamlessfs.model.block import LocatedBlock
from tests.support.faulty_calls import Fault as DiskFault
from tests.support.faulty_calls import FaultControl, faulty
from tests.support.observe import client_in, places_once, satisfied, settled_crossed, until
from tests.support.proxied_cluster import ProxiedCluster
from tests.support.tcp_proxy import Action, Close, Corrupt, Cut, Direction, Dribble, Fault, Stall, of_operation

BLOCK_BYTES = 3 << 20
DATA = random.Random(11).randbytes(BLOCK_BYTES + 70_001)
READ = of_operation(81)
HEDGE_S = 0.4
DEADLINE_S = 8.0
"""Far below the time-out of a read (60 s), far above what one switch to another replica takes."""

Read = Callable[[Client, str, FileReader], bytes]


def whole(client: Client, path: str, reader: FileReader) -> bytes:
    return reader.pread(0, len(DATA))


def in_order(client: Client, path: str, reader: FileReader) -> bytes:
    return b"".join(reader.pread(offset, 100_000, parallel=False) for offset in range(0, len(DATA), 100_000))


def at_random(client: Client, path: str, reader: FileReader) -> bytes:
    offsets = list(range(0, len(DATA), 300_000))
    random.Random(3).shuffle(offsets)
    pieces = {offset: reader.pread(offset, 300_000) for offset in offsets}
    return b"".join(pieces[offset] for offset in sorted(pieces))


READS: dict[str, Read] = {"whole": whole, "in order": in_order, "at random": at_random}

NETWORK: dict[str, Action] = {
    "cut": Cut(),
    "closed": Close(),
    "silent": Stall(),
    "trickling": Dribble(100, 0.05),
    "lying": Corrupt(),
}
DISKS: dict[str, FaultControl] = {}
MOMENTS = {"before the answer": 0, "in the answer": 9, "in a packet": 400_000, "in the last packet": BLOCK_BYTES}


@dataclass(frozen=True)
class File:
    """A file of two blocks, and a local replica of its first block that the reader will ask first."""

    path: str
    reader: FileReader
    address: str
    block: LocatedBlock


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedCluster]:
    settings = {"heartbeat_interval_ms": 200, "settle_ms": 500}
    made = ProxiedCluster(tmp_path_factory.mktemp("reads"), racks=1, namenode_settings=settings)
    DISKS.update({datanode.address: faulty(datanode) for datanode in made.datanodes})
    with made:
        yield made


@pytest.fixture
def client(cluster: ProxiedCluster) -> Iterator[Client]:
    with client_in(
        cluster, "a", hedge_after_s=HEDGE_S, block_size_bytes=BLOCK_BYTES, topology_file=cluster.topology_file
    ) as made:
        yield made
    cluster.heal()


@pytest.fixture
def file(client: Client) -> Iterator[File]:
    path = f"/{uuid.uuid4().hex}"
    client.write_file(path, DATA)
    assert places_once(client, path, 4) == [{"a": 2, "b": 2}] * 2
    blocks = client.locations(path).blocks
    with FileReader(client.session, path, FileLayout(len(DATA)).merged(blocks)) as reader:
        yield File(path, reader, blocks[0].locations[0].datanode.id.ip, blocks[0])


def read_across(client: Client) -> int:
    """Bytes that this client has read from another IDC."""
    assert client.traffic is not None
    counts = client.traffic.snapshot().items()
    return sum(traffic.payload_received for (link, kind), traffic in counts if link.crosses and kind == "read")


def check(client: Client, file: File, read: Read) -> None:
    started_s = time.monotonic()
    assert read(client, file.path, file.reader) == DATA
    assert time.monotonic() - started_s < DEADLINE_S
    assert read_across(client) == 0


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
@pytest.mark.parametrize("action", NETWORK.values(), ids=NETWORK.keys())
@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_a_bad_connection(
    cluster: ProxiedCluster, client: Client, file: File, read: Read, action: Action, moment: int
) -> None:
    fault = Fault(action, Direction.DOWN, at=moment, only=READ)
    cluster.proxies[file.address].arm(fault)
    check(client, file, read)
    assert fault.hits or read is at_random


def files_of(cluster: ProxiedCluster, file: File) -> tuple[Path, Path]:
    """Data and meta file of the replica that is read first."""
    folder = cluster.named(file.address).folder / "data"
    (data,) = folder.rglob(f"blk_{file.block.block.block.id}")
    (meta,) = folder.rglob(f"blk_{file.block.block.block.id}_*.meta")
    return data, meta


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as opened:
        opened.seek(at)
        byte = opened.read(1)[0]
        opened.seek(at)
        opened.write(bytes([byte ^ 1]))


def shorten(path: Path, size: int) -> None:
    with path.open("r+b") as opened:
        opened.truncate(size)


DAMAGE: dict[str, Callable[[Path, Path], None]] = {
    "data gone": lambda data, meta: data.unlink(),
    "meta gone": lambda data, meta: meta.unlink(),
    "both gone": lambda data, meta: [path.unlink() for path in (data, meta)].clear(),
    "data short": lambda data, meta: shorten(data, 1_000_000),
    "data empty": lambda data, meta: shorten(data, 0),
    "meta short": lambda data, meta: shorten(meta, 1_000),
    "meta empty": lambda data, meta: shorten(meta, 0),
    "data damaged": lambda data, meta: flip(data, 2_000_000),
    "meta damaged": lambda data, meta: flip(meta, 4_000),
    "meta of no known kind": lambda data, meta: flip(meta, 2),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_bad_replica_is_passed_over_then_replaced_from_a_good_one(
    cluster: ProxiedCluster, client: Client, file: File, damage: Callable[[Path, Path], None]
) -> None:
    crossed_before = settled_crossed(client)
    damage(*files_of(cluster, file))
    check(client, file, whole)
    until(lambda: replaced(cluster, client, file), "the bad replica is replaced")
    assert settled_crossed(client) == crossed_before


def replaced(cluster: ProxiedCluster, client: Client, file: File) -> bool:
    """Whether four replicas are on disk again, whole, and no other."""
    number = file.block.block.block.id
    found = [path for node in cluster.datanodes for path in (node.folder / "data").rglob(f"blk_{number}")]
    good = DATA[:BLOCK_BYTES]
    try:
        return satisfied(client, file.path) and len(found) == 4 and all(path.read_bytes() == good for path in found)
    except FileNotFoundError:  # moved, or deleted, since it was found
        return False


@pytest.mark.parametrize("call", ["open", "sendfile", "pread|read|preadv|readv"])
def test_a_disk_that_fails_under_a_read(cluster: ProxiedCluster, client: Client, file: File, call: str) -> None:
    disk = DISKS[file.address]
    disk.arm(DiskFault(call, match="*blk_*", error="EIO", times=None))
    check(client, file, whole)
    disk.disarm()
