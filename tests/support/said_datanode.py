"""A datanode's end of the control stream that says what a test wants: nothing stands behind it."""

from __future__ import annotations

import queue
import threading
import uuid
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import grpc

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.security.secret import datanode_proof, load_secret, make_nonce
from seamlessfs.wire.pb.seamless import control_pb2 as pb
from seamlessfs.wire.pb.seamless import control_pb2_grpc
from tests.support.observe import until

OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
"""Each has a connection of its own, as processes of their own have."""


class SaidDatanode:
    """Registers with a cluster's namenode; everything else is said by the test.

    Attributes:
        outbox: what waits to be sent; None ends the stream.
        received: what the namenode has said since, in order.
        ended: whether the stream is over, and with which status.
    """

    def __init__(self, cluster: MiniCluster, ip: str, name: str = "") -> None:
        self.uuid = name or str(uuid.uuid4())
        self.storage_id = f"DS-{self.uuid}"
        self.received: list[pb.FromNamenode] = []
        self.ended: grpc.StatusCode | None = None
        self._ip = ip
        self._closed = threading.Event()
        self._secret = load_secret(cluster.secret_file)
        self.outbox: queue.Queue[pb.FromDatanode | None] = queue.Queue()
        address = f"{cluster.host}:{cluster.control_port}"
        self._channel = grpc.insecure_channel(address, OPTIONS)
        self._call: Any = control_pb2_grpc.ControlStub(self._channel).Session(self._said())
        self._reader = threading.Thread(target=self._read, daemon=True)

    def _said(self) -> Iterator[pb.FromDatanode]:
        while (message := self.outbox.get()) is not None:
            yield message

    def say(self, **body: Any) -> None:
        self.outbox.put(pb.FromDatanode(**body))

    def register(self, cluster_id: str = "") -> pb.Registered:
        nonce = make_nonce()
        self.say(hello=pb.Hello(uuid=self.uuid, nonce=nonce))
        challenge = next(self._call).challenge
        register = pb.Register(
            proof=datanode_proof(self._secret, challenge.nonce, nonce, self.uuid),
            cluster_id=cluster_id,
            hostname=self._ip,
            ip=self._ip,
            xfer_port=1,
            ipc_port=1,
            storages=self.storages(),
        )
        self.say(register=register)
        answer = next(self._call)
        assert answer.HasField("registered"), answer
        self._reader.start()
        return answer.registered

    def storage(self) -> pb.Storage:
        return pb.Storage(storage_id=self.storage_id, storage_type="DISK", capacity=1 << 40, remaining=1)

    def storages(self) -> list[pb.Storage]:
        return [self.storage()]

    def _read(self) -> None:
        try:
            for message in self._call:
                self.received.append(message)
            self.ended = grpc.StatusCode.OK
        except grpc.RpcError as error:
            self.ended = error.code()

    def heartbeat(self, **fields: Any) -> None:
        self.say(heartbeat=pb.Heartbeat(storages=self.storages(), **fields))

    def keep_alive(self) -> None:
        """Sends heartbeats from now on."""

        def beat() -> None:
            while not self._closed.wait(0.2):
                self.heartbeat()

        threading.Thread(target=beat, daemon=True).start()

    def report(self, *replicas: tuple[int, int, int], report_id: int = 1, last: bool = True) -> None:
        """A full report of one part: (block id, generation stamp, length) of finalised replicas."""
        rows = sorted(replicas)
        report = pb.BlockReport(
            storage_id=self.storage_id,
            report_id=report_id,
            parts=1,
            block_ids=[row[0] for row in rows],
            generation_stamps=[row[1] for row in rows],
            lengths=[row[2] for row in rows],
            states=["FINALIZED"] * len(rows),
            last=last,
        )
        self.say(block_report=report)

    def of(self, kind: str) -> list[Any]:
        """Messages of one kind that have come."""
        return [getattr(message, kind) for message in list(self.received) if message.WhichOneof("body") == kind]

    def wait_for_turn(self, count: int = 1) -> None:
        """Returns when it has been asked for its report so often."""
        until(lambda: len(self.of("request_report")) >= count, f"turn {count} of {self.uuid}")

    def close(self) -> None:
        self._closed.set()
        self.outbox.put(None)
        self._call.cancel()
        self._channel.close()

    def __enter__(self) -> SaidDatanode:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
