"""The namenode's tables of methods: what is handled, by what, and what a caller of anything else is told."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from seamlessfs.namenode.admin_calls import AdminCalls
from seamlessfs.namenode.file_calls import FileCalls
from seamlessfs.namenode.main import ADMIN_PROTOCOLS, handlers
from seamlessfs.namenode.path_calls import PathCalls
from seamlessfs.namenode.pipeline_calls import PipelineCalls
from seamlessfs.namenode.placement_calls import PlacementCalls
from seamlessfs.namenode.service_calls import ServiceCalls
from seamlessfs.wire.rpc.protocols import (
    CLIENT_PROTOCOL,
    GET_USER_MAPPINGS_PROTOCOL,
    PLACEMENT_PROTOCOL,
    PROTOCOLS,
)

PARTS: dict[str, tuple[type, ...]] = {
    CLIENT_PROTOCOL: (FileCalls, PipelineCalls, PathCalls, ServiceCalls, AdminCalls),
    GET_USER_MAPPINGS_PROTOCOL: (ServiceCalls,),
    PLACEMENT_PROTOCOL: (PlacementCalls,),
    **dict.fromkeys(ADMIN_PROTOCOLS, (AdminCalls,)),
}

NEEDED = """
    getFileInfo getListing getBlockLocations getServerDefaults getContentSummary getFsStats getDatanodeReport create
    addBlock abandonBlock complete fsync renewLease recoverLease updateBlockForPipeline updatePipeline
    getAdditionalDatanode rename
    rename2 delete mkdirs setPermission setOwner setTimes setReplication setStoragePolicy unsetStoragePolicy
    getStoragePolicy getStoragePolicies checkAccess isFileClosed reportBadBlocks getPreferredBlockSize msync
    getHAServiceState setSafeMode getEZForPath getDelegationToken getDataEncryptionKey
"""

HANDLED = [(protocol, method) for protocol, parts in PARTS.items() for method in handlers(protocol, *parts)]


def handler_of(protocol: str, method: str) -> Callable[..., Any]:
    return handlers(protocol, *PARTS[protocol])[method]


@pytest.mark.parametrize(("protocol", "method"), HANDLED)
def test_a_handler_has_its_methods_name_and_messages(protocol: str, method: str) -> None:
    handler = handler_of(protocol, method)
    assert handler.__name__.replace("_", "") == method.lower()
    messages = PROTOCOLS[protocol][method]
    hints = typing.get_type_hints(handler)
    assert hints["request"] is messages.request
    answers = typing.get_args(hints["return"]) or (hints["return"],)
    if hints["return"] == Awaitable[messages.response | bytes]:  # made when it runs, kept for a repeated call
        return
    assert answers[0] is messages.response
    assert set(answers[1:]) <= {bytes, Awaitable[bytes], Awaitable[messages.response]}


def test_the_methods_that_a_client_needs_are_there() -> None:
    assert set(NEEDED.split()) <= set(handlers(CLIENT_PROTOCOL, *PARTS[CLIENT_PROTOCOL]))
    assert set(handlers(PLACEMENT_PROTOCOL, *PARTS[PLACEMENT_PROTOCOL])) == {"getPlacement", "getTraffic", "getHealth"}


@pytest.mark.parametrize("part", [FileCalls, PipelineCalls, PathCalls, ServiceCalls, AdminCalls, PlacementCalls])
def test_every_public_method_of_a_part_is_reached_by_some_name(part: type) -> None:
    reached = {handler_of(*key) for key in HANDLED}
    public = [member for name, member in inspect.getmembers(part, inspect.isfunction) if not name.startswith("_")]
    assert [method.__name__ for method in public if method not in reached] == []


def test_no_method_is_handled_in_two_places() -> None:
    alone = [method for part in PARTS[CLIENT_PROTOCOL] for method in handlers(CLIENT_PROTOCOL, part)]
    assert sorted(alone) == sorted(set(alone))


def test_what_is_no_method_of_the_protocol_is_never_handled() -> None:
    class Wide:
        def no_such_method(self) -> None: ...

    assert handlers(CLIENT_PROTOCOL, Wide) == {}
