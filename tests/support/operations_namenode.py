"""Rows of the calls to the namenode."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from seamlessfs.model.block import LocatedBlock
from seamlessfs.model.status import FileStatus
from tests.support.operations import World, operation

HOLDER = "operations"


def begin(world: World, name: str) -> FileStatus:
    """Opens a file for writing, without a stream of ours."""
    return world.namenode.create(
        world.at(name),
        permission=0o640,
        client_name=HOLDER,
        overwrite=False,
        create_parent=True,
        replication=world.replication,
        block_size=1 << 20,
    )


def add(world: World, name: str, file: FileStatus) -> LocatedBlock:
    return world.namenode.add_block(world.at(name), HOLDER, None, (), file.inode_id)


@operation("NamenodeClient.get_server_defaults")
def server_defaults(world: World) -> Any:
    found = world.namenode.get_server_defaults()
    return found.bytes_per_checksum, found.encrypt_data_transfer, found.trash_interval_min, found.checksum_type


@operation("NamenodeClient.get_file_info")
def file_info(world: World) -> Any:
    path = world.file("a")
    return [world.namenode.get_file_info(one) for one in (path, world.folder, world.at("missing"))]


@operation("NamenodeClient.get_block_locations")
def block_locations(world: World) -> Any:
    path = world.reported(world.file("a", b"x" * 1000))
    found = world.namenode.get_block_locations(path, 10, 20)
    (block,) = found.blocks
    hosts = len(block.locations) == world.replication
    missing = world.fails(world.namenode.get_block_locations, world.at("missing"), 0, 1)
    return found.file_length, found.under_construction, block.offset, block.block.block.length, hosts, missing


@operation("NamenodeClient.get_listing")
def listing_page(world: World) -> Any:
    for name in ("a", "b", "c"):
        world.file(name)
    return [
        world.namenode.get_listing(world.folder),
        world.namenode.get_listing(world.folder, start_after=b"a"),
        world.namenode.get_listing(world.at("missing")),
        [len(one.locations.blocks) for one in world.namenode.get_listing(world.folder, need_location=True).entries],
    ]


@operation("NamenodeClient.iterate_listing")
def iterated_listing(world: World) -> Any:
    world.file("sub/a")
    missing = world.fails(lambda: list(world.namenode.iterate_listing(world.at("missing"))))
    return list(world.namenode.iterate_listing(world.folder)), missing


@operation("NamenodeClient.create", "NamenodeClient.complete", "NamenodeClient.renew_lease")
def empty_file(world: World) -> Any:
    file = begin(world, "a")
    world.namenode.renew_lease(HOLDER)
    again = world.fails(begin, world, "a").partition(":")[0]
    closed = world.namenode.complete(world.at("a"), HOLDER, None, file.inode_id)
    return file, again, closed, world.client.status(world.at("a"))


@operation("NamenodeClient.add_block", "NamenodeClient.abandon_block", "NamenodeClient.fsync")
def abandoned_block(world: World) -> Any:
    file = begin(world, "a")
    located = add(world, "a", file)
    world.namenode.fsync(world.at("a"), HOLDER, file.inode_id)
    before = world.namenode.get_block_locations(world.at("a"), 0, 1 << 20)
    world.namenode.abandon_block(world.at("a"), HOLDER, located.block, file.inode_id)
    after = world.namenode.get_block_locations(world.at("a"), 0, 1 << 20)
    closed = world.namenode.complete(world.at("a"), HOLDER, None, file.inode_id)
    seen = [(one.last_block is None, one.under_construction) for one in (before, after)]
    return located.offset, 0 < len(located.locations) <= world.replication, seen, closed


@operation("NamenodeClient.update_block_for_pipeline", "NamenodeClient.update_pipeline")
def new_stamp(world: World) -> Any:
    file = begin(world, "a")
    old = add(world, "a", file)
    new = world.namenode.update_block_for_pipeline(old.block, HOLDER)
    world.namenode.update_pipeline(HOLDER, old.block, new.block, old.locations)
    newer = new.block.block.generation_stamp > old.block.block.generation_stamp
    late = world.fails(world.namenode.update_pipeline, "nobody", old.block, new.block, old.locations).partition(":")[0]
    world.namenode.abandon_block(world.at("a"), HOLDER, new.block, file.inode_id)
    return newer, new.block.block.id == old.block.block.id, late


@operation("NamenodeClient.get_additional_datanode")
def additional_datanode(world: World) -> Any:
    file = begin(world, "a")
    located = add(world, "a", file)
    kept = located.locations[:1]
    found = world.namenode.get_additional_datanode(world.at("a"), HOLDER, located.block, kept, (), file.inode_id)
    world.namenode.abandon_block(world.at("a"), HOLDER, located.block, file.inode_id)
    uuids = [one.datanode.id.uuid for one in found.locations]
    return len(uuids), kept[0].datanode.id.uuid in uuids


@operation("NamenodeClient.recover_lease", "NamenodeClient.is_file_closed")
def recovered_lease(world: World) -> Any:
    begin(world, "a")
    before = world.namenode.is_file_closed(world.at("a"))
    return before, world.namenode.recover_lease(world.at("a"), "other"), world.namenode.is_file_closed(world.at("a"))


@operation("NamenodeClient.report_bad_blocks")
def bad_blocks(world: World) -> Any:
    """One replica of several is called bad: the block is not."""
    path = world.file("a")
    (block,) = world.client.locations(path).blocks
    world.namenode.report_bad_blocks([replace(block, locations=block.locations[:1])])
    return world.client.locations(path).blocks[0].corrupt, world.client.read_file(path)


@operation("NamenodeClient.append")
def append(world: World) -> Any:
    last, status = world.namenode.append(world.file("a"), HOLDER)
    closed = world.namenode.complete(world.at("a"), HOLDER, last and last.block, status.inode_id)
    return status.length, closed


@operation("NamenodeClient.concat")
def concat(world: World) -> Any:
    target, sources = world.file("a", b"first"), [world.file("b", b"second"), world.file("c", b"third")]
    world.namenode.concat(target, sources)
    return world.client.read_file(target), [world.client.exists(one) for one in sources]


@operation("NamenodeClient.rename")
def old_rename(world: World) -> Any:
    path, other = world.file("a"), world.file("sub/b")
    moved = [
        world.namenode.rename(path, world.at("sub")),
        world.namenode.rename(other, world.at("no/where")),
        world.namenode.rename(world.at("missing"), world.at("x")),
    ]
    return moved, list(world.client.listing(world.at("sub")))


@operation("NamenodeClient.rename2")
def renamed(world: World) -> Any:
    path, other = world.file("a", b"a"), world.file("b", b"b")
    refused = world.fails(world.namenode.rename2, path, other).partition(":")[0]
    world.namenode.rename2(path, other, overwrite=True)
    world.namenode.rename2(other, world.at("c"), to_trash=True)
    return refused, world.client.read_file(world.at("c")), world.fails(world.namenode.rename2, path, other)


@operation("NamenodeClient.delete", "NamenodeClient.mkdirs")
def made_and_deleted(world: World) -> Any:
    made = world.namenode.mkdirs(world.at("x/y"), 0o711)
    orphan = world.fails(world.namenode.mkdirs, world.at("n/m"), 0o711, False)
    full = world.fails(world.namenode.delete, world.at("x"), False)
    status = world.client.status(world.at("x/y"))
    return made, orphan, full, status, [world.namenode.delete(world.at("x"), True) for _ in range(2)]


@operation("NamenodeClient.set_permission", "NamenodeClient.set_owner", "NamenodeClient.set_times")
def attributes(world: World) -> Any:
    path = world.file("a")
    world.namenode.set_permission(path, 0o1604)
    world.namenode.set_owner(path, "ann", None)
    world.namenode.set_owner(path, None, "staff")
    world.namenode.set_times(path, 1_500_000_000_123, 1_600_000_000_456)
    world.namenode.set_times(path, -1, 1_700_000_000_789)
    status = world.client.status(path)
    missing = world.fails(world.namenode.set_permission, world.at("missing"), 0o600)
    return status, (status.modified_at_ms, status.accessed_at_ms), missing


@operation("NamenodeClient.set_replication")
def replication(world: World) -> Any:
    """A number that the file has already: other ones are the placement policy's affair."""
    path = world.file("a")
    return [
        world.namenode.set_replication(path, world.replication),
        world.namenode.set_replication(world.folder, 2),
        world.fails(world.namenode.set_replication, path, 0).partition(":")[0],
    ]


