"""A namenode's end of the control stream, as far as tests need it: a real gRPC server that keeps what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from seamlessfs.security.secret import datanode_proof, make_nonce, namenode_proof, proofs_equal
from seamlessfs.wire.pb.seamless import control_pb2 as pb
from seamlessfs.wire.pb.seamless import control_pb2_grpc


class ControlServer(control_pb2_grpc.ControlServicer):
    """Registers whoever knows the secret. `received`: every message after the registration, in order."""

    def __init__(self, secret: bytes, cluster_id: str = "CID-test", refuse: str = "") -> None:
        self.secret, self.cluster_id, self.refuse = secret, cluster_id, refuse
        self.epoch = 1
        self.registers: list[pb.Register] = []
        self.received: list[pb.FromDatanode] = []
        self.streams: list[grpc.aio.ServicerContext] = []
        self.port = 0
        self._server: grpc.aio.Server | None = None

    async def start(self, port: int = 0) -> str:
        self._server = grpc.aio.server()
        control_pb2_grpc.add_ControlServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()
        return f"127.0.0.1:{self.port}"

    async def stop(self) -> None:
        assert self._server is not None
        await self._server.stop(None)

    async def Session(self, requests: AsyncIterator[pb.FromDatanode], context: Any) -> None:
        hello = (await context.read()).hello
        nonce = make_nonce()
        proof = namenode_proof(self.secret, hello.nonce, nonce)
        await context.write(pb.FromNamenode(challenge=pb.Challenge(nonce=nonce, proof=proof)))
        register = (await context.read()).register
        if not proofs_equal(datanode_proof(self.secret, nonce, hello.nonce, hello.uuid), register.proof):
            await context.write(pb.FromNamenode(refused=pb.Refused(reason="wrong proof")))
            return
        if self.refuse:
            await context.write(pb.FromNamenode(refused=pb.Refused(reason=self.refuse)))
            return
        self.registers.append(register)
        rules = [pb.TopologyRule(network="127.1.0.0/16", location="/a/r1")]
        rules.append(pb.TopologyRule(network="127.2.0.0/16", location="/b/r1"))
        registered = pb.Registered(
            cluster_id=self.cluster_id,
            pool_id="BP-1-127.0.0.1-1",
            namespace_id=42,
            created_at_ms=1,
            epoch=self.epoch,
            heartbeat_interval_ms=50,
            location="/a/r1",
            topology=pb.Topology(rules=rules),
        )
        await context.write(pb.FromNamenode(registered=registered))
        self.streams.append(context)
        await context.write(pb.FromNamenode(request_report=pb.RequestReport()))
        asked = True
        while (message := await context.read()) is not grpc.aio.EOF:
            self.received.append(message)
            asked = asked and not message.block_report.last
            if message.heartbeat.report_due and not asked:
                asked = True
                await context.write(pb.FromNamenode(request_report=pb.RequestReport()))

    async def send(self, **body: Any) -> None:
        await self.streams[-1].write(pb.FromNamenode(**body))

    def of(self, kind: str) -> list[Any]:
        return [getattr(message, kind) for message in self.received if message.WhichOneof("body") == kind]

    def changes(self) -> list[pb.ReplicaChange]:
        return [change for message in self.of("replica_changes") for change in message.changes]


async def until(condition: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    """Polls until `condition` is true and returns its value."""
    async with asyncio.timeout(timeout_s):
        while not (value := condition()):
            await asyncio.sleep(0.01)
    return value
