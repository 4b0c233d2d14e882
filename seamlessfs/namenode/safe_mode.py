"""What safe mode means for calls: those that change the namespace wait for its end or are refused, reads go on.

By hand it ends with the process. Datanodes report as ever and what is owed goes on being copied, except at the start;
no lease runs out, and by hand what waits for the reaper keeps its blocks. At the start the reaper works: blocks of
files that are deleted are counted until it has come to them, and nobody reports them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from google.protobuf.message import Message

from seamlessfs.model.errors import SafeMode
from seamlessfs.namenode.core import Core, mono_ms
from seamlessfs.net.rpc_server import CallContext
from seamlessfs.wire.convert.blocks import extended_block_from_pb
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.pb.hadoop import hdfs_pb2

LOOK_AGAIN_MS = 200
"""A datanode that has registered is enough for a reader, and wakes nobody."""


def _block_name(block: hdfs_pb2.ExtendedBlockProto) -> str:
    named = extended_block_from_pb(block)
    return f"{named.pool_id}:blk_{named.block.id}_{named.block.generation_stamp}"


CANNOT: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {
        "create": lambda request: f"Cannot create file{request.src}",
        "mkdirs": lambda request: f"Cannot create directory {request.src}",
        "delete": lambda request: f"Cannot delete {request.src}",
        "rename": lambda request: f"Cannot rename {request.src}",
        "rename2": lambda request: f"Cannot rename {request.src}",
        "setPermission": lambda request: f"Cannot set permission for {request.src}",
        "setOwner": lambda request: f"Cannot set owner for {request.src}",
        "setTimes": lambda request: f"Cannot set times {request.src}",
        "setReplication": lambda request: f"Cannot set replication for {request.src}",
        "setStoragePolicy": lambda request: f"Cannot set storage policy for {request.src}",
        "unsetStoragePolicy": lambda request: f"Cannot unset storage policy for {request.src}",
        "addBlock": lambda request: f"Cannot add block to {request.src}",
        "abandonBlock": lambda request: f"Cannot abandon block {_block_name(request.b)} for file{request.src}",
        "complete": lambda request: f"Cannot complete file {request.src}",
        "fsync": lambda request: f"Cannot fsync file {request.src}",
        "renewLease": lambda request: f"Cannot renew lease for {request.clientName}",
        "recoverLease": lambda request: f"Cannot recover the lease of {request.src}",
        "updateBlockForPipeline": lambda request: (
            f"Cannot get a new generation stamp and an access token for block {_block_name(request.block)}"
        ),
        "getAdditionalDatanode": lambda request: (
            f"Cannot add datanode; src={request.src}, blk={_block_name(request.blk)}"
        ),
        "updatePipeline": lambda request: "Pipeline not updated",
    }
)
"""Calls that change the namespace, and how HDFS begins its refusal of each in safe mode."""


def guarded(core: Core, table: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The same handlers; those that change the namespace, or find no replica, heed safe mode."""
    heeding = {method: _guarded(core, table[method], CANNOT[method]) for method in CANNOT if method in table}
    if (locate := table.get("getBlockLocations")) is not None:
        heeding["getBlockLocations"] = _located(core, locate)
    return {**table, **heeding}


def refusal(core: Core, cannot: str) -> SafeMode:
    """The error of a call that must wait for the end of safe mode."""
    return SafeMode(
        f"{cannot}. Name node is in safe mode.\n{core.standstill.why()} NamenodeHostName:{core.settings.rpc_host}"
    )


async def _awaited(answer: Any) -> Any:
    return await answer if inspect.isawaitable(answer) else answer


def _guarded(core: Core, handler: Callable[..., Any], cannot: Callable[[Any], str]) -> Callable[..., Any]:
    def stands(call: CallContext) -> bool:
        """A repeated call is still told what was done the first time."""
        return core.safe_mode and core.namespace.retries.answer(core.view(), call.client_id, call.call_id) is None

    async def hold(call: CallContext, request: Message) -> Any:
        await core.standstill.hold()
        if stands(call):
            raise refusal(core, cannot(request))
        return await _awaited(handler(call, request))

    def answer(call: CallContext, request: Message) -> Any:
        if not stands(call):
            return handler(call, request)
        if not core.standstill.patience_ms:
            raise refusal(core, cannot(request))
        return hold(call, request)

    return answer


def _located(core: Core, handler: Callable[..., Any]) -> Callable[..., Any]:
    """Datanodes that are on their way back are waited for: Java's client gives a block up that nobody has."""

    def complete(response: Any) -> bool:
        if not core.safe_mode or inspect.isawaitable(response):
            return True
        answered = pb.GetBlockLocationsResponseProto.FromString(response)
        return all(block.locs for block in answered.locations.blocks)

    async def hold(call: CallContext, request: Any) -> Any:
        deadline_ms = mono_ms() + core.standstill.patience_ms
        while (left_ms := deadline_ms - mono_ms()) > 0 and core.safe_mode:
            await core.wait_for_reports(core.reports, min(left_ms, LOOK_AGAIN_MS) / 1000)
            if complete(response := await _awaited(handler(call, request))):
                return response
        if complete(response := await _awaited(handler(call, request))):
            return response
        raise refusal(core, f"Zero blocklocations for {request.src}")

    def answer(call: CallContext, request: Any) -> Any:
        response = handler(call, request)
        if complete(response):
            return response
        if not core.standstill.patience_ms:
            raise refusal(core, f"Zero blocklocations for {request.src}")
        return hold(call, request)

    return answer
