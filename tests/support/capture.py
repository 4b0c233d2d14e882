"""Recording proxies: what real clients and a real HDFS say to each other, byte by byte.

A proxy stands before the namenode and before each datanode. Clients learn the datanodes' proxies from the namenode's
answers, in which the proxy replaces the transfer ports; recorded is what the namenode sent, before that.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from google.protobuf.message import Message

from seamlessfs.wire.pb.hadoop import client_namenode_pb2, hdfs_pb2, rpc_pb2

HOST = "127.0.0.1"
RPC_PREAMBLE_BYTES = 7
_LENGTH = struct.Struct(">i")
WITH_LOCATIONS: Mapping[str, type[Message]] = {
    "addBlock": client_namenode_pb2.AddBlockResponseProto,
    "getBlockLocations": client_namenode_pb2.GetBlockLocationsResponseProto,
}
Rewrite = Callable[[bytes], bytes]


@dataclass
class Recording:
    """One connection: `sent` by the client, `received` by it."""

    kind: str
    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)
    done: threading.Event = field(default_factory=threading.Event)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Value and the position behind it."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def split_delimited(data: bytes, position: int) -> tuple[bytes, int]:
    length, start = read_varint(data, position)
    return data[start : start + length], start + length


def delimited(message: Message) -> bytes:
    body = message.SerializeToString()
    prefix = bytearray()
    length = len(body)
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(prefix) + bytes((length,)) + body


class Tap:
    """A proxy before one server port.

    Attributes:
        port: where clients connect.
        recordings: connections in the order in which they were accepted.
    """

    def __init__(self, target_port: int, kind: str = "xfer") -> None:
        self.kind = kind
        self.target_port = target_port
        self.recordings: list[Recording] = []
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            recording = Recording(self.kind)
            self.recordings.append(recording)
            threading.Thread(target=self._serve, args=(client, recording), daemon=True).start()

    def _serve(self, client: socket.socket, recording: Recording) -> None:
        with client, socket.create_connection((HOST, self.target_port)) as server:
            upward, downward = self._rewrites()
            back = threading.Thread(target=_pump, args=(server, client, recording.received, downward), daemon=True)
            back.start()
            _pump(client, server, recording.sent, upward)
            back.join()
        recording.done.set()

    def _rewrites(self) -> tuple[Rewrite, Rewrite]:
        return _unchanged, _unchanged


class NamenodeTap(Tap):
    """A proxy before the namenode.

    Args:
        transfer_ports: what to show for each datanode's transfer port.
    """

    def __init__(self, target_port: int, transfer_ports: Mapping[int, int]) -> None:
        self._transfer_ports = dict(transfer_ports)
        super().__init__(target_port, "rpc")

    def _rewrites(self) -> tuple[Rewrite, Rewrite]:
        methods: dict[int, str] = {}
        calls, answers = bytearray(), bytearray()

        def upward(data: bytes) -> bytes:
            calls.extend(data)
            methods.update(decode_calls(bytes(calls)))
            return data

        def downward(data: bytes) -> bytes:
            answers.extend(data)
            out = bytearray()
            while len(answers) >= _LENGTH.size:
                length = _LENGTH.unpack_from(answers)[0]
                if len(answers) < _LENGTH.size + length:
                    break
                frame = bytes(answers[_LENGTH.size : _LENGTH.size + length])
                del answers[: _LENGTH.size + length]
                frame = self._with_our_ports(frame, methods)
                out += _LENGTH.pack(len(frame)) + frame
            return bytes(out)

        return upward, downward

    def _with_our_ports(self, frame: bytes, methods: Mapping[int, str]) -> bytes:
        serialized, position = split_delimited(frame, 0)
        header = rpc_pb2.RpcResponseHeaderProto.FromString(serialized)
        answer_class = WITH_LOCATIONS.get(methods.get(header.callId, ""))
        if header.status != rpc_pb2.RpcResponseHeaderProto.SUCCESS or answer_class is None:
            return frame
        answer = answer_class.FromString(split_delimited(frame, position)[0])
        for block in located_blocks(answer):
            for datanode in block.locs:
                datanode.id.xferPort = self._transfer_ports[datanode.id.xferPort]
        return frame[:position] + delimited(answer)


def located_blocks(answer: Message) -> list[hdfs_pb2.LocatedBlockProto]:
    if isinstance(answer, client_namenode_pb2.AddBlockResponseProto):
        return [answer.block]
    assert isinstance(answer, client_namenode_pb2.GetBlockLocationsResponseProto)
    last = [answer.locations.lastBlock] if answer.locations.HasField("lastBlock") else []
    return [*answer.locations.blocks, *last]


def split_frames(data: bytes) -> list[bytes]:
    """Whole length-prefixed frames at the head of `data`."""
    frames, position = [], 0
    while len(data) - position >= _LENGTH.size:
        length = _LENGTH.unpack_from(data, position)[0]
        end = position + _LENGTH.size + length
        if end > len(data):
            break
        frames.append(data[position + _LENGTH.size : end])
        position = end
    return frames


def decode_calls(sent: bytes) -> list[tuple[int, str]]:
    """Id and method of each call that a client has sent so far."""
    calls = []
    for frame in split_frames(sent[RPC_PREAMBLE_BYTES:]):
        serialized, position = split_delimited(frame, 0)
        call_id = rpc_pb2.RpcRequestHeaderProto.FromString(serialized).callId
        if call_id >= 0:
            request = rpc_pb2.RequestHeaderProto.FromString(split_delimited(frame, position)[0])
            calls.append((call_id, request.methodName))
    return calls


def _pump(source: socket.socket, target: socket.socket, record: bytearray, rewrite: Rewrite) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            record += data
            if out := rewrite(data):
                target.sendall(out)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _unchanged(data: bytes) -> bytes:
    return data
