"""Rows of the client, its readers and its writers."""

from __future__ import annotations

from typing import Any

from seamlessfs.client.file_checksum import ChecksumMode
from seamlessfs.client.file_reader import FileReader
from seamlessfs.model.block import Checksum, ChecksumType
from tests.support.operations import World, operation

BLOCK_BYTES = 1 << 20
LONG = bytes(range(256)) * (10 * BLOCK_BYTES // 1024)
"""Two blocks and a half."""


@operation("Client.status", "Client.exists", "Client.namenode")
def status(world: World) -> Any:
    path = world.file("a")
    seen = [world.client.exists(one) for one in (path, world.folder, world.at("missing"))]
    assert world.client.status(path) == world.client.namenode.get_file_info(path)
    return world.client.status(path), seen, world.fails(world.client.status, world.at("missing"))


@operation("Client.listing")
def listing(world: World) -> Any:
    path = world.file("a")
    world.file("sub/b")
    return [list(world.client.listing(one)) for one in (world.folder, path)]


@operation("Client.mkdirs", "Client.delete")
def directories(world: World) -> Any:
    made = world.client.mkdirs(world.at("x/y"), 0o777)
    orphan = world.fails(world.client.mkdirs, world.at("n/m"), None, False)
    full = world.fails(world.client.delete, world.at("x"))
    return made, world.client.status(world.at("x/y")), orphan, full, world.client.delete(world.at("x"), recursive=True)


@operation("Client.rename")
def rename(world: World) -> Any:
    path, other = world.file("a", b"a"), world.file("b", b"b")
    refused = world.fails(world.client.rename, path, other).partition(":")[0]
    world.client.rename(path, other, overwrite=True)
    return refused, world.client.read_file(other), world.fails(world.client.rename, path, world.at("c"))


@operation("Client.touch")
def touch(world: World) -> Any:
    for _ in range(2):
        world.client.touch(world.at("a"))
    return world.client.status(world.at("a"))


@operation("Client.content_summary", "Client.stats")
def totals(world: World) -> Any:
    world.file("sub/a", b"12345")
    stats = world.client.stats()
    return world.client.content_summary(world.folder), stats.capacity > 0, stats.missing_blocks


@operation("Client.write_file", "Client.read_file", "Client.locations", "Client.file_checksum")
def blocks(world: World) -> Any:
    path = world.at("a")
    world.client.write_file(path, LONG, block_size_bytes=BLOCK_BYTES, checksum=Checksum(ChecksumType.CRC32, 1024))
    assert world.client.read_file(path) == LONG
    located = world.client.locations(path)
    sums = [world.client.file_checksum(path, mode) for mode in ChecksumMode]
    return located.file_length, [(one.offset, one.block.block.length) for one in located.blocks], sums


@operation("FileReader.read_buffer")
def buffers(world: World) -> Any:
    path = world.at("a")
    world.client.write_file(path, LONG, block_size_bytes=BLOCK_BYTES)
    with world.client.open_read(path) as reader:
        found = [bytes(reader.read_buffer(*part)) for part in ((3, 10), (BLOCK_BYTES - 7, 20), (len(LONG), 5))]
        return found, reader.read_buffer(0, len(LONG)) == LONG


@operation("Client.open_read", "FileReader.open", "FileReader.pread", "FileReader.pread_into", "FileReader.close")
def ranges(world: World) -> Any:
    path = world.at("a")
    world.client.write_file(path, LONG, block_size_bytes=BLOCK_BYTES)
    buffer = bytearray(1000)
    with world.client.open_read(path) as reader:
        across = reader.pread(BLOCK_BYTES - 10, 20)
        filled = reader.pread_into(len(LONG) - 500, memoryview(buffer))
        beyond = reader.pread(len(LONG), 10)
    reader = FileReader.open(world.client.session, path)
    alone = reader.pread(0, len(LONG), parallel=False) == LONG
    reader.close()
    return across, filled, bytes(buffer[:filled]), beyond, alone, world.fails(world.client.open_read, world.folder)


@operation(
    "Client.open_write",
    "FileWriter.write",
    "FileWriter.flush",
    "FileWriter.close",
    "FileWriter.pipeline",
    "FileWriter.keep_alive",
)
def streamed(world: World) -> Any:
    path = world.at("sub/a")
    with world.client.open_write(path, block_size_bytes=BLOCK_BYTES, permission=0o640) as writer:
        sizes = [writer.write(LONG[:100]), writer.write(LONG[100 : BLOCK_BYTES + 100])]
        writer.flush()
        writer.keep_alive()
        seen = world.client.read_file(path)
        fits = 0 < len(writer.pipeline) <= world.replication
        writer.flush(sync=True)
    refused = world.fails(world.client.open_write, path, overwrite=False).partition(":")[0]
    return sizes, fits, seen == LONG[: BLOCK_BYTES + 100], world.client.status(path), writer.closed, refused


@operation("FileWriter.abort")
def aborted(world: World) -> Any:
    writer = world.client.open_write(world.at("a"))
    writer.write(b"not to stay")
    writer.abort()
    return writer.closed, world.client.exists(world.at("a"))


@operation("Client.open_append")
def appended(world: World) -> Any:
    path = world.file("a", b"first, ")
    with world.client.open_append(path) as writer:
        writer.write(b"second")
    return world.client.read_file(path), len(world.client.locations(path).blocks)
