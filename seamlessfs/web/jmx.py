"""/jmx: figures in the form in which HDFS's daemons give theirs, for monitoring that reads those.

Wire: `{"beans": [{"name": ..., "modelerType": ..., attribute: value ...}]}`. `?qry=` is a pattern of names as Java's
ObjectName has them, `?get=NAME::ATTRIBUTE` one attribute. Observed of stock 3.3.6, its status 200 for errors included.
"""

from __future__ import annotations

import gc
import json
import re
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from aiohttp import web

from seamlessfs.net.rpc_server import RpcServer
from seamlessfs.web.server import Page

MIB = 1 << 20
_NS_PER_MS = 1e6
Attributes = Mapping[str, Any]


class Bean(NamedTuple):
    """One object that is shown. `read` is called only when somebody asks for it."""

    name: str
    modeler_type: str
    read: Callable[[], Attributes]


def jmx_page(beans: Iterable[Bean]) -> Page:
    """Shows these beans."""
    known = tuple(beans)

    async def page(request: web.BaseRequest) -> web.Response:
        text = json.dumps(answer(known, request.query), indent=2, separators=(",", " : "))
        return web.Response(text=text, content_type="application/json")

    return page


def answer(beans: Iterable[Bean], query: Mapping[str, str]) -> dict[str, Any]:
    """What a request with these parameters is told."""
    if (wanted := query.get("get")) is not None:
        name, separator, attribute = wanted.partition("::")
        if not separator or not name or not attribute or "::" in attribute:
            return {"result": "ERROR", "message": "query format is not as expected."}
        return _shown(beans, name, attribute)
    return _shown(beans, query.get("qry", ""), None)


def _shown(beans: Iterable[Bean], pattern: str, attribute: str | None) -> dict[str, Any]:
    chosen = matcher(pattern or "*:*")
    if chosen is None:
        return {}
    return {"beans": [_bean(bean, attribute) for bean in beans if chosen(bean.name)]}


def _bean(bean: Bean, attribute: str | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": bean.name, "modelerType": bean.modeler_type}
    values = bean.read()
    if attribute is None:
        return {**shown, **values}
    if values.get(attribute) is None:
        return {**shown, "result": "ERROR", "message": f"No attribute with name {attribute} was found."}
    return {**shown, attribute: values[attribute]}


def matcher(pattern: str) -> Callable[[str], bool] | None:
    """Whether a name fits `domain:key=value,...`, in any order of keys; None for what is no such pattern.

    `*` and `?` stand for characters of the domain or a value; a `*` in place of a key and value for any others.
    """
    domain, colon, rest = pattern.partition(":")
    parts = rest.split(",") if rest else []
    keys = dict(part.split("=", 1) for part in parts if "=" in part)
    open_ended = "*" in parts
    if not colon or not parts or len(keys) + open_ended != len(parts):
        return None
    wanted = {key: _glob(value) for key, value in keys.items()}
    wanted_domain = _glob(domain)

    def fits(name: str) -> bool:
        own_domain, _, own = name.partition(":")
        values = dict(part.split("=", 1) for part in own.split(","))
        return (
            wanted_domain.fullmatch(own_domain) is not None
            and (open_ended or values.keys() == wanted.keys())
            and all(key in values and one.fullmatch(values[key]) for key, one in wanted.items())
        )

    return fits


def _glob(pattern: str) -> re.Pattern[str]:
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in re.split(r"([*?])", pattern))
    return re.compile("".join(parts), re.DOTALL)


def rpc_activity(service: str, protocol: str, rpc: RpcServer) -> Bean:
    """The bean of an RPC port that listens. Units: milliseconds."""
    name = f"RpcActivityForPort{rpc.port}"

    def read() -> Attributes:
        took = [served.took for methods in rpc.services.values() for served in methods.values()]
        count = sum(histogram.count for histogram in took)
        return {
            "tag.port": str(rpc.port),
            "tag.serverName": protocol,
            "tag.Context": "rpc",
            "tag.Hostname": socket.gethostname(),
            "RpcQueueTimeNumOps": rpc.waited.count,
            "RpcQueueTimeAvgTime": rpc.waited.mean / _NS_PER_MS,
            "RpcProcessingTimeNumOps": count,
            "RpcProcessingTimeAvgTime": sum(histogram.total for histogram in took) / (count or 1) / _NS_PER_MS,
            "TotalRequests": rpc.calls,
            "NumOpenConnections": rpc.connections,
            "NumDroppedConnections": sum(rpc.refusals.values()),
            "CallQueueLength": rpc.queue,
        }

    return Bean(f"Hadoop:service={service},name={name}", name, read)


def process_metrics(service: str) -> Bean:
    """What JvmMetrics says that a Python process has too: its memory, threads and garbage collections."""

    def read() -> Attributes:
        return {
            "tag.Context": "jvm",
            "tag.ProcessName": service,
            "tag.SessionId": None,
            "tag.Hostname": socket.gethostname(),
            "MemHeapUsedM": _resident_bytes() / MIB,
            "GcCount": sum(generation["collections"] for generation in gc.get_stats()),
            "ThreadsRunnable": threading.active_count(),
        }

    return Bean(f"Hadoop:service={service},name=JvmMetrics", "JvmMetrics", read)


def _resident_bytes() -> float:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        found = re.search(r"^VmRSS:\s+(\d+) kB", status.read(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
