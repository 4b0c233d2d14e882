"""Rows of the fsspec filesystem and its files."""

from __future__ import annotations

import io
from typing import Any

from tests.support.operations import World, operation


@operation(
    "SeamlessFileSystem.info", "SeamlessFileSystem.exists", "SeamlessFileSystem.isdir", "SeamlessFileSystem.isfile"
)
def looked_at(world: World) -> Any:
    paths = [world.file("a"), world.folder, world.at("missing")]
    seen = [(world.fs.exists(path), world.fs.isdir(path), world.fs.isfile(path)) for path in paths]
    return seen, [world.fs.info(path) for path in paths[:2]], world.fails(world.fs.info, paths[2])


@operation("SeamlessFileSystem.ls", "SeamlessFileSystem.walk", "SeamlessFileSystem.du")
def listed(world: World) -> Any:
    path = world.file("a", b"12345")
    world.file("sub/b", b"1234567")
    fs = world.fs
    sizes = fs.du(world.folder), fs.du(world.folder, total=False), fs.du(world.folder, maxdepth=1)
    return fs.ls(world.folder), fs.ls(path, detail=False), list(fs.walk(world.folder)), sizes


@operation("SeamlessFileSystem.mkdir", "SeamlessFileSystem.makedirs", "SeamlessFileSystem.rmdir")
def folders(world: World) -> Any:
    fs, path = world.fs, world.at("x")
    fs.mkdir(f"{path}/y")
    errors = [world.fails(fs.mkdir, path), world.fails(fs.makedirs, path), world.fails(fs.rmdir, path)]
    fs.makedirs(path, exist_ok=True)
    fs.rmdir(f"{path}/y")
    return errors, fs.ls(path), world.fails(fs.mkdir, f"{path}/n/m", create_parents=False)


@operation("SeamlessFileSystem.rm", "SeamlessFileSystem.rm_file")
def removed(world: World) -> Any:
    fs, path = world.fs, world.file("a")
    world.file("sub/b")
    refused = world.fails(fs.rm, world.at("sub"))
    fs.rm_file(path)
    fs.rm(world.at("sub"), recursive=True)
    return refused, fs.ls(world.folder), world.fails(fs.rm_file, path)


@operation("SeamlessFileSystem.mv", "SeamlessFileSystem.cp_file")
def moved(world: World) -> Any:
    fs, path = world.fs, world.file("a", b"moved")
    fs.mkdir(world.at("sub"))
    fs.mv(path, world.at("sub"))
    fs.cp_file(world.at("sub/a"), world.at("copy"))
    return fs.cat_file(world.at("copy")), fs.find(world.folder), world.fails(fs.mv, path, world.at("b"))


@operation("SeamlessFileSystem.get_file", "SeamlessFileSystem.put_file")
def local_files(world: World) -> Any:
    path, out = world.file("a", b"x" * 100_000), io.BytesIO()
    world.fs.get_file(path, out)
    world.fs.put_file(__file__, world.at("b"))
    with open(__file__, "rb") as file:
        same = world.fs.cat_file(world.at("b")) == file.read()
    return len(out.getvalue()), same, world.fails(world.fs.get_file, world.at("missing"), out)


@operation(
    "SeamlessFileSystem.pipe_file",
    "SeamlessFileSystem.cat_file",
    "SeamlessFileSystem.cat",
    "SeamlessFileSystem.cat_ranges",
)
def contents(world: World) -> Any:
    fs, path, other = world.fs, world.at("a"), world.file("b", b"other")
    fs.pipe_file(path, b"0123456789")
    refused = world.fails(fs.pipe_file, path, b"again", mode="create").partition(":")[0]
    slices = [fs.cat_file(path, 2, 5), fs.cat_file(path, -3), fs.cat_ranges([path, other], [1, 0], [4, 2])]
    return refused, slices, fs.cat([path, other]), world.fails(fs.cat, world.at("missing"))