@operation("NamenodeClient.get_content_summary")
def content_summary_call(world: World) -> Any:
    world.file("sub/a", b"12345")
    found = world.namenode.get_content_summary(world.folder)
    return found, found.space_consumed == 5 * world.replication


@operation("NamenodeClient.get_quota_usage")
def quota_usage_call(world: World) -> Any:
    world.file("sub/a", b"12345")
    found = world.namenode.get_quota_usage(world.folder)
    return found, found.space_consumed == 5 * world.replication


@operation("NamenodeClient.get_fs_stats")
def fs_stats(world: World) -> Any:
    found = world.namenode.get_fs_stats()
    return found.capacity > found.remaining > 0, found.missing_blocks, found.corrupt_blocks


@operation("NamenodeClient.get_datanode_report")
def datanode_report(world: World) -> Any:
    live, every = world.namenode.get_datanode_report("LIVE"), world.namenode.get_datanode_report()
    told = {bool(node.capacity and node.id.uuid and node.last_update_at_ms) for node in live}
    return len(live) >= 3, {one.id.uuid for one in live} <= {one.id.uuid for one in every}, told


@operation(
    "NamenodeClient.set_storage_policy",
    "NamenodeClient.get_storage_policy",
    "NamenodeClient.unset_storage_policy",
    "NamenodeClient.get_storage_policies",
)
def storage_policies(world: World) -> Any:
    world.client.mkdirs(world.at("sub"))
    another = "IDC_NONE" if "IDC_NONE" in world.namenode.get_storage_policies().values() else "WARM"
    world.namenode.set_storage_policy(world.at("sub"), another)
    inherited = world.namenode.get_storage_policy(world.file("sub/a")) == another
    world.namenode.unset_storage_policy(world.at("sub"))
    back = world.namenode.get_storage_policy(world.at("sub")) == world.namenode.get_storage_policy("/")
    return inherited, back, world.fails(world.namenode.set_storage_policy, world.folder, "NONE_SUCH").partition(":")[0]


@operation("NamenodeClient.check_access")
def access(world: World) -> Any:
    world.namenode.check_access(world.folder, 7)
    return world.fails(world.namenode.check_access, world.at("missing"), 4)


@operation("NamenodeClient.in_safe_mode")
def safe_mode(world: World) -> Any:
    return world.namenode.in_safe_mode()
