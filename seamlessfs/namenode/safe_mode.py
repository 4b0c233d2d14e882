"""Safe mode as an operator turns it on: the namespace stands still until it is turned off, reads go on.

It ends with the process. Datanodes report as ever and what is owed goes on being copied; what waits for the reaper
keeps its blocks, and no lease runs out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from google.protobuf.message import Message

from seamlessfs.model.errors import SafeMode
from seamlessfs.namenode.core import Core
from seamlessfs.net.rpc_server import CallContext
from seamlessfs.wire.convert.blocks import extended_block_from_pb
from seamlessfs.wire.pb.hadoop import hdfs_pb2


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
        "updatePipeline": lambda request: "Pipeline not updated",
    }
)
"""Calls that change the namespace, and how HDFS begins its refusal of each in safe mode."""


def guarded(core: Core, table: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The same handlers; those that change the namespace refuse in safe mode."""
    return {
        method: _guarded(core, handler, CANNOT[method]) if method in CANNOT else handler
        for method, handler in table.items()
    }


def _guarded(core: Core, handler: Callable[..., Any], cannot: Callable[[Any], str]) -> Callable[..., Any]:
    def answer(call: CallContext, request: Message) -> Any:
        """A repeated call is still told what was done the first time."""
        if core.safe_mode and core.namespace.retries.answer(core.view(), call.client_id, call.call_id) is None:
            raise SafeMode(
                f"{cannot(request)}. Name node is in safe mode.\n"
                'It was turned on manually. Use "hdfs dfsadmin -safemode leave" to turn safe mode off. '
                f"NamenodeHostName:{core.settings.rpc_host}"
            )
        return handler(call, request)

    return answer
