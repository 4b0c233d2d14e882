"""`dfsadmin -report` and `-printTopology`: how full the cluster is, and who is in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict

from seamlessfs.cli.generic import host_name
from seamlessfs.client.admin import NamenodeAdmin
from seamlessfs.model.java_text import date_text, fixed_text, float_percent, percent_text, size_text
from seamlessfs.wire.convert.integers import to_signed
from seamlessfs.wire.pb.hadoop.hdfs_pb2 import DatanodeInfoProto

DEFAULT_RACK = "/default-rack"
KINDS = (
    ("-live", "LIVE", "Live"),
    ("-dead", "DEAD", "Dead"),
    ("-decommissioning", "DECOMMISSIONING", "Decommissioning"),
    ("-enteringmaintenance", "ENTERING_MAINTENANCE", "Entering maintenance"),
    ("-inmaintenance", "IN_MAINTENANCE", "In maintenance"),
)
"""Flag, kind on the wire, heading."""
SLOW_FLAG = "-slownodes"

STATES = {
    DatanodeInfoProto.NORMAL: ("Normal", "In Service"),
    DatanodeInfoProto.DECOMMISSION_INPROGRESS: ("Decommission in progress", "Decommission In Progress"),
    DatanodeInfoProto.DECOMMISSIONED: ("Decommissioned", "Decommissioned"),
    DatanodeInfoProto.ENTERING_MAINTENANCE: ("Entering maintenance", "Entering Maintenance"),
    DatanodeInfoProto.IN_MAINTENANCE: ("In maintenance", "In Maintenance"),
}
"""State as a report and as the topology words it."""


def report(admin: NamenodeAdmin, flags: Sequence[str]) -> Iterator[str]:
    """The lines of a report; flags choose kinds of datanodes, none stands for all kinds that there are."""
    yield from _space(admin)
    yield from _blocks(admin)
    yield ""
    yield "-" * 49
    known = {flag for flag, _, _ in KINDS} | {SLOW_FLAG}
    chosen = known & set(flags)
    for flag, kind, heading in KINDS:
        if not chosen or flag in chosen:
            yield from _datanodes(heading, admin.fetch_datanodes(kind), flag in chosen)
    if SLOW_FLAG in chosen:
        yield from _datanodes("Slow", admin.fetch_slow_datanodes(), True)


def _space(admin: NamenodeAdmin) -> Iterator[str]:
    stats = admin.fetch_stats()
    if admin.set_safe_mode("SAFEMODE_GET"):
        yield "Safe mode is ON"
        if stats.blocks_in_future:
            yield "\nWARNING: "
            yield "Name node has detected blocks with generation stamps in future."
            yield f"Forcing exit from safemode will cause {stats.blocks_in_future} byte(s) to be deleted."
            yield (
                "If you are sure that the NameNode was started with the correct metadata files then you may proceed "
                "with '-safemode forceExit'\n"
            )
    present = stats.used + stats.remaining
    for name, size in (
        ("Configured Capacity", stats.capacity),
        ("Present Capacity", present),
        ("DFS Remaining", stats.remaining),
        ("DFS Used", stats.used),
    ):
        yield _sized(name, size)
    yield f"DFS Used%: {percent_text(stats.used, present)}"


def _blocks(admin: NamenodeAdmin) -> Iterator[str]:
    blocks = admin.fetch_block_stats()
    urgent = "\tLow redundancy blocks with highest priority to recover: "
    yield "Replicated Blocks:"
    yield f"\tUnder replicated blocks: {blocks.low_redundancy}"
    yield f"\tBlocks with corrupt replicas: {blocks.corrupt_blocks}"
    yield f"\tMissing blocks: {blocks.missing_blocks}"
    yield f"\tMissing blocks (with replication factor 1): {blocks.missing_repl_one_blocks}"
    if blocks.HasField("highest_prio_low_redundancy_blocks"):
        yield f"{urgent}{blocks.highest_prio_low_redundancy_blocks}"
    yield f"\tPending deletion blocks: {blocks.pending_deletion_blocks}"
    groups = admin.fetch_group_stats()
    yield "Erasure Coded Block Groups: "
    yield f"\tLow redundancy block groups: {groups.low_redundancy}"
    yield f"\tBlock groups with corrupt internal blocks: {groups.corrupt_blocks}"
    yield f"\tMissing block groups: {groups.missing_blocks}"
    if groups.HasField("highest_prio_low_redundancy_blocks"):
        yield f"{urgent}{groups.highest_prio_low_redundancy_blocks}"
    yield f"\tPending deletion blocks: {groups.pending_deletion_blocks}"


def _datanodes(heading: str, infos: Sequence[DatanodeInfoProto], asked_for: bool) -> Iterator[str]:
    if infos or asked_for:
        yield f"{heading} datanodes ({len(infos)}):\n"
    for info in infos:
        yield from _datanode(info)
        yield "\n"


def _datanode(info: DatanodeInfoProto) -> Iterator[str]:
    yield f"Name: {_name(info)} ({host_name(info.id.ipAddr)})"
    yield f"Hostname: {info.id.hostName}"
    if info.location not in ("", DEFAULT_RACK):
        yield f"Rack: {info.location}"
    if info.upgradeDomain:
        yield f"Upgrade domain: {info.upgradeDomain}"
    yield f"Decommission Status : {STATES[info.adminState][0]}"
    cache_left = info.cacheCapacity - info.cacheUsed
    for name, size in (
        ("Configured Capacity", info.capacity),
        ("DFS Used", info.dfsUsed),
        ("Non DFS Used", _non_dfs(info)),
        ("DFS Remaining", info.remaining),
    ):
        yield _sized(name, size)
    yield f"DFS Used%: {_share(info.dfsUsed, info.capacity, 100.0)}"
    yield f"DFS Remaining%: {_share(info.remaining, info.capacity, 0.0)}"
    for name, size in (
        ("Configured Cache Capacity", info.cacheCapacity),
        ("Cache Used", info.cacheUsed),
        ("Cache Remaining", cache_left),
    ):
        yield _sized(name, size)
    yield f"Cache Used%: {_share(info.cacheUsed, info.cacheCapacity, 100.0)}"
    yield f"Cache Remaining%: {_share(cache_left, info.cacheCapacity, 0.0)}"
    yield f"Xceivers: {info.xceiverCount}"
    yield f"Last contact: {date_text(to_signed(info.lastUpdate))}"
    reported = to_signed(info.lastBlockReportTime)
    yield f"Last Block Report: {date_text(reported) if reported else 'Never'}"
    yield f"Num of Blocks: {info.numBlocks}"


def _name(info: DatanodeInfoProto) -> str:
    return f"{info.id.ipAddr}:{info.id.xferPort}"


def _non_dfs(info: DatanodeInfoProto) -> int:
    if info.HasField("nonDfsUsed"):
        return info.nonDfsUsed
    return max(0, info.capacity - info.dfsUsed - info.remaining)


def _sized(name: str, size_bytes: int) -> str:
    return f"{name}: {size_bytes} ({size_text(size_bytes)})"


def _share(part: int, whole: int, of_nothing: float) -> str:
    return f"{fixed_text(float_percent(part, whole) if whole > 0 else of_nothing)}%"


def report_dict(admin: NamenodeAdmin) -> dict[str, Any]:
    """The report as JSON has it: the wire's names, sizes in bytes, times in milliseconds."""
    return {
        "safe_mode": admin.set_safe_mode("SAFEMODE_GET"),
        "stats": _dict(admin.fetch_stats()),
        "blocks": _dict(admin.fetch_block_stats()),
        "live": [datanode_dict(info) for info in admin.fetch_datanodes("LIVE")],
        "dead": [datanode_dict(info) for info in admin.fetch_datanodes("DEAD")],
    }


def datanode_dict(info: DatanodeInfoProto) -> dict[str, Any]:
    return {"name": _name(info), **_dict(info)}


def _dict(message: Any) -> dict[str, Any]:
    """Numbers as numbers: protobuf's own form has those of 64 bits as texts."""
    shown = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return {key: int(value) if isinstance(value, str) and value.isdigit() else value for key, value in shown.items()}


def topology(infos: Sequence[DatanodeInfoProto]) -> Iterator[str]:
    """A tree of racks, both levels sorted."""
    if not infos:
        yield "No DataNodes"
        return
    for rack, names in sorted(racks(infos).items()):
        yield f"Rack: {rack}"
        yield from (f"   {name}" for name in names)
        yield ""


def racks(infos: Sequence[DatanodeInfoProto]) -> dict[str, list[str]]:
    """Datanodes by rack, with the name and the state of each."""
    found: dict[str, list[str]] = {}
    for info in sorted(infos, key=_name):
        shown = f"{_name(info)} ({host_name(info.id.ipAddr)}) {STATES[info.adminState][1]}"
        found.setdefault(info.location, []).append(shown)
    return found
