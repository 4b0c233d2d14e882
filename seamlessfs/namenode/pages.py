"""What the namenode's web port answers."""

from __future__ import annotations

from collections.abc import Mapping

from seamlessfs.namenode.beans import NamenodeBeans
from seamlessfs.namenode.core import Core
from seamlessfs.namenode.health import Health
from seamlessfs.namenode.metrics import NamenodeMetrics
from seamlessfs.namenode.sessions import ControlService
from seamlessfs.net.rpc_server import RpcServer
from seamlessfs.web.health import health_page
from seamlessfs.web.jmx import jmx_page
from seamlessfs.web.prometheus import metrics_page
from seamlessfs.web.server import Page


def namenode_pages(core: Core, control: ControlService, health: Health, rpc: RpcServer) -> Mapping[str, Page]:
    """Pages by path, of a namenode whose other ports listen."""
    return {
        "/healthz": health_page(lambda: ailments(core, health)),
        "/metrics": metrics_page(NamenodeMetrics(core, control, health, rpc)),
        "/jmx": jmx_page(NamenodeBeans(core, rpc)),
    }


def ailments(core: Core, health: Health) -> list[str]:
    """Why clients or operators should worry; empty when all is well."""
    found = [f"the writer failed: {core.writer.failure}"] if core.writer.failure is not None else []
    if core.safe_mode:
        found.append(f"safe mode: {core.standstill.why().splitlines()[0]}")
    stuck = [each for each in health.oldest() if each.stuck]
    return found + [f"stuck: {each.kind} of {each.what} for {each.age_ms / 1000:.0f} s" for each in stuck]
