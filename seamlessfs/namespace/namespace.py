"""The namespace as the daemon sees it: one object, every operation of the tree a method."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from seamlessfs.model.block import Block
from seamlessfs.model.ids import BlockId, GenerationStamp, InodeId, PolicyId, PoolId, StorageHint, StorageId
from seamlessfs.model.path import join
from seamlessfs.model.policy import PlacementPolicy
from seamlessfs.model.status import ContentSummary, FileStatus, Listing
from seamlessfs.namespace import block_rows, registry, totals, tree
from seamlessfs.namespace.answers import BlockTarget, FileBlocks
from seamlessfs.namespace.context import Context, NamespaceLimits
from seamlessfs.namespace.leases import Leases
from seamlessfs.namespace.ops import attributes, deleting, formatting, making, reading, recovering, renaming, writing
from seamlessfs.namespace.ops.making import CreateRequest
from seamlessfs.namespace.ops.recovering import Release
from seamlessfs.namespace.retry_cache import RetryCache
from seamlessfs.namespace.state import State
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.records import BlockRecord, ClusterIdentity, File, decode_block

Ready = Callable[[BlockId], bool]


class Namespace:
    """The tree's operations over views and transactions of the store.

    Keeps in memory only what the store confirms: times of lease renewals and the index of the retry cache. `settle`
    must run once in each batch, as the last thing before its seal.
    """

    def __init__(self, pool_id: PoolId, limits: NamespaceLimits | None = None) -> None:
        self.limits = limits or NamespaceLimits()
        self._state = State(pool_id, self.limits.retry_cache_ms)

    @property
    def retries(self) -> RetryCache:
        """Answers of calls that must not run twice."""
        return self._state.retries

    @property
    def leases(self) -> Leases:
        """Who has files open, and when it was last heard of."""
        return self._state.leases

    @staticmethod
    def format(tx: Transaction, ctx: Context, cluster: ClusterIdentity) -> None:
        """Writes an empty namespace into an empty store."""
        formatting.write_first(tx, ctx, cluster)

    @staticmethod
    def identity(view: ReadView) -> ClusterIdentity | None:
        """Who the cluster is; None for a store that was never formatted."""
        return formatting.identity(view)

    def load(self, view: ReadView) -> None:
        """Rebuilds what is kept in memory, after a restart."""
        self._state.leases.load(view)
        self._state.retries.load(view)

    def settle(self, tx: Transaction) -> None:
        """Brings the totals of all directories up to date; the last thing in a batch."""
        totals.settle(tx)

    def find(self, view: ReadView, ctx: Context, path: str) -> reading.Found | FileStatus | None:
        return reading.find(view, ctx, path)

    def find_page(
        self, view: ReadView, ctx: Context, path: str, start_after: bytes = b"", limit: int | None = None
    ) -> reading.Page | Listing | None:
        return reading.find_page(view, ctx, path, start_after, limit)

    def get_file_info(self, view: ReadView, ctx: Context, path: str) -> FileStatus | None:
        return reading.get_file_info(view, ctx, path)

    def get_listing(
        self, view: ReadView, ctx: Context, path: str, start_after: bytes = b"", limit: int | None = None
    ) -> Listing | None:
        return reading.get_listing(view, ctx, path, start_after, limit)

    def get_blocks(self, view: ReadView, ctx: Context, path: str, offset: int = 0, length: int = 1 << 62) -> FileBlocks:
        return reading.get_blocks(view, ctx, path, offset, length)

    def blocks_of(self, view: ReadView, inode_id: InodeId, length: int) -> FileBlocks | None:
        """The blocks of a file's first bytes, for a listing with locations; None if it is gone or no file."""
        file = reading.file_by_id(view, inode_id)
        return None if file is None else reading.blocks_of(view, file, 0, length)

    def get_content_summary(self, view: ReadView, ctx: Context, path: str) -> ContentSummary:
        return reading.get_content_summary(view, ctx, path)

    def get_quota_usage(self, view: ReadView, ctx: Context, path: str) -> ContentSummary:
        return reading.get_quota_usage(view, ctx, path)

    def check_readable(self, view: ReadView, ctx: Context, path: str, must_exist: bool) -> None:
        reading.check_readable(view, ctx, path, must_exist)

    def get_storage_policy(self, view: ReadView, ctx: Context, path: str) -> int:
        return reading.get_storage_policy(view, ctx, path)

    def storage_policies(self, view: ReadView) -> list[PlacementPolicy]:
        return registry.policies(view)

    def policy(self, view: ReadView, policy_id: PolicyId) -> PlacementPolicy:
        return registry.policy(view, policy_id)

    def is_file_closed(self, view: ReadView, ctx: Context, path: str) -> bool:
        return reading.is_file_closed(view, ctx, path)

    def check_access(self, view: ReadView, ctx: Context, path: str, mode: int) -> None:
        reading.check_access(view, ctx, path, mode)

    def get_preferred_block_size(self, view: ReadView, ctx: Context, path: str) -> int:
        return reading.get_preferred_block_size(view, ctx, path)

    def path_of(self, view: ReadView, inode_id: InodeId) -> str | None:
        """Path of an inode now; None if it does not exist or a directory above it was deleted."""
        names = tree.names_of(view, inode_id)
        return None if names is None else join(names)

    def file(self, view: ReadView, inode_id: InodeId, reached: set[InodeId] | None = None) -> File | None:
        """The file's record, if its chain reaches the root: stamp, replication, blocks, holder.

        Args:
            reached: what earlier calls on the same view have found of that, and this one adds to.
        """
        return reading.file_by_id(view, inode_id, reached)

    def block(self, view: ReadView, block_id: BlockId) -> BlockRecord | None:
        return reading.block(view, block_id)

    def complete_version(self, view: ReadView, block_id: BlockId) -> tuple[GenerationStamp, int] | None:
        """Stamp and length of a complete block, found quickly: its file may be unlinked. None: ask `block`."""
        return block_rows.version(view, block_id)

    def note_places(self, tx: Transaction, block_id: BlockId, hints: tuple[StorageHint, ...]) -> None:
        """Keeps where a complete block is now, for readers after a restart."""
        block_rows.note_places(tx, block_id, hints)

    def complete_blocks(self, view: ReadView) -> int:
        """Number of complete blocks, also of unlinked files that the reaper has not come to."""
        return block_rows.complete_count(view) or 0

    @staticmethod
    def is_counted(view: ReadView) -> bool:
        """Whether the store has that number; an older one has not: `count_blocks` finds it, `set_count` writes it."""
        return block_rows.complete_count(view) is not None

    @staticmethod
    def count_blocks(view: ReadView) -> int:
        return block_rows.recount(view)

    @staticmethod
    def set_count(tx: Transaction, count: int) -> None:
        block_rows.write_count(tx, count)

    def blocks(self, view: ReadView, start: BlockId | None = None) -> Iterator[BlockRecord]:
        """Every block from `start` on, by id. Lazy: for slices and snapshots."""
        for key, value in view.scan(*keys.blocks_from(start or BlockId(0))):
            yield decode_block(BlockId(int.from_bytes(key[2:], "big")), value)

    def create(
        self,
        tx: Transaction,
        ctx: Context,
        path: str,
        permission: int,
        client_name: str,
        client_machine: str,
        overwrite: bool,
        create_parent: bool,
        replication: int,
        block_size: int,
        storage_policy: str | None = None,
        may_create: bool = True,
    ) -> FileStatus:
        request = CreateRequest(
            path,
            permission,
            client_name,
            client_machine,
            overwrite,
            create_parent,
            replication,
            block_size,
            storage_policy,
            may_create,
        )
        return making.create(self._state, tx, ctx, request)

    def prepare_block(
        self,
        view: ReadView,
        ctx: Context,
        path: str,
        inode_id: InodeId,
        client_name: str,
        previous: Block | None = None,
    ) -> BlockTarget:
        return writing.prepare_block(self._state, view, ctx, path, inode_id, client_name, previous)

    def add_block(
        self,
        tx: Transaction,
        ctx: Context,
        inode_id: InodeId,
        client_name: str,
        pipeline: tuple[StorageId, ...],
        *,
        home_idc: str = "",
        peer_idc: str = "",
        previous: Block | None = None,
    ) -> Block:
        return writing.add_block(self._state, tx, ctx, inode_id, client_name, pipeline, home_idc, peer_idc, previous)

    def finish_block(self, tx: Transaction, block_id: BlockId) -> None:
        """A committed block of an open file has its least number of replicas."""
        writing.finish_block(tx, block_id)

    def abandon_block(
        self, tx: Transaction, ctx: Context, block: Block, inode_id: InodeId, path: str, client_name: str
    ) -> BlockRecord | None:
        return writing.abandon_block(tx, ctx, block, inode_id, path, client_name)

    def complete(
        self,
        tx: Transaction,
        ctx: Context,
        path: str,
        inode_id: InodeId,
        client_name: str,
        last: Block | None,
        replicas_ready: Ready,
    ) -> bool:
        return writing.complete(tx, ctx, path, inode_id, client_name, last, replicas_ready)

    def fsync(self, tx: Transaction, ctx: Context, path: str, inode_id: InodeId, client_name: str, length: int) -> None:
        writing.fsync(tx, ctx, path, inode_id, client_name, length)

    def update_block_for_pipeline(
        self, tx: Transaction, ctx: Context, block: Block, client_name: str
    ) -> GenerationStamp:
        return writing.update_block_for_pipeline(self._state, tx, block, client_name)

    def update_pipeline(
        self, tx: Transaction, ctx: Context, client_name: str, old: Block, new: Block, storages: tuple[StorageId, ...]
    ) -> None:
        writing.update_pipeline(self._state, tx, client_name, old, new, storages)

    def renew_lease(self, client_name: str, steady_ms: int) -> None:
        """In memory only; a client that has nothing open has nothing to renew."""
        self._state.leases.renew(client_name, steady_ms)

    def expired_leases(self, view: ReadView, steady_ms: int) -> list[tuple[str, InodeId]]:
        """Files whose holders have been silent over the hard limit: to be released."""
        return self._state.leases.expired(view, steady_ms, self.limits.hard_lease_ms)

    def recover_lease(self, tx: Transaction, ctx: Context, path: str, has_replica: Ready, is_busy: Ready) -> Release:
        return recovering.recover_lease(self._state, tx, ctx, path, has_replica, is_busy)

    def release(self, tx: Transaction, ctx: Context, inode_id: InodeId, has_replica: Ready, is_busy: Ready) -> Release:
        """Takes an open file from a holder that is gone, and closes it if nothing has to happen before."""
        return recovering.release(self._state, tx, ctx, inode_id, has_replica, is_busy)

    def release_silent(
        self, tx: Transaction, ctx: Context, path: str, has_replica: Ready, is_busy: Ready
    ) -> Release | None:
        """As `release`, if the holder has been silent over the soft limit."""
        return recovering.release_silent(self._state, tx, ctx, path, has_replica, is_busy)

    def commit_recovered(
        self,
        tx: Transaction,
        ctx: Context,
        recovered: Block,
        lost: int,
        storages: tuple[StorageId, ...],
        has_replica: Ready,
    ) -> Release:
        return recovering.commit_recovered(self._state, tx, ctx, recovered, lost, storages, has_replica)

    def drop_recovered(
        self, tx: Transaction, ctx: Context, recovered: Block, lost: int, has_replica: Ready
    ) -> tuple[Release, BlockRecord | None]:
        return recovering.drop_recovered(self._state, tx, ctx, recovered, lost, has_replica)

    def recovering(self, view: ReadView) -> list[InodeId]:
        """Files whose release has begun and is not done: to be released again as reports come in."""
        return recovering.waiting_files(view)

    def mkdirs(self, tx: Transaction, ctx: Context, path: str, permission: int, create_parent: bool = True) -> bool:
        return making.mkdirs(tx, ctx, path, permission, create_parent)

    def rename(self, tx: Transaction, ctx: Context, source: str, target: str) -> bool:
        return renaming.rename(tx, ctx, source, target)

    def rename2(
        self,
        tx: Transaction,
        ctx: Context,
        source: str,
        target: str,
        overwrite: bool = False,
        to_trash: bool = False,
    ) -> None:
        renaming.rename2(tx, ctx, source, target, overwrite, to_trash)

    def delete(
        self, tx: Transaction, ctx: Context, path: str, recursive: bool, *, subtree_checked: bool = False
    ) -> bool:
        return deleting.delete(tx, ctx, path, recursive, subtree_checked=subtree_checked)

    def is_deep(self, view: ReadView, path: str) -> bool:
        """Whether a delete has more to check than the path itself."""
        return deleting.is_deep(view, path)

    def check_delete(self, view: ReadView, ctx: Context, path: str) -> None:
        """The recursive permission check of a delete, to be run over a snapshot before the delete itself."""
        deleting.check_delete(view, ctx, path)

    def reap(self, tx: Transaction, ctx: Context, limit: int) -> list[Block]:
        """Does a part of what deletes left; returns the blocks that are gone, to be invalidated."""
        return deleting.reap(tx, limit)

    def reapable(self, view: ReadView) -> bool:
        """Whether `reap` has something to do."""
        return deleting.reapable(view)

    def first_removed(self, view: ReadView) -> InodeId | None:
        """What `reap` works on now."""
        return deleting.first_removed(view)

    def set_permission(self, tx: Transaction, ctx: Context, path: str, permission: int) -> None:
        attributes.set_permission(tx, ctx, path, permission)

    def set_owner(self, tx: Transaction, ctx: Context, path: str, owner: str | None, group: str | None) -> None:
        attributes.set_owner(tx, ctx, path, owner, group)

    def set_times(self, tx: Transaction, ctx: Context, path: str, modified_at_ms: int, accessed_at_ms: int) -> None:
        attributes.set_times(tx, ctx, path, modified_at_ms, accessed_at_ms)

    def record_access(self, tx: Transaction, ctx: Context, inode_id: InodeId) -> None:
        attributes.record_access(tx, ctx, inode_id)

    def set_replication(self, tx: Transaction, ctx: Context, path: str, replication: int) -> bool:
        return attributes.set_replication(tx, ctx, path, replication)

    def set_storage_policy(self, tx: Transaction, ctx: Context, path: str, name: str) -> None:
        attributes.set_storage_policy(tx, ctx, path, name)

    def unset_storage_policy(self, tx: Transaction, ctx: Context, path: str) -> None:
        attributes.unset_storage_policy(tx, ctx, path)
