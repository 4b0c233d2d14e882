"""The namenode's process: puts the parts together, runs until SIGTERM, stops cleanly."""

from __future__ import annotations

import asyncio
import faulthandler
import fcntl
import getpass
import json
import logging
import os
import random
import re
import secrets
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
import uvloop

from seamlessfs.blocks.manager import BlockManager
from seamlessfs.blocks.reports import Counters
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.blocks.topology import Topology
from seamlessfs.config.namenode import NamenodeSettings
from seamlessfs.journal.embedded import EmbeddedJournal
from seamlessfs.log import configure
from seamlessfs.model.cluster import Link
from seamlessfs.model.errors import ConfigurationError, CorruptStore
from seamlessfs.model.ids import PoolId
from seamlessfs.model.principal import Principal
from seamlessfs.namenode.admin_calls import AdminCalls
from seamlessfs.namenode.audit import audited
from seamlessfs.namenode.audit_file import AuditFile
from seamlessfs.namenode.core import Core, mono_ms, wall_ms
from seamlessfs.namenode.events import event
from seamlessfs.namenode.explain_calls import ExplainCalls
from seamlessfs.namenode.file_calls import FileCalls
from seamlessfs.namenode.fsck.lost_found import LostFound
from seamlessfs.namenode.fsck.page import fsck_page
from seamlessfs.namenode.health import Health
from seamlessfs.namenode.locate import Locator
from seamlessfs.namenode.marker import VERSION_NAME, require_same, write_marker
from seamlessfs.namenode.monitor import Monitor
from seamlessfs.namenode.pages import namenode_pages
from seamlessfs.namenode.path_calls import PathCalls
from seamlessfs.namenode.pipeline_calls import PipelineCalls
from seamlessfs.namenode.placement_calls import PlacementCalls
from seamlessfs.namenode.recovery import LeaseRecoverer
from seamlessfs.namenode.refresh import (
    Refresher,
    Reread,
    default_home,
    fixed_groups,
    host_lists,
    proxy_rules,
    topology_rules,
)
from seamlessfs.namenode.safe_mode import guarded
from seamlessfs.namenode.service_calls import ServiceCalls
from seamlessfs.namenode.sessions import STREAM_OPTIONS, ControlService
from seamlessfs.namenode.writer import Writer
from seamlessfs.namespace import counters
from seamlessfs.namespace.context import Context, NamespaceLimits
from seamlessfs.namespace.namespace import Namespace
from seamlessfs.net.listening import require_free
from seamlessfs.net.rpc_server import RpcLimits, RpcServer
from seamlessfs.security.groups import GroupResolver
from seamlessfs.security.secret import load_secret
from seamlessfs.security.users import Users
from seamlessfs.store.lmdb import LmdbStore
from seamlessfs.store.records import ClusterIdentity
from seamlessfs.web.server import HttpServer
from seamlessfs.wire.pb.seamless import control_pb2_grpc
from seamlessfs.wire.rpc.protocols import (
    CLIENT_PROTOCOL,
    GET_USER_MAPPINGS_PROTOCOL,
    NAMENODE_PROTOCOL,
    PLACEMENT_PROTOCOL,
    PROTOCOLS,
    RECONFIGURATION_PROTOCOL,
    REFRESH_AUTHORIZATION_PROTOCOL,
    REFRESH_CALL_QUEUE_PROTOCOL,
    REFRESH_USER_MAPPINGS_PROTOCOL,
)

LOG = logging.getLogger("seamlessfs.namenode")
STOP_GRACE_S = 3.0
ADMIN_PROTOCOLS = (
    NAMENODE_PROTOCOL,
    RECONFIGURATION_PROTOCOL,
    REFRESH_AUTHORIZATION_PROTOCOL,
    REFRESH_CALL_QUEUE_PROTOCOL,
    REFRESH_USER_MAPPINGS_PROTOCOL,
)


