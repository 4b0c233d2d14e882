"""Pages of a large directory: how many entries each holds and how many it says are left, on stock HDFS and on ours."""

from __future__ import annotations

from tests.support.refusals import World

ENTRIES = 2_500


def test_pages_of_a_large_directory(world: World) -> None:
    for index in range(ENTRIES):
        world.root.mkdirs(f"many/{index:05}")

    def page(start_after: bytes) -> tuple[list[bytes], int]:
        found = world.root.call("getListing", src=world.root.at("many"), startAfter=start_after, needLocation=False)
        return [entry.path for entry in found.dirList.partialListing], found.dirList.remainingEntries

    names: list[bytes] = []
    sizes = []
    while not sizes or sizes[-1][1]:
        entries, remaining = page(names[-1] if names else b"")
        names += entries
        sizes.append((len(entries), remaining))
    assert names == [b"%05d" % index for index in range(ENTRIES)]
    assert sizes == [(1000, 1500), (1000, 500), (500, 0)]
    for start_after, size, remaining in (
        (b"00499", 1000, 1000),
        (b"00500x", 1000, 999),
        (b"01498", 1000, 1),
        (b"01499", 1000, 0),
        (b"99999", 0, 0),
    ):
        entries, left = page(start_after)
        assert (len(entries), left) == (size, remaining)
