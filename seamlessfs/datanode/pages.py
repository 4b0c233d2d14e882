"""What a datanode's web port answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from seamlessfs.datanode.beans import DatanodeBeans
from seamlessfs.datanode.metrics import DatanodeMetrics
from seamlessfs.web.health import health_page
from seamlessfs.web.jmx import jmx_page
from seamlessfs.web.prometheus import metrics_page
from seamlessfs.web.server import Page

if TYPE_CHECKING:
    from seamlessfs.datanode.daemon import Datanode


def datanode_pages(datanode: Datanode) -> Mapping[str, Page]:
    """Pages by path, of a datanode whose other ports listen."""
    return {
        "/healthz": health_page(datanode.ailments),
        "/metrics": metrics_page(DatanodeMetrics(datanode)),
        "/jmx": jmx_page(DatanodeBeans(datanode)),
    }