def run(reread: Reread) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code.

    Args:
        reread: reads the settings, now and again when an administrator says so.
    """
    settings = reread()
    faulthandler.enable()  # a page of the store that the disk cannot give kills the process: the log says where
    configure(settings.log_format)
    return uvloop.run(_serve(settings, reread))


async def _serve(settings: NamenodeSettings, reread: Reread) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        namenode = Namenode(settings, reread)
        await namenode.start()
    except OSError as error:
        event(LOG, "start_failed", logging.ERROR, error=error)
        return 1
    code = await namenode.run_until(stop)
    await namenode.stop()
    return code


class Namenode:
    """All parts of one namenode."""

    def __init__(self, settings: NamenodeSettings, reread: Reread | None = None) -> None:
        self.settings = settings
        self.reread: Reread = reread or (lambda: settings)
        self.secret = load_secret(settings.cluster_secret_file)
        self.rules = topology_rules(settings)
        self.lists = host_lists(settings)
        require_free(settings.rpc_host, settings.rpc_port, "rpc_port")
        require_free(settings.control_host, settings.control_port, "control_port")
        require_free(settings.http_host, settings.http_port, "http_port")
        for name, path in (("port_file", settings.port_file), ("audit_log_file", settings.audit_log_file)):
            if path is not None and not path.absolute().parent.is_dir():
                raise ConfigurationError(f"{name} {path}: its folder does not exist; make it first")
        self.lock = _lock(settings.data_dir)

    async def start(self) -> None:
        """Opens the namespace (formatting an empty folder), then listens; the port file is written last."""
        settings = self.settings
        superuser = settings.superuser or getpass.getuser()
        limits = _limits(settings)
        store = LmdbStore(settings.data_dir / "store", settings.map_size_bytes)
        try:
            self.writer = await Writer.open(store, EmbeddedJournal(settings.data_dir / "journal"))
        except CorruptStore as error:
            raise CorruptStore(f"data_dir {settings.data_dir}: {error}") from error
        identity = Namespace.identity(self.writer.view())
        marker = settings.data_dir / VERSION_NAME
        require_same(marker, identity)
        if identity is None:
            identity = _new_identity(settings.rpc_host)
            context = Context(wall_ms(), Principal(superuser, superuser=True), limits, steady_ms=wall_ms())
            await self.writer.submit(lambda tx: Namespace.format(tx, context, identity))
            event(LOG, "formatted", cluster=identity.cluster_id, pool=identity.pool_id)
        elif not Namespace.is_counted(self.writer.view()):
            count = await self.writer.with_snapshot(Namespace.count_blocks)
            await self.writer.submit(lambda tx: Namespace.set_count(tx, count))
        if not marker.exists():
            write_marker(marker, identity)
        namespace = Namespace(identity.pool_id, limits)
        namespace.load(self.writer.view())
        self.writer.before_seal.append(namespace.settle)
        topology = Topology(self.rules, default_home(settings, self.rules))
        policies = {policy.id: policy for policy in namespace.storage_policies(self.writer.view())}
        blocks = BlockManager(
            topology,
            policies.__getitem__,
            random.Random(),  # noqa: S311 - it spreads load, and is asked for each replica that is read
            _block_settings(settings),
            counters=self._counters,
            complete=lambda block_id: namespace.complete_version(self.writer.view(), block_id),
        )
        blocks.membership.replace(self.lists)
        self.core = Core(settings, self.writer, namespace, blocks, topology, limits, identity, superuser)
        self.core.standstill.look()
        groups = GroupResolver(fixed_groups(settings))
        self.audit = _audit_file(settings)
        self.control = ControlService(self.core, self.secret)
        self.recoverer = LeaseRecoverer(self.core)
        self.health = Health(self.core, self.control)
        self.monitor = Monitor(self.core, self.health)
        self.users = users = Users(groups, superuser, settings.supergroup, proxy_rules(settings))
        self.rpc = RpcServer(
            self._handlers(groups, users),
            lambda who: users.principal(who.user, who.real_user, who.peer[0], mono_ms()),
            RpcLimits(
                connections_max=settings.connections_max,
                connections_per_address=settings.connections_per_address,
                connections_per_user=settings.connections_per_user,
                calls_per_connection=settings.calls_per_connection,
                calls_per_user=settings.calls_per_user,
            ),
        )
        self.health.rpc = self.rpc
        await self._listen()

    def _counters(self) -> Counters:
        known = counters.read(self.writer.view())
        return Counters(known.block, known.generation_stamp)

    def _handlers(self, groups: GroupResolver, users: Users) -> Mapping[str, Mapping[str, Callable[..., Any]]]:
        locator = Locator(self.core)
        service = ServiceCalls(self.core, groups)
        admin = AdminCalls(self.core, self.control, Refresher(self.reread, self.control, groups, users))
        files, paths = FileCalls(self.core, locator), PathCalls(self.core, locator)
        parts = (files, PipelineCalls(self.core), paths, service, admin)
        return {
            CLIENT_PROTOCOL: self._logged(guarded(self.core, handlers(CLIENT_PROTOCOL, *parts))),
            GET_USER_MAPPINGS_PROTOCOL: handlers(GET_USER_MAPPINGS_PROTOCOL, service),
            **{protocol: self._logged(handlers(protocol, admin)) for protocol in ADMIN_PROTOCOLS},
            PLACEMENT_PROTOCOL: handlers(
                PLACEMENT_PROTOCOL, PlacementCalls(self.core, self.control, self.health), ExplainCalls(self.core)
            ),
        }

    def _logged(self, calls: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
        return calls if self.audit is None else audited(self.core, self.audit, calls)

    async def _listen(self) -> None:
        settings = self.settings
        self.grpc = grpc.aio.server(options=STREAM_OPTIONS)
        control_pb2_grpc.add_ControlServicer_to_server(self.control, self.grpc)  # type: ignore[no-untyped-call]
        try:
            control_port = self.grpc.add_insecure_port(f"{settings.control_host}:{settings.control_port}")
        except RuntimeError as error:
            where = f"{settings.control_host}:{settings.control_port}"
            raise ConfigurationError(f"cannot listen on {where} for datanodes: {error}") from error
        await self.grpc.start()
        try:
            host, rpc_port = await self.rpc.start(settings.rpc_host, settings.rpc_port)
        except OSError as error:
            await self.grpc.stop(None)
            where = f"{settings.rpc_host}:{settings.rpc_port}"
            raise ConfigurationError(f"cannot listen on {where} for clients: {error.strerror or error}") from error
        pages = namenode_pages(self.core, self.control, self.health, self.rpc)
        check = fsck_page(self.core, self.users, LostFound((host, rpc_port)), self.audit)
        self.http = HttpServer({**pages, "/fsck": check})
        http_port = await self.http.start(settings.http_host, settings.http_port)
        event(
            LOG,
            "listening",
            rpc=f"{host}:{rpc_port}",
            control=f"{settings.control_host}:{control_port}",
            http=f"{settings.http_host}:{http_port}",
        )
        if settings.port_file is not None:
            ports = {"rpc": rpc_port, "control": control_port, "http": http_port}
            write_whole(settings.port_file, json.dumps(ports))

    async def run_until(self, stop: asyncio.Event) -> int:
        """Returns 0 when asked to stop, 1 when the writer or the monitor failed."""
        monitor = asyncio.create_task(self.monitor.run())
        failed = asyncio.create_task(self.writer.failed.wait())
        asked = asyncio.create_task(stop.wait())
        done, pending = await asyncio.wait((monitor, failed, asked), return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if asked in done:
            return 0
        fault = monitor.exception() if monitor in done else None
        cause = self.writer.failure if failed in done else fault
        event(LOG, "namenode_failed", logging.ERROR, exc_info=fault, cause=repr(cause))
        return 1

    async def stop(self) -> None:
        """Answers what is under way, then closes the namespace."""
        await self.http.stop()
        await self.rpc.stop(STOP_GRACE_S)
        for session in list(self.control.sessions.values()):
            session.end()
        await self.grpc.stop(1.0)
        await self.writer.close()
        if self.audit is not None:
            self.audit.close()
        os.close(self.lock)
        event(LOG, "stopped")


def handlers(protocol: str, *parts: object) -> dict[str, Callable[..., Any]]:
    """Method name on the wire -> the part's method of that name in snake case."""
    table: dict[str, Callable[..., Any]] = {}
    for method in PROTOCOLS[protocol]:
        name = re.sub(r"(?=[A-Z])", "_", method).lower()
        for part in parts:
            if hasattr(part, name):
                table[method] = getattr(part, name)
    return table


