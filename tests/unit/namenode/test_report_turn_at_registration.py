"""A datanode that registers while others report is asked for its report all the same."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from seamlessfs.model.ids import DatanodeUuid
from seamlessfs.namenode.core import mono_ms
from seamlessfs.namenode.sessions import ControlService, DatanodeSession
from seamlessfs.wire.pb.seamless import control_pb2 as pb
from tests.support.blocks_world import World


class Stream:
    """The datanode's end: what it is sent; it sends nothing and stays connected."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[pb.FromNamenode] = asyncio.Queue()

    async def write(self, message: pb.FromNamenode) -> None:
        await self.sent.put(message)

    async def read(self) -> None:
        await asyncio.Event().wait()


class SlowToRegister(ControlService):
    """Answers a registration only when it is let: the datanode is known by then, and cannot be sent anything yet."""

    def __init__(self, core: Any, who: Any) -> None:
        super().__init__(core, b"secret")
        self.who = who
        self.known, self.let = asyncio.Event(), asyncio.Event()

    async def _handshake(self, context: Any) -> DatanodeSession:
        self.core.blocks.register(self.who.id, self.who.location, [self.who.storage()], mono_ms())
        self.known.set()
        await self.let.wait()
        return DatanodeSession(DatanodeUuid(self.who.id.uuid), self.who.location)


async def test_a_turn_that_came_before_the_datanode_could_be_told_comes_again() -> None:
    world = World(idcs=1, racks=1, nodes=1, settle=False)
    who = next(iter(world.datanodes.values()))
    nothing = SimpleNamespace(registered=lambda uuid: None, disconnected=lambda uuid: None)
    service = SlowToRegister(SimpleNamespace(blocks=world.manager, recoverer=nothing), who)
    stream = Stream()
    serving = asyncio.create_task(service.Session(None, stream))  # type: ignore[arg-type]
    await service.known.wait()
    service.dispatch(world.manager.ask_for_reports(mono_ms()))
    service.let.set()
    message = await asyncio.wait_for(stream.sent.get(), 10)
    assert message.WhichOneof("body") == "request_report"
    serving.cancel()
