"""All replicas of a datanode: which there are, on which volume, and every change of that."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence

from seamlessfs.datanode import layout
from seamlessfs.datanode.digests import Digest
from seamlessfs.datanode.log import event
from seamlessfs.datanode.open_replica import OpenReplica
from seamlessfs.datanode.replica import ChangeKind, Replica, ReplicaChange, writer_block
from seamlessfs.datanode.replica_map import ReplicaMap
from seamlessfs.datanode.replica_writer import ReplicaWriter
from seamlessfs.datanode.scan import proven_length, scan_volume
from seamlessfs.datanode.volume import NOT_THE_DISK, PoolIdentity, Volume
from seamlessfs.datanode.volumes import VolumeSet
from seamlessfs.model.block import Block, Checksum, ReplicaState
from seamlessfs.model.cluster import StorageReport
from seamlessfs.model.errors import CorruptStore, FileAlreadyExists, ReplicaNotFound, UnsupportedOperation
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, PoolId, StorageId


class ReplicaStore(ReplicaMap):
    """The replicas of one block pool on some volumes. Thread-safe; no disk is touched under the map's lock."""

    def __init__(self, volumes: Sequence[Volume], *, sync_on_close: bool) -> None:
        super().__init__()
        self.disks = VolumeSet(volumes)
        self.disks.on_failed.append(self._drop_volume)
        self.pool: PoolIdentity | None = None
        self._sync_on_close = sync_on_close
        self.suspect: Callable[[BlockId], None] = lambda block_id: None
        """Asked to verify a replica soon."""

    def open_pool(self, pool: PoolIdentity, datanode_uuid: DatanodeUuid) -> None:
        """Makes every volume part of the pool and finds the replicas there; no change when it is open already.

        Raises:
            RegistrationRefused: a volume belongs to another cluster.
        """
        for volume in self.disks.usable():
            with self.disks.failing(volume):
                volume.join(pool, datanode_uuid)
        if self.pool is not None:
            return
        volumes = self.disks.usable()
        threads = [threading.Thread(target=self._load, args=(volume,), name="scan") for volume in volumes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.pool = pool
        event(logging.INFO, "pool_open", pool=pool.pool_id, cluster=pool.cluster_id, replicas=len(self._replicas))

    @property
    def volumes(self) -> tuple[Volume, ...]:
        return self.disks.all

    def serves(self, pool_id: PoolId) -> bool:
        """Whether `pool_id` is the open pool."""
        return self.pool is not None and self.pool.pool_id == pool_id

    def open_replica(self, block: Block) -> tuple[OpenReplica, int]:
        """Opens a replica for reading; an older generation stamp than the replica's is fine.

        Returns:
            The open replica, and its visible length in bytes.

        Raises:
            ReplicaNotFound: there is none, its stamp is older than asked, or it waits for recovery.
        """
        with self._lock:
            replica = self._replicas.get(block.id)
            writer = replica.writer if replica is not None else None
        if replica is None:
            raise ReplicaNotFound(f"Replica not found for blk_{block.id}_{block.generation_stamp}")
        found = replica.current()
        if found.generation_stamp < block.generation_stamp:
            raise ReplicaNotFound(
                f"Replica generation stamp < block generation stamp, block=blk_{block.id}_{block.generation_stamp}, "
                f"replica=blk_{block.id}_{found.generation_stamp}"
            )
        visible = replica.visible_bytes
        if visible < 0 or replica.state is ReplicaState.TEMPORARY:
            raise ReplicaNotFound(f"Replica blk_{block.id} is {replica.state.name}: it cannot be read")
        try:
            if writer is None:
                opened = OpenReplica.open(*replica.files, found.length)
                opened.doubt = lambda error: self._doubt(replica, error)
                return opened, visible
            with writer.lock:
                opened = OpenReplica.open(writer.data_path, writer.meta_path, writer.on_disk_bytes)
            return opened, min(replica.visible_bytes, opened.length)
        except (FileNotFoundError, CorruptStore) as error:
            self._doubt(replica, error)
            raise ReplicaNotFound(f"Replica files of blk_{block.id} are gone or damaged: {error}") from error
        except OSError as error:
            self._doubt(replica, error)
            raise

    def open_final(self, block: Block) -> OpenReplica:
        """Opens the files of a replica to hand them out: they must not change, so that only a finalised one will do.

        Raises:
            ReplicaNotFound: there is none. UnsupportedOperation: it is being written, damaged, or of another stamp.
        """
        replica = self.look(block.id)
        name = f"blk_{block.id}_{block.generation_stamp}"
        if replica is None:
            raise ReplicaNotFound(f"Replica not found for {name}")
        stamp = replica.current().generation_stamp
        if replica.state is not ReplicaState.FINALIZED or replica.damaged or stamp != block.generation_stamp:
            known = "damaged" if replica.damaged else replica.state.name
            raise UnsupportedOperation(f"The files of {name} cannot be passed: its replica is {known}, stamp {stamp}")
        try:
            return OpenReplica.open(*replica.files, replica.block.length)
        except (FileNotFoundError, CorruptStore) as error:
            self._doubt(replica, error)
            raise ReplicaNotFound(f"Replica files of {name} are gone or damaged: {error}") from error
        except OSError as error:
            self._doubt(replica, error)
            raise

    def create(
        self, block: Block, state: ReplicaState, checksum: Checksum, storage_id: str | None, storage_type: str
    ) -> ReplicaWriter:
        """Starts a new replica: RBW when a client writes it, TEMPORARY when it is a copy.

        Raises:
            FileAlreadyExists: there is a replica of this block already. NotEnoughDatanodes: no volume has room.
            OSError: the disk refuses.
        """
        self._drop_unfinished(block, state)
        volume = self.disks.choose(storage_id, storage_type, block.length)
        directory = volume.paths.rbw if state is ReplicaState.RBW else volume.paths.tmp
        try:
            with self.disks.watching(volume):
                writer = ReplicaWriter.create(volume, block, state, directory, checksum)
        except FileExistsError as error:
            raise FileAlreadyExists(f"Block blk_{block.id} already has files on {volume.root}") from error
        with self._lock:
            taken = block.id in self._replicas or self._fences.get(block.id, 0) > block.generation_stamp
            taken = taken or volume.failed
            if not taken:
                self._replicas[block.id] = Replica(block, state, volume, writer=writer)
        if taken:
            writer.delete_files()
            raise FileAlreadyExists(f"Block blk_{block.id} already exists, or was recovered without this replica")
        if state is ReplicaState.RBW:
            self.tell(ReplicaChange(ChangeKind.RECEIVING, volume.storage_id, Block(block.id, block.generation_stamp)))
        return writer

    def prepare(self, writer: ReplicaWriter) -> None:
        """Brings a replica that has all its bytes to its final place, durable (by default). It stays what it is.

        All datanodes of a pipeline do this at the same time; what `finalize` then does in turn touches no disk.

        Raises:
            ReplicaNotFound: the replica was taken away meanwhile. OSError: the disk refuses.
        """
        final = Replica(writer_block(writer), ReplicaState.FINALIZED, writer.volume)
        with self.disks.watching(writer.volume):
            writer.fit_files()
            if self._sync_on_close:
                writer.sync_data()
            layout.make_directory(final.data_path.parent)
            writer.rename_into(final.data_path, final.meta_path)
            if self._sync_on_close:
                with writer.distrusting(), writer.volume.syncs.timed():
                    layout.sync_directory(final.data_path.parent)

    def leave_open(self, writer: ReplicaWriter) -> None:
        """The writing ended too early: the replica waits among those being written, unless somebody else has it.

        One that could not be made durable waits for a recovery, with what is proven when it is read back.
        """
        rbw = writer.volume.paths.rbw
        with contextlib.suppress(OSError), self.disks.watching(writer.volume):
            if writer.data_path.parent != rbw:
                writer.rename_into(rbw / writer.data_path.name, rbw / writer.meta_path.name)
        writer.close()
        replica = self.look(writer.block_id)
        if not writer.distrusted or replica is None or replica.writer is not writer:
            return
        length = proven_length(writer.data_path, writer.meta_path, thorough=True)
        block = Block(writer.block_id, writer.generation_stamp, length)
        self.swap(replica, Replica(block, ReplicaState.RWR, writer.volume))

    def finalize(self, writer: ReplicaWriter) -> Block:
        """Makes a replica final, durable (by default) and known to the namenodes.

        Raises:
            ReplicaNotFound: the replica was taken away meanwhile. OSError: the disk refuses.
        """
        writer.require_trusted()
        block, volume = writer_block(writer), writer.volume
        with self.disks.watching(volume):
            final = Replica(block, ReplicaState.FINALIZED, volume, xxh3=writer.digest())
        if writer.data_path != final.data_path:
            self.prepare(writer)
        with self._lock:
            present = self._replicas.get(block.id)
            if present is None or present.writer is not writer:
                raise ReplicaNotFound(f"Replica {writer} was taken away from its writer")
            final.checksum_bytes = writer.disk_usage_bytes - block.length
            self._replicas[block.id] = final
        writer.close()
        volume.digests.append(Digest(block.id, block.generation_stamp, block.length, final.xxh3))
        self.tell(ReplicaChange(ChangeKind.RECEIVED, volume.storage_id, block, final.xxh3))
        return block

    def convert_to_rbw(self, writer: ReplicaWriter) -> None:
        """Makes a copied replica of a block that is still being written (TRANSFER_RBW) one that a pipeline can use."""
        rbw = writer.volume.paths.rbw
        writer.rename_into(rbw / writer.data_path.name, rbw / writer.meta_path.name)
        with self._lock:
            replica = self._replicas.get(writer.block_id)
            if replica is None or replica.writer is not writer:
                raise ReplicaNotFound(f"Replica {writer} was taken away from its writer")
            replica.state = writer.state = ReplicaState.RBW
            block = Block(writer.block_id, writer.generation_stamp)
            self.tell(ReplicaChange(ChangeKind.RECEIVING, writer.volume.storage_id, block))
        writer.acknowledge(writer.on_disk_bytes)
        writer.close()

    def discard(self, writer: ReplicaWriter) -> None:
        """Removes a replica that will not be finished, unless a recovery has gone on with it."""
        with self._lock:
            replica = self._replicas.get(writer.block_id)
            mine = replica is not None and replica.writer is writer
            if mine:
                del self._replicas[writer.block_id]
        if not mine:
            writer.close()
            return
        with contextlib.suppress(OSError), self.disks.watching(writer.volume):
            writer.delete_files()
        if writer.state is ReplicaState.RBW:
            self.tell(ReplicaChange(ChangeKind.DELETED, writer.volume.storage_id, writer_block(writer)))

    def reopen(self, block_id: BlockId, stamp: GenerationStamp, length: int | None = None) -> ReplicaWriter:
        """Goes on with a replica under a newer stamp: a finalised one becomes RBW, an RBW one changes its writer.

        It is durable under that stamp: once the namenode has it, a replica of an older one counts no more, and with it
        what hsync acknowledged.

        Args:
            length: cut the replica to that many bytes; None: keep what was acknowledged.

        Raises:
            ReplicaNotFound: there is no such replica, it is of a newer stamp, or it is for a recovery only.
        """
        with self.takeover(block_id):
            replica = self.look(block_id)
            if replica is None or replica.state not in (ReplicaState.FINALIZED, ReplicaState.RBW):
                raise ReplicaNotFound(f"Replica blk_{block_id} is not here, or cannot be written to")
            if replica.current().generation_stamp > stamp:
                raise ReplicaNotFound(
                    f"Replica blk_{block_id}_{replica.current().generation_stamp} is newer than the stamp {stamp} "
                    "that the writer has for it: the block was taken from the writer"
                )
            return self._reopen(replica, stamp, length)

    def _reopen(self, replica: Replica, stamp: GenerationStamp, length: int | None) -> ReplicaWriter:
        previous = replica.writer
        if previous is not None:
            previous.stop()
            previous.settle()
            if previous.distrusted:
                raise ReplicaNotFound(f"Replica {previous} could not be made durable: nobody goes on with it")
            paths, found, keep = (previous.data_path, previous.meta_path), replica.current(), previous.acked_bytes
            previous.close()
        else:
            paths, found, keep = (replica.data_path, replica.meta_path), replica.block, replica.block.length
        with self.disks.watching(replica.volume):
            with OpenReplica.open(*paths, found.length) as opened:
                checksum = opened.checksum
            writer = ReplicaWriter.reopen(replica.volume, found, paths, checksum)
        writer.acknowledge(keep)
        if not self.swap(replica, Replica(found, ReplicaState.RBW, replica.volume, writer=writer)):
            writer.close()
            raise ReplicaNotFound(f"Replica blk_{found.id} was taken away while it was opened again")
        rbw = replica.volume.paths.rbw
        try:
            with self.disks.watching(replica.volume):
                if paths[0].parent != rbw:
                    writer.rename_into(rbw / paths[0].name, rbw / paths[1].name)
                writer.restamp(stamp)
                writer.truncate(keep if length is None else length)
                writer.sync()
        except OSError:
            self.leave_open(writer)
            raise
        return writer

    def invalidate(self, block_id: BlockId, stamp: GenerationStamp, storage_id: str = "") -> bool:
        """Deletes a replica unless its stamp is newer; tells whether there was one to delete.

        That a named storage has none is told as a deletion, too: whoever asked for it waits for that.
        """
        with self._lock:
            replica = self._replicas.get(block_id)
            if replica is None or (storage_id and replica.volume.storage_id != storage_id):
                if storage_id:
                    self.tell(ReplicaChange(ChangeKind.DELETED, StorageId(storage_id), Block(block_id, stamp)))
                return False
            if replica.current().generation_stamp > stamp:
                return False
            del self._replicas[block_id]
        self.revoke(block_id)
        block = replica.current()
        try:
            with self.disks.watching(replica.volume):
                if replica.writer is not None:
                    replica.writer.stop()
                    replica.writer.delete_files()
                else:
                    replica.delete_files()
        except OSError:
            with self._lock:
                if not replica.volume.failed:
                    self._replicas.setdefault(block_id, replica)
            raise
        self.tell(ReplicaChange(ChangeKind.DELETED, replica.volume.storage_id, block))
        self._succeed(block_id)
        return True

    def reports(self) -> list[StorageReport]:
        """State of each volume."""
        return self.disks.reports()

    def note_failure(self, volume: Volume, error: OSError) -> None:
        """Takes a volume out of use when its error says that the disk, not the request, is bad."""
        self.disks.note(volume, error)

    def close(self) -> None:
        """Closes what is being written; it is found as RWR at the next start."""
        with self._lock:
            writers = [each.writer for each in self._replicas.values() if each.writer is not None]
        for writer in writers:
            writer.stop()
            writer.close()
        for volume in self.volumes:
            volume.close()

    def _load(self, volume: Volume) -> None:
        with self.disks.failing(volume):
            self._load_all(volume)

    def _load_all(self, volume: Volume) -> None:
        digests: list[Digest] = []
        known = volume.digests.load()
        for found in scan_volume(volume):
            digest = known.get(found.block.id)
            xxh3 = 0
            if digest is not None and digest[:3] == (found.block.id, found.block.generation_stamp, found.block.length):
                digests.append(digest)
                xxh3 = digest.xxh3
            replica = Replica(found.block, found.state, volume, found.meta_bytes, xxh3)
            volume.add_used(found.block.length + found.meta_bytes)
            self.found(replica)
        volume.digests.rewrite(digests)

    def _doubt(self, replica: Replica, error: Exception) -> None:
        """A reader met something that its files should not have: the disk is tried, and the replica verified."""
        if isinstance(error, OSError) and error.errno in NOT_THE_DISK:
            return
        event(logging.WARNING, "replica_doubted", block=replica.block.id, path=replica.volume.root, error=error)
        self.disks.check_soon(replica.volume)
        self.suspect(replica.block.id)

    def _drop_unfinished(self, block: Block, state: ReplicaState) -> None:
        """A copy replaces what an earlier write or copy of the same or an older stamp left unfinished."""
        with self._lock:
            replica = self._replicas.get(block.id)
            if replica is None:
                return
            leftover = replica.state is not ReplicaState.FINALIZED and (
                replica.current().generation_stamp < block.generation_stamp
                or (state is ReplicaState.TEMPORARY and replica.state is ReplicaState.RWR)
            )
        if not leftover or not self.invalidate(block.id, block.generation_stamp):
            raise FileAlreadyExists(
                f"Block blk_{block.id}_{block.generation_stamp} already exists in state {replica.state.name}"
            )