def write_whole(path: Path, text: str) -> None:
    """Writes a small file so that a reader sees all of it or nothing."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)


def _lock(folder: Path) -> int:
    """Keeps a second namenode off the same folder for the life of the process."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / "in_use.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"data_dir {folder} cannot be used: {error.strerror}; name a folder that this user may write to"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigurationError(f"{folder} is in use by another namenode; stop it or use another data_dir") from None
    return descriptor


def _new_identity(host: str) -> ClusterIdentity:
    now_ms = wall_ms()
    namespace_id = secrets.randbits(31) | 1
    pool = PoolId(f"BP-{secrets.randbits(31)}-{host}-{now_ms}")
    return ClusterIdentity(f"CID-{secrets.token_hex(16)}", pool, namespace_id, now_ms)


def _audit_file(settings: NamenodeSettings) -> AuditFile | None:
    path = settings.audit_log_file
    if path is None:
        return None
    try:
        return AuditFile(path, settings.audit_log_bytes, settings.audit_log_files)
    except OSError as error:
        raise ConfigurationError(f"audit_log_file {path} cannot be written: {error.strerror}") from error


def _limits(settings: NamenodeSettings) -> NamespaceLimits:
    return NamespaceLimits(
        listing_page=settings.listing_page,
        block_bytes_min=settings.min_block_size,
        replication_max=settings.max_replication,
        supergroup=settings.supergroup,
        permissions_enabled=settings.permissions_enabled,
        access_time_precision_ms=settings.access_time_precision_ms,
        soft_lease_ms=settings.lease_soft_limit_ms,
        hard_lease_ms=settings.lease_hard_limit_ms,
    )


def _block_settings(settings: NamenodeSettings) -> BlockSettings:
    rates = {Link(*name.split(">", 1)): rate for name, rate in settings.link_rates.items()}
    return BlockSettings(
        stale_after_ms=settings.stale_after_ms,
        dead_after_ms=settings.dead_after_ms,
        settle_ms=settings.settle_ms,
        link_rate_bytes_per_s=rates,
        default_link_rate_bytes_per_s=settings.link_rate_bytes_per_s,
        link_transfers_max=settings.transfers_per_link,
        sync_patience_ms=settings.sync_shortage_ms,
        report_turns_max=settings.report_turns_max,
        report_turn_ms=settings.report_turn_ms,
    )
