"""What getBlockLocations says of files that are being written: the same on stock HDFS and on ours."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.support.namenode_session import Session
from tests.support.refusals import World

END = (1 << 63) - 1


@dataclass(frozen=True)
class Seen:
    """An answer: offsets and lengths of its blocks, and of the last one."""

    file_length: int
    blocks: tuple[tuple[int, int], ...]
    last: tuple[int, int] | None


def located(session: Session, offset: int, length: int) -> Seen:
    """Asks, and checks what must hold of every open file's blocks."""
    answer = session.call("getBlockLocations", src=session.at("f"), offset=offset, length=length).locations
    assert answer.underConstruction
    assert not answer.isLastBlockComplete
    assert all(block.locs for block in answer.blocks)
    last = (answer.lastBlock.offset, answer.lastBlock.b.numBytes) if answer.HasField("lastBlock") else None
    return Seen(answer.fileLength, tuple((block.offset, block.b.numBytes) for block in answer.blocks), last)


def test_a_file_without_a_block(world: World) -> None:
    world.root.create("f")
    assert located(world.root, 0, 1) == Seen(0, (), None)


@pytest.mark.parametrize(("offset", "length"), [(0, 0), (0, 1), (0, END), (1, 5), (5, 0)])
def test_one_open_block_is_in_every_range(world: World, offset: int, length: int) -> None:
    world.root.add_block("f", world.root.create("f"))
    assert located(world.root, offset, length) == Seen(0, ((0, 0),), (0, 0))


@pytest.mark.parametrize(
    ("offset", "length", "found"),
    [(0, 1, True), (0, END, True), (99, 5, True), (100, 5, False), (200, 0, False)],
)
def test_one_open_block_with_a_synced_length(world: World, offset: int, length: int, found: bool) -> None:
    file_id = world.root.create("f")
    world.root.add_block("f", file_id)
    sync(world.root, file_id, 100)
    assert located(world.root, offset, length) == Seen(0, ((0, 100),) if found else (), (0, 100))


@pytest.mark.parametrize("synced", [0, 100])
@pytest.mark.parametrize(
    ("offset", "length", "first", "second"),
    [
        (0, 0, True, False),
        (0, 1000, True, False),
        (0, 1001, True, True),
        (999, 1, True, False),
        (999, 2, True, True),
        (0, END, True, True),
        (1000, 1, False, True),
        (1099, 0, False, True),
        (1100, 1, False, False),
    ],
)
def test_an_open_block_behind_another(
    world: World, synced: int, offset: int, length: int, first: bool, second: bool
) -> None:
    file_id = world.root.create("f")
    previous = world.root.add_block("f", file_id).b
    previous.numBytes = 1000
    world.root.add_block("f", file_id, previous=previous)
    if synced:
        sync(world.root, file_id, synced)
    blocks = ((0, 1000),) * first + ((1000, synced),) * (second and (synced > 0 or offset < 1000))
    assert located(world.root, offset, length) == Seen(1000, blocks, (1000, synced))


def test_listings_and_statuses_with_locations_show_the_open_block(world: World) -> None:
    world.root.add_block("f", world.root.create("f"))
    listing = world.root.call("getListing", src=world.root.folder, startAfter=b"", needLocation=True)
    status = world.root.call("getLocatedFileInfo", src=world.root.at("f"), needBlockToken=False).fs
    for found in (listing.dirList.partialListing[0], status):
        assert found.length == 0
        assert len(found.locations.blocks) == 1


def sync(session: Session, file_id: int, length: int) -> None:
    session.call("fsync", src=session.at("f"), client=session.holder, fileId=file_id, lastBlockLength=length)
