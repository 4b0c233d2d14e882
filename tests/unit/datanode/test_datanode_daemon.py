"""The whole datanode against a real gRPC server that plays the namenode."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from control_server import ControlServer, until

from seamlessfs.client.block_reader import read_block
from seamlessfs.client.block_writer import BlockWriter
from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.client.rpc import RpcChannel
from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.datanode.daemon import Datanode
from seamlessfs.model.block import Block, Checksum, ExtendedBlock, LocatedBlock, ReplicaLocation
from seamlessfs.model.cluster import DatanodeInfo, Location
from seamlessfs.model.errors import AccessDenied, RegistrationRefused, RemoteIOError, ReplicaNotFound
from seamlessfs.model.ids import BlockId, GenerationStamp, PoolId, StorageId
from seamlessfs.security.secret import create_secret
from seamlessfs.wire.convert.blocks import extended_block_to_pb
from seamlessfs.wire.pb.hadoop import client_datanode_pb2
from seamlessfs.wire.pb.seamless import control_pb2 as pb
from seamlessfs.wire.rpc.protocols import CLIENT_DATANODE_PROTOCOL

POOL_ID = PoolId("BP-1-127.0.0.1-1")
Start = Callable[..., Any]


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[ControlServer]:
    server = ControlServer(create_secret(tmp_path / "secret"))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def start(tmp_path: Path, control: ControlServer) -> AsyncIterator[Start]:
    """Starts a datanode on an address; its data directory goes by the address."""
    running: list[Datanode] = []

    async def make(host: str = "127.1.1.1", **settings: Any) -> Datanode:
        given = {
            "namenodes": (f"127.0.0.1:{control.port}",),
            "data_dirs": (tmp_path / host,),
            "cluster_secret_file": tmp_path / "secret",
            "host": host,
            "xfer_port": 0,
            "ipc_port": 0,
            "info_port": 0,
            "stop_grace_ms": 200,
            "reconnect_min_ms": 20,
            "reconnect_max_ms": 100,
            "port_file": tmp_path / f"{host}.ports",
        }
        datanode = Datanode(DatanodeSettings(**(given | settings)))
        await datanode.start()
        running.append(datanode)
        return datanode

    yield make
    for datanode in running:
        await datanode.stop()


def block(number: int, length: int = 0, stamp: int = 1001) -> Block:
    return Block(BlockId((1 << 30) + number), GenerationStamp(stamp), length)


def where(datanode: Datanode) -> ReplicaLocation:
    return ReplicaLocation(DatanodeInfo(datanode.identity(), Location("a", "r1")), StorageId(""))


def write(datanode: Datanode, number: int, data: bytes) -> None:
    located = LocatedBlock(ExtendedBlock(POOL_ID, block(number)), 0, (where(datanode),))
    writer = BlockWriter(DatanodeConnector("127.1.0.1"), located, "client", Checksum(), 65536)
    writer.write(data)
    writer.close()


def read(datanode: Datanode, number: int, length: int) -> bytes:
    connector = DatanodeConnector("127.1.0.1")
    with read_block(connector, where(datanode), ExtendedBlock(POOL_ID, block(number)), 0, length, "c") as reader:
        content = b"".join(reader)
    connector.close()
    return content


async def test_registers_reports_and_tells_of_changes(start: Start, control: ControlServer, tmp_path: Path) -> None:
    datanode = await start()
    register = (await until(lambda: control.registers))[0]
    assert (register.ip, register.xfer_port, register.ipc_port) == ("127.1.1.1", datanode.xfer_port, datanode.ipc_port)
    assert json.loads((tmp_path / "127.1.1.1.ports").read_text()) == {
        "xfer": datanode.xfer_port,
        "ipc": datanode.ipc_port,
        "info": datanode.info_port,
    }
    assert register.cluster_id == ""
    report = (await until(lambda: control.of("block_report")))[0]
    assert (report.storage_id, report.parts, list(report.block_ids)) == (register.storages[0].storage_id, 1, [])
    await asyncio.to_thread(write, datanode, 1, b"x" * 1000)
    (change,) = await until(lambda: [each for each in control.changes() if each.kind != pb.ReplicaChange.RECEIVING])
    assert (change.kind, change.length, change.xxh3 != 0) == (pb.ReplicaChange.RECEIVED, 1000, True)
    beat = await until(lambda: [beat for beat in control.of("heartbeat") if beat.traffic])
    write_traffic = next(traffic for traffic in beat[-1].traffic if traffic.traffic_class == "write")
    assert (write_traffic.source, write_traffic.target, write_traffic.payload_received) == ("a", "a", 1000)


async def test_invalidate_spares_newer_stamps(start: Start, control: ControlServer) -> None:
    datanode = await start()
    await until(lambda: control.of("block_report"))
    await asyncio.to_thread(write, datanode, 1, b"x" * 1000)
    used = datanode.store.reports()[0].used
    order = pb.Invalidate.Replica(block_id=block(1).id, generation_stamp=1000)
    await control.send(invalidate=pb.Invalidate(replicas=[order]))
    order.generation_stamp = 1001
    await control.send(invalidate=pb.Invalidate(replicas=[order]))
    deleted = await until(lambda: [each for each in control.changes() if each.kind == pb.ReplicaChange.DELETED])
    assert (len(deleted), deleted[0].generation_stamp) == (1, 1001)
    assert (used, datanode.store.reports()[0].used) == (1000 + 7 + 8, 0)


async def test_a_replica_that_is_not_there_is_told_as_deleted(start: Start, control: ControlServer) -> None:
    datanode = await start()
    await until(lambda: control.of("block_report"))
    await asyncio.to_thread(write, datanode, 1, b"x")
    here = datanode.store.reports()[0].storage_id
    orders = [
        pb.Invalidate.Replica(block_id=block(1).id, generation_stamp=1000, storage_id=here),
        pb.Invalidate.Replica(block_id=block(1).id, generation_stamp=1001, storage_id="DS-gone"),
        pb.Invalidate.Replica(block_id=block(2).id, generation_stamp=1002, storage_id=here),
    ]
    await control.send(invalidate=pb.Invalidate(replicas=orders))
    deleted = await until(lambda: [each for each in control.changes() if each.kind == pb.ReplicaChange.DELETED][1:])
    told = [(each.storage_id, each.block_id) for each in control.changes() if each.kind == pb.ReplicaChange.DELETED]
    assert (told, len(deleted)) == ([("DS-gone", block(1).id), (here, block(2).id)], 1)
    assert datanode.store.count() == 1


async def test_transfer_goes_down_a_chain_and_is_answered(start: Start, control: ControlServer) -> None:
    source, *others = [await start(f"127.{idc}.1.{node}") for idc, node in [(1, 1), (2, 1), (2, 2)]]
    await until(lambda: len(control.of("block_report")) == 3)
    data = bytes(range(256)) * 4000
    await asyncio.to_thread(write, source, 1, data)
    targets = [
        pb.Target(uuid=each.uuid, ip=each.settings.host, xfer_port=each.xfer_port, location="/b/r1") for each in others
    ]
    order = pb.Transfer(transfer_id=7, block_id=block(1).id, generation_stamp=1001, length=len(data), targets=targets)
    streams = {register.ip: stream for register, stream in zip(control.registers, control.streams, strict=True)}
    await streams["127.1.1.1"].write(pb.FromNamenode(transfer=order))
    result = (await until(lambda: control.of("transfer_result")))[0]
    assert (result.transfer_id, result.ok, result.error, result.bytes_sent) == (7, True, "", len(data))
    for each in others:
        assert await asyncio.to_thread(read, each, 1, len(data)) == data
    crossed = {str(link): traffic for (link, kind), traffic in source.ledger.counter.snapshot().items() if link.crosses}
    assert crossed["a>b"].payload_sent == len(data)
    order.transfer_id = 8
    await streams["127.1.1.1"].write(pb.FromNamenode(transfer=order))
    again = (await until(lambda: control.of("transfer_result")[1:]))[0]
    assert (again.ok, again.transfer_id) == (False, 8)


async def test_reconnects_and_reports_everything_again(start: Start, control: ControlServer, tmp_path: Path) -> None:
    datanode = await start()
    await until(lambda: control.of("block_report"))
    await control.stop()
    await asyncio.to_thread(write, datanode, 1, b"written while no namenode was there")
    again = ControlServer(control.secret)
    await again.start(control.port)
    report = (await until(lambda: again.of("block_report")))[0]
    assert (list(report.block_ids), again.registers[0].cluster_id) == ([block(1).id], "CID-test")
    await again.send(request_report=pb.RequestReport())
    await until(lambda: len(again.of("block_report")) == 2)
    await datanode.stop()
    await again.stop()
    await control.start(control.port)


async def test_orders_of_a_deposed_namenode_are_not_obeyed(start: Start, control: ControlServer) -> None:
    active = ControlServer(control.secret)
    active.epoch = 2
    datanode = await start(namenodes=(f"127.0.0.1:{control.port}", await active.start()))
    await until(lambda: control.of("block_report") and active.of("block_report"))
    await asyncio.to_thread(write, datanode, 1, b"x")
    order = pb.Invalidate.Replica(block_id=block(1).id, generation_stamp=1001)
    await control.send(invalidate=pb.Invalidate(replicas=[order]))
    await control.send(request_report=pb.RequestReport())
    report = (await until(lambda: control.of("block_report")[1:]))[0]
    assert list(report.block_ids) == [block(1).id]
    await active.send(invalidate=pb.Invalidate(replicas=[order]))
    await until(lambda: not datanode.store.count())
    await datanode.stop()
    await active.stop()


@pytest.mark.parametrize("case", ["reason", "secret", "cluster"])
async def test_refused(start: Start, control: ControlServer, case: str) -> None:
    if case == "cluster":
        datanode = await start()
        await until(lambda: control.of("block_report"))
        await datanode.stop()
        control.cluster_id = "CID-other"
    elif case == "secret":
        control.secret = b"another secret of another cluster"
    else:
        control.refuse = "its place is not in the topology"
    datanode = await start()
    with pytest.raises(RegistrationRefused, match={"reason": "topology", "secret": "secret"}.get(case, "CID-other")):
        await asyncio.wait_for(datanode.wait(), 10)


async def test_says_on_its_web_port_how_it_is(start: Start, control: ControlServer) -> None:
    datanode = await start()
    await until(lambda: control.of("block_report"))

    def fetch() -> tuple[int, bytes]:
        try:
            with urlopen(f"http://{datanode.settings.host}:{datanode.info_port}/healthz", timeout=20) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()

    await until(lambda: datanode.registered)
    assert await asyncio.to_thread(fetch) == (200, b"ok\n")
    volume = datanode.store.disks.all[0]
    volume.failed = True
    assert await asyncio.to_thread(fetch) == (503, f"volume {volume.root} failed\n".encode())
    volume.failed = False
    await control.stop()
    await until(lambda: not datanode.registered)
    lost = f"not registered with namenode 127.0.0.1:{control.port}\n"
    assert await asyncio.to_thread(fetch) == (503, lost.encode())


async def test_answers_client_datanode_protocol(start: Start, control: ControlServer) -> None:
    datanode = await start()
    await until(lambda: control.of("block_report"))
    await asyncio.to_thread(write, datanode, 1, b"x" * 700)
    channel = RpcChannel([("127.1.1.1", datanode.ipc_port)], user=getpass.getuser())
    another = RpcChannel([("127.1.1.1", datanode.ipc_port)], user="somebody-else")

    def call(method: str, request: Any, channel: RpcChannel = channel) -> Any:
        return asyncio.to_thread(channel.call, CLIENT_DATANODE_PROTOCOL, method, request)

    asked = client_datanode_pb2.GetReplicaVisibleLengthRequestProto(
        block=extended_block_to_pb(ExtendedBlock(POOL_ID, block(1)))
    )
    assert (await call("getReplicaVisibleLength", asked)).length == 700
    asked.block.blockId = 77
    with pytest.raises(ReplicaNotFound, match=f"Replica does not exist {POOL_ID}:77"):
        await call("getReplicaVisibleLength", asked)
    info = await call("getDatanodeInfo", client_datanode_pb2.GetDatanodeInfoRequestProto())
    assert info.localInfo.configVersion == "core-3.0.0,hdfs-1"
    volumes = await call("getVolumeReport", client_datanode_pb2.GetVolumeReportRequestProto())
    assert [(each.numBlocks, each.usedSpace) for each in volumes.volumeInfo] == [(1, 700 + 7 + 8)]
    await call("triggerBlockReport", client_datanode_pb2.TriggerBlockReportRequestProto(incremental=False))
    await until(lambda: len(control.of("block_report")) == 2)
    bandwidth = client_datanode_pb2.GetBalancerBandwidthRequestProto()
    await control.send(balancer_bandwidth=pb.BalancerBandwidth(bytes_per_s=4321))
    await until(lambda: datanode.balancer_bandwidth_bytes_per_s == 4321)
    assert (await call("getBalancerBandwidth", bandwidth, another)).bandwidth == 4321
    stop = client_datanode_pb2.ShutdownDatanodeRequestProto(forUpgrade=False)
    for method, request in (
        ("evictWriters", client_datanode_pb2.EvictWritersRequestProto()),
        ("triggerBlockReport", client_datanode_pb2.TriggerBlockReportRequestProto(incremental=False)),
        ("deleteBlockPool", client_datanode_pb2.DeleteBlockPoolRequestProto(blockPool=POOL_ID, force=True)),
        ("shutdownDatanode", stop),
    ):
        with pytest.raises(AccessDenied):
            await call(method, request, another)
    with pytest.raises(RemoteIOError, match="in service"):
        await call("deleteBlockPool", client_datanode_pb2.DeleteBlockPoolRequestProto(blockPool=POOL_ID, force=True))
    assert not datanode.stopping.is_set()
    await call("shutdownDatanode", stop)
    assert datanode.stopping.is_set()
    for each in (channel, another):
        each.close()
