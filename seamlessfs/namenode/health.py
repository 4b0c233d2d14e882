"""Every queue of the namenode with its bound, and the oldest of what should not wait: for operators and for the log."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from seamlessfs.blocks.workload import Gauge, Waiting, gauges, waiting
from seamlessfs.model.ids import InodeId
from seamlessfs.namenode.core import Core, mono_ms
from seamlessfs.namenode.events import event
from seamlessfs.namenode.sessions import HANDSHAKES_MAX, OUTBOX_MAX, ControlService
from seamlessfs.net.rpc_server import RpcServer

LOG = logging.getLogger(__name__)
LOOK_INTERVAL_S = 10.0


class Oldest(NamedTuple):
    """The oldest of its kind. It is stuck when its age is over the limit. Units: milliseconds."""

    kind: str
    what: str
    age_ms: int
    limit_ms: int
    detail: str = ""

    @property
    def stuck(self) -> bool:
        return self.age_ms > self.limit_ms


class Health:
    """What waits, and since when.

    Args:
        rpc: the clients' server, once there is one.
    """

    def __init__(self, core: Core, control: ControlService) -> None:
        self.core = core
        self.rpc: RpcServer | None = None
        self._control = control
        self._limit_ms = core.settings.stuck_after_ms
        self._reaping: tuple[InodeId | None, int] = (None, 0)
        self._stuck: dict[tuple[str, str], None] = {}

    def queues(self) -> list[Gauge]:
        """Cost: datanodes and storages, never blocks."""
        core, sessions = self.core, self._control.sessions
        writer, namespace = core.writer, core.namespace
        commands = sum(session.outbox_length for session in sessions.values())
        found = [
            Gauge("operations_waiting", writer.waiting_operations, writer.limits.waiting_operations),
            Gauge("bytes_behind_the_store", writer.unapplied_bytes, writer.limits.apply.backlog_bytes),
            Gauge("answers_kept_for_retries", len(namespace.retries)),
            Gauge("lease_holders", len(namespace.leases)),
            Gauge("recoveries", len(core.recoveries())),
            *gauges(core.blocks),
            Gauge("commands_to_datanodes", commands, len(sessions) * OUTBOX_MAX),
            Gauge("datanodes_registering", self._control.handshakes, HANDSHAKES_MAX),
        ]
        if self.rpc is not None:
            found.append(Gauge("client_connections", self.rpc.connections, core.settings.connections_max))
            found.append(Gauge("calls_running", self.rpc.queue))
        return found

    def oldest(self) -> list[Oldest]:
        """The oldest of each kind that there is."""
        core = self.core
        some, now_ms = self._waiting(), mono_ms()
        found = [Oldest(one.kind, one.what, now_ms - one.since_ms, self._limit_ms, one.detail) for one in some]
        silent = core.namespace.leases.most_silent(core.clock.now_ms())
        if silent is not None:
            limit_ms = core.settings.lease_hard_limit_ms + self._limit_ms
            found.append(Oldest("lease", f"holder {silent[0]}", silent[1], limit_ms))
        return found

    def _waiting(self) -> list[Waiting]:
        found = waiting(self.core.blocks)
        for recovery in self.core.recoveries()[:1]:
            detail = f"block {recovery.block_id}: {recovery.reason}"
            found.append(Waiting("recovery", f"inode {recovery.inode_id}", recovery.since_mono_ms, detail))
        first = self.core.namespace.first_removed(self.core.view())
        if first != self._reaping[0]:
            self._reaping = first, mono_ms()
        if first is not None:
            found.append(Waiting("removal", f"inode {first}", self._reaping[1], "deleted, its blocks are not"))
        return found

    def look(self) -> None:
        """Tells the log, once each, what has become stuck and what goes on."""
        stuck = {(each.kind, each.what): each for each in self.oldest() if each.stuck}
        for key, each in stuck.items():
            if key not in self._stuck:
                event(LOG, "stuck", logging.WARNING, **each._asdict())
        for kind, what in self._stuck.keys() - stuck.keys():
            event(LOG, "not_stuck_any_more", kind=kind, what=what)
        self._stuck = dict.fromkeys(stuck)

    async def run(self) -> None:
        """Looks from time to time, until cancelled."""
        while True:
            await asyncio.sleep(min(LOOK_INTERVAL_S, self._limit_ms / 1000))
            self.look()
