"""What is asked of the tree without changing it."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from seamlessfs.model.errors import CorruptStore, FileNotFound, InvalidArgument, ListingStartNotFound
from seamlessfs.model.ids import ROOT_INODE_ID, BlockId, InodeId, PolicyId
from seamlessfs.model.path import INODES, RESERVED, split
from seamlessfs.model.status import ContentSummary, FileStatus, FileType, Listing
from seamlessfs.namespace import access, registry, totals, tree
from seamlessfs.namespace.answers import SNAPSHOT_ENABLED, FileBlock, FileBlocks, status_of
from seamlessfs.namespace.context import Context
from seamlessfs.namespace.tree import Resolved
from seamlessfs.security.permissions import Access
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView
from seamlessfs.store.records import BlockRecord, BlockState, Directory, File, Inode, decode_block, decode_inode

_RESERVED_MODE = 0o1770
_BELOW_RESERVED_MODE = 0o770
ROOT_QUOTA = (1 << 63) - 1

_decode_block = lru_cache(maxsize=16_384)(decode_block)
"""The same bytes of the same block are the same record, so nothing here can be stale."""


class Found(NamedTuple):
    """What a path names, as it is stored.

    Attributes:
        value: its record.
        inherited: the policy that it shows if it is a directory without one of its own.
    """

    value: bytes
    inherited: PolicyId
    is_root: bool

    @property
    def status(self) -> FileStatus:
        status = status_of(decode_inode(self.value), b"", self.inherited)
        return _root_status(status) if self.is_root else status


class Page(NamedTuple):
    """A page of a directory that the caller may read: which one, and how it is read.

    Attributes:
        start_after: its first entry follows this name. `most`: entries that it may have.
        inherited: as in `Found`. `children`: entries of the directory.
    """

    directory: InodeId
    start_after: bytes
    most: int
    inherited: PolicyId
    children: int

    def read(self, view: ReadView) -> tuple[list[tuple[bytes, bytes]], int]:
        """Keys and records of the entries, in byte order of names, and how many follow.

        That number is exact on the first page and up to one page ahead; beyond that it is only known to be more.
        """
        start = self.start_after
        found = view.scan(*(keys.entries_after(self.directory, start) if start else keys.entries(self.directory)))
        rows = list(islice(found, self.most))
        if not start:
            return rows, max(0, self.children - len(rows))
        return rows, sum(1 for _ in islice(found, self.most + 1))


def find(view: ReadView, ctx: Context, path: str) -> Found | FileStatus | None:
    """What the path names, or None. What is reserved is not stored: its status.

    Raises:
        AccessDenied: a directory on the way may not be passed, or is a file. A superuser finds nothing there instead,
            as in HDFS.
    """
    names = split(path)
    if names == [RESERVED]:
        return _reserved_status(b"", "", _RESERVED_MODE)
    at = tree.resolve_names(view, names)
    if not ctx.privileged:
        access.traverse(ctx, at, reading=True)
    if at.last is None:
        return None
    return Found(at.value, registry.inherited(at), at.is_root)


def get_file_info(view: ReadView, ctx: Context, path: str) -> FileStatus | None:
    """Status of what the path names, or None. Raises as `find`."""
    found = find(view, ctx, path)
    return found.status if isinstance(found, Found) else found


def find_page(view: ReadView, ctx: Context, path: str, start_after: bytes, limit: int | None) -> Page | Listing | None:
    """A page of a directory; a file lists as one entry without a name."""
    names = split(path)
    if names == [RESERVED]:
        _name_of_start(view, start_after)
        below, group = (INODES, tree.RAW), ctx.limits.supergroup
        return Listing(tuple(_reserved_status(name, group, _BELOW_RESERVED_MODE) for name in below), 0)
    at = tree.resolve_names(view, names)
    access.traverse(ctx, at, reading=True)
    start_after = _name_of_start(view, start_after)
    record = at.last
    if record is None:
        return None
    inherited = registry.inherited(at)
    if not isinstance(record, Directory):
        return Listing((status_of(record, b"", inherited),), 0)
    access.path(ctx, at, Access.READ_EXECUTE)
    most = min(limit or ctx.limits.listing_page, ctx.limits.listing_page)
    return Page(record.id, start_after, most, inherited, record.children)


def get_listing(view: ReadView, ctx: Context, path: str, start_after: bytes, limit: int | None) -> Listing | None:
    """As `find_page`, read."""
    page = find_page(view, ctx, path, start_after, limit)
    if not isinstance(page, Page):
        return page
    rows, remaining = page.read(view)
    entries = (status_of(decode_inode(value), keys.entry_name(key), page.inherited) for key, value in rows)
    return Listing(tuple(entries), remaining)


def get_blocks(view: ReadView, ctx: Context, path: str, offset: int, length: int) -> FileBlocks:
    """Blocks of a file that overlap [offset, offset + length); length 0 asks for the one that holds offset.

    Raises:
        FileNotFound: no such file, or it is a directory. InvalidArgument: a negative range. AccessDenied.
    """
    if offset < 0:
        raise InvalidArgument(f"Negative offset is not supported. File: {path}")
    if length < 0:
        raise InvalidArgument(f"Negative length is not supported. File: {path}")
    at = tree.resolve(view, path)
    access.traverse(ctx, at, reading=True)
    file = regular_file(at)
    access.path(ctx, at, Access.READ)
    due = bool(
        ctx.limits.access_time_precision_ms and ctx.now_ms > file.accessed_at_ms + ctx.limits.access_time_precision_ms
    )
    return blocks_of(view, file, offset, length, access_time_due=due)


def blocks_of(
    view: ReadView, file: File, offset: int = 0, length: int = 1 << 63, *, access_time_due: bool = False
) -> FileBlocks:
    """As `get_blocks`, for a file that was found already.

    As in HDFS, an open last block of unknown length is part of the answer when the range goes beyond what lies before
    it, and always when nothing does.
    """
    every: list[FileBlock] = []
    position = 0
    for record in _records(view, file):
        every.append(
            FileBlock(
                record.block,
                position,
                record.state,
                record.pipeline,
                record.home_idc,
                record.peer_idc,
                record.hints,
            )
        )
        position += record.length
    last = every[-1] if every else None
    chosen = every if every and not every[0].block.length else [b for b in every if b.offset + b.block.length > offset]
    chosen = chosen[:1] + [b for b in chosen[1:] if b.offset < offset + length]
    open_last = last is not None and last.state is not BlockState.COMPLETE
    file_length = last.offset if last is not None and open_last else position
    return FileBlocks(
        inode_id=file.id,
        file_length=file_length,
        blocks=tuple(chosen),
        under_construction=file.is_open,
        last=last,
        policy_id=file.policy_id,
        replication=file.replication,
        access_time_due=access_time_due,
    )


def get_content_summary(view: ReadView, ctx: Context, path: str) -> ContentSummary:
    """Totals of a subtree, the directory itself counted. Exact on a sealed view; nothing is walked for a superuser."""
    at = tree.resolve(view, path)
    access.traverse(ctx, at, reading=True)
    record = at.last
    if record is None:
        raise FileNotFound(f"File does not exist: {at.path}")
    access.subtree(view, ctx, at, Access.READ_EXECUTE, in_order=True)
    return _summary_of(view, record)


def get_quota_usage(view: ReadView, ctx: Context, path: str) -> ContentSummary:
    """As `get_content_summary`, with another text for what is missing and another order of checks, as in HDFS."""
    at = tree.resolve(view, path)
    access.traverse(ctx, at, reading=True)
    if at.last is None:
        raise FileNotFound(f"File/Directory does not exist: {at.path}")
    access.subtree(view, ctx, at, Access.READ_EXECUTE)
    return _summary_of(view, at.last)


def check_readable(view: ReadView, ctx: Context, path: str, must_exist: bool) -> None:
    """The caller may read what the path names.

    Raises:
        FileNotFound: it names nothing, and must. AccessDenied.
    """
    at = tree.resolve(view, path)
    access.traverse(ctx, at, reading=True)
    access.path(ctx, at, Access.READ)
    if at.last is None and must_exist and path != access.RESERVED_PATH:
        raise FileNotFound(f"Path not found: {path}")


def get_storage_policy(view: ReadView, ctx: Context, path: str) -> int:
    """Id of the placement policy that the path has or inherits."""
    at = tree.resolve(view, path)
    access.traverse(ctx, at, reading=True)
    access.path(ctx, at, Access.READ)
    if at.last is None:
        raise FileNotFound(f"File/Directory does not exist: {at.path}")
    return at.last.policy_id or registry.inherited(at)


def is_file_closed(view: ReadView, ctx: Context, path: str) -> bool:
    at = tree.resolve(view, path)
    access.traverse(ctx, at, reading=True)
    return not regular_file(at, path).is_open


def get_preferred_block_size(view: ReadView, ctx: Context, path: str) -> int:
    at = tree.resolve(view, path)
    access.traverse(ctx, at, reading=True)
    return regular_file(at).block_size


def check_access(view: ReadView, ctx: Context, path: str, mode: int) -> None:
    """Succeeds if the caller has this access (three bits).

    Raises:
        FileNotFound: the path names nothing. AccessDenied.
    """
    at = tree.resolve(view, path)
    access.traverse(ctx, at, reading=True)
    if at.last is None:
        raise FileNotFound("Path not found")
    access.path(ctx, at, Access(mode & 7))


def regular_file(at: Resolved, shown: str = "") -> File:
    """What the path names, as a file; `shown` is how errors call it."""
    if at.last is None:
        raise FileNotFound(f"File does not exist: {shown or at.path}")
    if not isinstance(at.last, File):
        raise FileNotFound(f"Path is not a file: {shown or at.path}")
    return at.last


def block(view: ReadView, block_id: BlockId) -> BlockRecord | None:
    value = view.get(keys.block(block_id)) if 0 <= block_id < 1 << 63 else None
    return None if value is None else _decode_block(block_id, value)


def file_by_id(view: ReadView, inode_id: InodeId, reached: set[InodeId] | None = None) -> File | None:
    """The file, if its chain reaches the root; `reached` as in `tree.inode_by_id`."""
    record = tree.inode_by_id(view, inode_id, reached)
    return record if isinstance(record, File) else None


def _records(view: ReadView, file: File) -> list[BlockRecord]:
    records = []
    for block_id in file.blocks:
        record = block(view, block_id)
        if record is None:
            raise CorruptStore(f"Block {block_id} of inode {file.id} has no record")
        records.append(record)
    return records


def _name_of_start(view: ReadView, start_after: bytes) -> bytes:
    """A page may be continued after `/.reserved/.inodes/<id>`: the name that this inode has now.

    Raises:
        ListingStartNotFound: there is no such inode.
    """
    if not start_after.startswith(b"/" + RESERVED):
        return start_after
    path = start_after.decode(errors="replace")
    try:
        names = tree.resolve(view, path).names
    except FileNotFound as error:
        raise ListingStartNotFound(f"Can't find startAfter {path}") from error
    return names[-1] if names else b""


def _summary_of(view: ReadView, record: Inode) -> ContentSummary:
    """As in HDFS, the root has a quota from birth that nothing exceeds."""
    files, directories, size, space = totals.totals_of(view, record)
    return ContentSummary(size, files, directories, space, quota=ROOT_QUOTA if record.id == ROOT_INODE_ID else -1)


def _root_status(status: FileStatus) -> FileStatus:
    """The root shows as snapshottable from birth, as in HDFS."""
    return FileStatus(
        type=status.type,
        name=status.name,
        length=0,
        permission=status.permission,
        owner=status.owner,
        group=status.group,
        modified_at_ms=status.modified_at_ms,
        accessed_at_ms=status.accessed_at_ms,
        inode_id=status.inode_id,
        children=status.children,
        policy_id=status.policy_id,
        flags=SNAPSHOT_ENABLED,
    )


def _reserved_status(name: bytes, group: str, mode: int) -> FileStatus:
    return FileStatus(
        type=FileType.DIRECTORY,
        name=name,
        length=0,
        permission=mode,
        owner="",
        group=group,
        modified_at_ms=0,
        accessed_at_ms=0,
        inode_id=InodeId(-1),
        children=0,
        policy_id=PolicyId(0),
    )
