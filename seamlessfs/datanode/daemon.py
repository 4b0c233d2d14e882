"""The datanode as a whole: owns its parts, starts and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
import uuid
from collections.abc import Callable

from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.datanode.block_scanner import BlockScanner, ScanPace
from seamlessfs.datanode.commands import CommandRunner
from seamlessfs.datanode.context import TransferContext
from seamlessfs.datanode.control import ControlSession
from seamlessfs.datanode.disk_checks import DiskChecks
from seamlessfs.datanode.ipc import ClientDatanodeHandlers
from seamlessfs.datanode.layout import write_durably
from seamlessfs.datanode.ledger import Ledger
from seamlessfs.datanode.log import event
from seamlessfs.datanode.pages import datanode_pages
from seamlessfs.datanode.recovery_runner import RecoveryRunner
from seamlessfs.datanode.replica import ChangeKind, ReplicaChange
from seamlessfs.datanode.replicas import ReplicaStore
from seamlessfs.datanode.reports import storage_messages, traffic_messages
from seamlessfs.datanode.tally import Counted
from seamlessfs.datanode.volume import PoolIdentity, Volume, VolumeFailed
from seamlessfs.datanode.xceiver import TransferServer
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.cluster import DatanodeId, Location
from seamlessfs.model.errors import ConfigurationError, CorruptStore
from seamlessfs.model.ids import DatanodeUuid, PoolId, StorageId
from seamlessfs.model.principal import Principal
from seamlessfs.net.rpc_server import ConnectionInfo, RpcServer
from seamlessfs.net.traffic import IdcResolver
from seamlessfs.security.secret import load_secret
from seamlessfs.web.server import HttpServer
from seamlessfs.wire.pb.seamless import control_pb2 as pb
from seamlessfs.wire.rpc.protocols import CLIENT_DATANODE_PROTOCOL


class Datanode:
    """A running datanode. Owner: the event loop that called `start`; transfers run on threads of their own."""

    def __init__(self, settings: DatanodeSettings, stopping: asyncio.Event | None = None) -> None:
        """Args:
        stopping: set when an administrator wants the datanode to stop; who runs it stops it then.
        """
        self.settings = settings
        self.stopping = stopping or asyncio.Event()
        self.balancer_bandwidth_bytes_per_s = settings.balancer_bandwidth_bytes_per_s
        self.xfer_port = settings.xfer_port
        self.ipc_port = settings.ipc_port
        self.info_port = settings.info_port
        self._own_location = Location.parse(settings.location) if settings.location else None
        self.ledger = Ledger(self._own_location)
        self.started_at_ms = time.time_ns() // 1_000_000
        self._volumes = [Volume(path, kind, settings.reserved_bytes) for kind, path in settings.volumes]
        self.store = ReplicaStore(self._volumes, sync_on_close=settings.sync_on_close)
        self._checks = DiskChecks(self.store.disks, settings.disk_check_interval_s, settings.disk_check_timeout_s)
        self.store.add_listener(self._count)
        pace = ScanPace(settings.scan_bytes_per_s, settings.scan_period_hours * 3600)
        self.scanner = BlockScanner(self.store, pace, self.ledger.tally)
        self._ruined: asyncio.Future[None] | None = None
        self._uuid = DatanodeUuid(str(uuid.uuid4()))
        self._context = TransferContext(settings, self.store, self.ledger, self.identity)
        self.transfer_server = TransferServer(self._context)
        self._sessions: list[ControlSession] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._commands: CommandRunner | None = None
        self._recoveries: RecoveryRunner | None = None
        self.ipc: RpcServer | None = None
        self._http: HttpServer | None = None
        self._epoch = 0
        self._joining = asyncio.Lock()

    @property
    def uuid(self) -> str:
        return self._uuid

    @property
    def transfers_running(self) -> int:
        """Replications that this datanode sends, or that wait for their turn."""
        return self._commands.running if self._commands is not None else 0

    @property
    def registered(self) -> int:
        """Namenodes that it is registered with."""
        return sum(session.registered.is_set() for session in self._sessions)

    def identity(self) -> DatanodeId:
        """Who this is and where others reach it."""
        return DatanodeId(
            self._uuid,
            self.settings.host,
            self.settings.hostname or self.settings.host,
            self.settings.advertised_xfer_port or self.xfer_port,
            self.info_port,
            self.ipc_port,
        )

    async def start(self) -> None:
        """Opens the volumes, listens, and begins to look for the namenodes. Known replicas can be read at once.

        Raises:
            ConfigurationError: a setting or a directory cannot be used. CorruptStore: a directory is damaged.
            OSError: a port cannot be had.
        """
        secret = load_secret(self.settings.cluster_secret_file)
        try:
            await asyncio.to_thread(self._open_volumes)
            self._watch_volumes(asyncio.get_running_loop())
            self.xfer_port = self.transfer_server.start()
            await self._start_ipc()
            self._http = HttpServer(datanode_pages(self))
            self.info_port = await self._http.start(self.settings.host, self.settings.info_port)
        except BaseException:
            await self.stop()
            raise
        self._commands = CommandRunner(self._context, asyncio.get_running_loop())
        self._recoveries = RecoveryRunner(self.store, asyncio.get_running_loop())
        ports = {"xfer": self.xfer_port, "ipc": self.ipc_port, "info": self.info_port}
        if self.settings.port_file is not None:
            write_durably(self.settings.port_file, json.dumps(ports).encode())
        event(logging.INFO, "listening", uuid=self._uuid, host=self.settings.host, **ports)
        for address in self.settings.namenodes:
            session = ControlSession(
                address,
                secret,
                self,
                heartbeat_interval_ms=self.settings.heartbeat_interval_ms,
                report_interval_s=self.settings.block_report_interval_s,
                reconnect_min_ms=self.settings.reconnect_min_ms,
                reconnect_max_ms=self.settings.reconnect_max_ms,
            )
            self._sessions.append(session)
            self._tasks.append(asyncio.create_task(session.run(), name=f"control {address}"))

    async def wait(self) -> None:
        """Runs until cancelled.

        Raises:
            RegistrationRefused: a namenode does not want this datanode. VolumeFailed: too few volumes are left.
        """
        assert self._ruined is not None, "start comes first"
        await asyncio.gather(*self._tasks, self._ruined)

    async def stop(self) -> None:
        """Lets running transfers end for a moment, tells the namenodes what they made, and closes everything."""
        if self._http is not None:
            await self._http.stop()
        await asyncio.to_thread(self.transfer_server.stop, self.settings.stop_grace_ms / 1000)
        for session in self._sessions:
            await session.flush(self.settings.stop_grace_ms / 1000)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._context.outgoing.cut()
        if self._commands is not None:
            await asyncio.to_thread(self._commands.stop)
        if self._recoveries is not None:
            await asyncio.to_thread(self._recoveries.stop)
        if self.ipc is not None:
            await self.ipc.stop(self.settings.stop_grace_ms / 1000)
        await asyncio.to_thread(self._checks.stop)
        await asyncio.to_thread(self.scanner.stop)
        await asyncio.to_thread(self.store.close)
        event(logging.INFO, "stopped", uuid=self._uuid)

    def registration(self) -> pb.Register:
        """What a namenode is told at the beginning of a stream; the session adds the proof."""
        identity = self.identity()
        return pb.Register(
            cluster_id=self.store.pool.cluster_id if self.store.pool is not None else "",
            hostname=identity.hostname,
            ip=identity.ip,
            xfer_port=identity.xfer_port,
            info_port=identity.info_port,
            ipc_port=identity.ipc_port,
            location=self.settings.location,
            storages=storage_messages(self.store.reports()),
            started_at_ms=self.started_at_ms,
        )

    def ailments(self) -> list[str]:
        """Why it is of no or little use at the moment; empty when all is well."""
        lost = [session.address for session in self._sessions if not session.registered.is_set()]
        failed = [str(volume.root) for volume in self._volumes if volume.failed]
        return [
            *(f"not registered with namenode {each}" for each in lost),
            *(f"volume {each} failed" for each in failed),
        ]

    async def joined(self, registered: pb.Registered) -> None:
        """Takes cluster, pool, place and topology from a namenode.

        Raises:
            RegistrationRefused: a volume belongs to another cluster.
        """
        pool = PoolIdentity(
            registered.cluster_id, PoolId(registered.pool_id), registered.namespace_id, registered.created_at_ms
        )
        async with self._joining:
            await asyncio.to_thread(self.store.open_pool, pool, self._uuid)
        self.scanner.start()
        own = Location.parse(registered.location) if registered.location else None
        self.ledger.update(_resolver(registered.topology), own)
        self._epoch = max(self._epoch, registered.epoch)
        if self._recoveries is not None:
            self._recoveries.joined(registered.generation_stamp)

    def heartbeat(self, sequence: int) -> pb.Heartbeat:
        return pb.Heartbeat(
            sequence=sequence,
            storages=storage_messages(self.store.reports()),
            xceivers=self.transfer_server.active,
            traffic=traffic_messages(self.ledger.counter),
            transfers_running=self.transfers_running,
        )

    def replicas(self) -> list[tuple[StorageId, list[tuple[Block, ReplicaState, int]]]]:
        return [(volume.storage_id, self.store.columns(volume.storage_id)) for volume in self.store.disks.usable()]

    def damaged(self) -> list[ReplicaChange]:
        return self.store.damaged()

    def carry_out(self, command: pb.FromNamenode, epoch: int, answer: Callable[[pb.FromDatanode], None]) -> None:
        """Starts what a namenode orders, unless a later one has been heard of."""
        kind = command.WhichOneof("body")
        if epoch < self._epoch:
            event(logging.WARNING, "command_of_deposed_namenode", kind=kind, epoch=epoch, current=self._epoch)
        elif kind == "topology":
            self.ledger.update(_resolver(command.topology), None)
        elif kind == "balancer_bandwidth":
            self.balancer_bandwidth_bytes_per_s = command.balancer_bandwidth.bytes_per_s
            event(logging.INFO, "balancer_bandwidth", bytes_per_s=self.balancer_bandwidth_bytes_per_s)
        elif self._commands is not None and kind in ("transfer", "invalidate"):
            self._commands.start(command, answer)
        elif self._recoveries is not None and kind in ("init_recovery", "update_replica"):
            self._recoveries.start(command, answer)
        else:
            event(logging.WARNING, "command_unknown", kind=kind)

    def _count(self, change: ReplicaChange) -> None:
        if change.kind is ChangeKind.RECEIVED:
            self.ledger.tally.add(Counted.BLOCKS_WRITTEN)

    def listen(self, listener: Callable[[ReplicaChange], None]) -> None:
        self.store.add_listener(listener)

    def forget(self, listener: Callable[[ReplicaChange], None]) -> None:
        self.store.remove_listener(listener)

    def evict_writers(self) -> None:
        """Ends every write of a block that goes through this datanode."""
        event(logging.WARNING, "writers_evicted", count=self.transfer_server.evict_writers())

    def shut_down(self) -> None:
        """An administrator has it stop."""
        event(logging.WARNING, "shutdown_asked")
        self.stopping.set()

    def request_report(self) -> None:
        """Sends a full report to every namenode."""
        for session in self._sessions:
            session.request_report()

    def _open_volumes(self) -> None:
        refused = {}
        for volume in self._volumes:
            try:
                volume.open()
            except (OSError, CorruptStore) as error:
                refused[volume] = error
                self.store.disks.fail(volume, error)
        self._require_volumes("; ".join(str(error) for error in refused.values()))
        known = {volume.datanode_uuid for volume in self._volumes if volume.datanode_uuid}
        if len(known) > 1:
            owners = ", ".join(f"{volume.root}: {volume.datanode_uuid}" for volume in self._volumes)
            raise ConfigurationError(f"data_dirs belong to several datanodes ({owners}): give each its own")
        if known:
            self._uuid = known.pop()
        pools = [pool for volume in self.store.disks.usable() if (pool := volume.stored_pool()) is not None]
        if any(pool != pools[0] for pool in pools):
            owners = ", ".join(f"{volume.root}: {volume.cluster_id or 'none'}" for volume in self._volumes)
            raise ConfigurationError(
                f"data_dirs belong to several clusters ({owners}): give each cluster its own directories"
            )
        if pools:
            self.store.open_pool(pools[0], self._uuid)
            self._require_volumes("see the volumes' own lines above")
            self.scanner.start()

    def _require_volumes(self, reason: str) -> None:
        """Raises VolumeFailed when fewer volumes are left than the settings ask for."""
        failed, most = [volume for volume in self._volumes if volume.failed], self.settings.failed_volumes_tolerated
        left = len(self._volumes) - len(failed)
        if failed and (not left or 0 <= most < len(failed)):
            raise VolumeFailed(
                f"{len(failed)} of {len(self._volumes)} data directories cannot be used "
                f"({', '.join(str(volume.root) for volume in failed)}), failed_volumes_tolerated is {most} and one "
                f"must be left: {reason}"
            )

    def _watch_volumes(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ruined = loop.create_future()

        def told(_: Volume) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._volume_failed)

        self.store.disks.on_failed.append(told)
        self._checks.start()

    def _volume_failed(self) -> None:
        """Tells the namenodes at once, and ends when too few volumes are left."""
        for session in self._sessions:
            session.request_heartbeat()
        try:
            self._require_volumes("repair or replace the disks, or take the directories out of data_dirs")
        except VolumeFailed as error:
            if self._ruined is not None and not self._ruined.done():
                self._ruined.set_exception(error)

    async def _start_ipc(self) -> None:
        handlers = ClientDatanodeHandlers(self.settings, self.store, self)
        self.ipc = RpcServer({CLIENT_DATANODE_PROTOCOL: handlers.table()}, _authenticate)
        _, self.ipc_port = await self.ipc.start(self.settings.host, self.settings.ipc_port)


def _resolver(topology: pb.Topology) -> IdcResolver:
    return IdcResolver((rule.network, Location.parse(rule.location)) for rule in topology.rules)


def _authenticate(connection: ConnectionInfo) -> Principal:
    """The caller's word is taken for who it is; what only a superuser may ask says so itself."""
    return Principal(connection.user, real_user=connection.real_user)