@operation(
    "SeamlessFileSystem.touch",
    "SeamlessFileSystem.modified",
    "SeamlessFileSystem.created",
    "SeamlessFileSystem.ukey",
)
def times(world: World) -> Any:
    fs, path = world.fs, world.file("a")
    key = fs.ukey(path)
    world.namenode.set_times(path, 1_500_000_000_000, -1)
    before = fs.modified(path), fs.created(path)
    fs.touch(path, truncate=False)
    kept = fs.cat_file(path)
    fs.touch(path)
    return before, kept, fs.info(path)["size"], fs.ukey(path) != key


@operation("SeamlessFileSystem.checksum", "SeamlessFileSystem.file_checksum")
def checksums(world: World) -> Any:
    path = world.file("a", b"x" * 100_000)
    return world.fs.checksum(path), [world.fs.file_checksum(path, mode) for mode in ("MD5MD5CRC", "COMPOSITE_CRC")]


@operation(
    "SeamlessFileSystem.chmod",
    "SeamlessFileSystem.chown",
    "SeamlessFileSystem.set_replication",
    "SeamlessFileSystem.get_block_locations",
    "SeamlessFileSystem.df",
    "SeamlessFileSystem.set_storage_policy",
    "SeamlessFileSystem.get_storage_policy",
    "SeamlessFileSystem.unset_storage_policy",
)
def of_hdfs(world: World) -> Any:
    fs, path = world.fs, world.reported(world.file("a", b"12345"))
    fs.chmod(path, 0o1600)
    fs.chown(path, "ann", "staff")
    (block,) = fs.get_block_locations(path)
    same = fs.set_replication(path, world.replication)
    fs.set_storage_policy(world.folder, fs.get_storage_policy("/"))
    fs.unset_storage_policy(world.folder)
    hosts = len(block["hosts"]) == len(block["locations"]) == world.replication
    return fs.info(path), block["offset"], block["length"], hosts, same, fs.df().capacity > 0


@operation("SeamlessFileSystem.fsid", "SeamlessFileSystem.unstrip_protocol", "SeamlessFileSystem.invalidate_cache")
def names(world: World) -> Any:
    """No call to a server: the answers name it."""
    authority = world.client.options.authority
    world.fs.invalidate_cache()
    return world.fs.fsid.replace(authority, "host"), world.fs.unstrip_protocol("/a").replace(authority, "host")


@operation(
    "SeamlessFile.write",
    "SeamlessFile.flush",
    "SeamlessFile.hflush",
    "SeamlessFile.hsync",
    "SeamlessFile.close",
)
def open_file(world: World) -> Any:
    path, seen = world.at("a"), []
    with world.fs.open(path, "wb") as file:
        file.write(b"one ")
        file.flush()
        file.hflush()
        seen.append(world.fs.cat_file(path))
        file.write(b"two")
        file.hsync()
        seen.append(world.fs.cat_file(path))
    with world.fs.open(path) as file:
        file.seek(4)
        seen.append(file.read())
    return seen, world.fails(world.fs.open, path, "xb").partition(":")[0], world.fails(world.fs.open, world.folder)


@operation("SeamlessFile.commit", "SeamlessFile.discard")
def transactions(world: World) -> Any:
    kept, dropped = (world.fs.open(world.at(name), "wb", autocommit=False) for name in ("kept", "dropped"))
    for file in (kept, dropped):
        file.write(b"later")
        file.close()
    kept.commit()
    dropped.discard()
    return world.fs.ls(world.folder)


@operation("SeamlessFile.readinto", "SeamlessFile.read_buffer")
def into_buffers(world: World) -> Any:
    path, buffer = world.file("a", b"0123456789" * 1000), bytearray(4000)
    with world.fs.open(path, block_size=1000) as file:
        read = file.readinto(buffer)
        short = bytearray(10)
        file.readinto(short)
        return read, bytes(buffer), bytes(short), bytes(file.read_buffer(20)), file.tell(), len(file.read_buffer())
