"""The commands of `dfsadmin` that talk to one datanode."""

from __future__ import annotations

import re
import sys

from google.protobuf.json_format import MessageToDict

from seamlessfs.cli.admin.call import FAILED, AdminCall, Usage
from seamlessfs.client.admin import DatanodeAdmin
from seamlessfs.model.errors import ConfigurationError, SeamlessError
from seamlessfs.model.java_text import size_text
from seamlessfs.wire.pb.hadoop.hdfs_pb2 import StorageTypeProto

REPORT_REFUSED = 1
_BANDWIDTH = re.compile(r"(-?\d+)([kmgtpe]?)", re.IGNORECASE)


def _datanode(call: AdminCall, address: str) -> DatanodeAdmin:
    return DatanodeAdmin(address, call.user)


class Unreachable(SeamlessError):
    """What is said of a datanode that does not answer as asked."""

    def __init__(self, error: SeamlessError) -> None:
        super().__init__(f"Datanode unreachable. {error}")


def info(call: AdminCall) -> int:
    try:
        found = _datanode(call, call.arguments[0]).fetch_info()
    except SeamlessError as error:
        raise Unreachable(error) from error
    if call.json:
        call.print_json(
            {"uptime_s": found.uptime, "software_version": found.softwareVersion, "config_version": found.configVersion}
        )
    else:
        print(
            f"Uptime: {found.uptime}, Software version: {found.softwareVersion}, Config version: {found.configVersion}"
        )
    return 0


def volumes(call: AdminCall) -> int:
    found = _datanode(call, call.arguments[0]).fetch_volumes()
    if call.json:
        call.print_json([MessageToDict(volume, preserving_proto_field_name=True) for volume in found])
        return 0
    print(f"Active Volumes : {len(found)}")
    for volume in found:
        print(f"\nDirectory: {volume.path}")
        print(f"StorageType: {StorageTypeProto.Name(volume.storageType)}")
        for name, size in (
            ("Capacity Used", volume.usedSpace),
            ("Capacity Left", volume.freeSpace),
            ("Capacity Reserved", volume.reservedSpace),
            ("Reserved Space for Replicas", volume.reservedSpaceForReplicas),
        ):
            print(f"{name}: {size}({size_text(size)})")
        print(f"Blocks: {volume.numBlocks}")
    return 0


def trigger_report(call: AdminCall) -> int:
    words = list(call.arguments)
    namenode = ""
    if "-namenode" in words:
        place = words.index("-namenode")
        if place + 1 == len(words):
            raise Usage
        namenode = f" to namenode {words[place + 1]}"
        del words[place : place + 2]
    incremental = "-incremental" in words
    words = [word for word in words if word != "-incremental"]
    address = next((word for word in words if not word.startswith("-")), None)
    if address is None:
        print("You must specify a host:port pair.", file=sys.stderr)
        return REPORT_REFUSED
    words.remove(address)
    if words:
        print(f"Can't understand arguments: {' '.join(words)}", file=sys.stderr)
        return REPORT_REFUSED
    try:
        _datanode(call, address).trigger_block_report(incremental=incremental)
    except ConfigurationError:
        raise
    except SeamlessError as error:
        print(f"triggerBlockReport error: {error}", file=sys.stderr)
        return REPORT_REFUSED
    print(f"Triggering {'an incremental' if incremental else 'a full'} block report on {address}{namenode}.")
    return 0


def set_bandwidth(call: AdminCall) -> int:
    match = _BANDWIDTH.fullmatch(call.arguments[0])
    if match is None:
        last = call.arguments[0][-1:]
        print(
            f"setBalancerBandwidth: Invalid size prefix '{last}' in '{call.arguments[0]}'. "
            "Allowed prefixes are k, m, g, t, p, e(case insensitive)",
            file=sys.stderr,
        )
        raise Usage
    bytes_per_s = int(match[1]) << 10 * " kmgtpe".index(match[2].lower() or " ")
    if bytes_per_s < 0:
        print("Bandwidth should be a non-negative integer", file=sys.stderr)
        return FAILED
    try:
        call.namenode.set_balancer_bandwidth(bytes_per_s)
    except SeamlessError:
        print("Balancer bandwidth is set failed.", file=sys.stderr)
        raise
    print(f"Balancer bandwidth is set to {bytes_per_s}")
    return 0


def bandwidth(call: AdminCall) -> int:
    try:
        found = _datanode(call, call.arguments[0]).fetch_balancer_bandwidth()
    except SeamlessError as error:
        raise Unreachable(error) from error
    print(f"Balancer bandwidth is {found} bytes per second.")
    return 0


def evict_writers(call: AdminCall) -> int:
    try:
        _datanode(call, call.arguments[0]).evict_writers()
    except SeamlessError as error:
        raise Unreachable(error) from error
    print(f"Requested writer eviction to datanode {call.arguments[0]}")
    return 0


def shut_down(call: AdminCall) -> int:
    if call.arguments[1:] and call.arguments[1].lower() != "upgrade":
        raise Usage
    _datanode(call, call.arguments[0]).shut_down(for_upgrade=bool(call.arguments[1:]))
    print(f"Submitted a shutdown request to datanode {call.arguments[0]}")
    return 0
