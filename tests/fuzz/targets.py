"""The targets: each takes any bytes, and raises only when a parser breaks its promise."""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections.abc import Callable, Iterator

import xxhash
from pydantic import ValidationError

from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.config.hadoop import HadoopConfiguration, parse_address, parse_properties
from seamlessfs.config.namenode import NamenodeSettings
from seamlessfs.config.topology import parse_topology
from seamlessfs.datanode import layout
from seamlessfs.journal import frames as journal_frames
from seamlessfs.journal import record
from seamlessfs.model import path
from seamlessfs.model.block import ChecksumType
from seamlessfs.model.cluster import Location
from seamlessfs.model.errors import (
    ConfigurationError,
    CorruptStore,
    IllegalArgument,
    InvalidPath,
    ProtocolError,
    SeamlessError,
)
from seamlessfs.model.ids import BlockId
from seamlessfs.net.traffic import IdcResolver
from seamlessfs.security.users import short_name
from seamlessfs.store import policy_record, records
from seamlessfs.wire import checksum
from seamlessfs.wire.pb.hadoop.client_namenode_pb2 import MsyncRequestProto
from seamlessfs.wire.rpc import dispatch, frames
from seamlessfs.wire.rpc.client import ClientConnection
from seamlessfs.wire.rpc.events import CallReceived, Closed, Event
from seamlessfs.wire.rpc.protocols import CLIENT_DATANODE_PROTOCOL, CLIENT_PROTOCOL, PROTOCOLS, messages_of
from seamlessfs.wire.rpc.replies import encode_success
from seamlessfs.wire.rpc.server import ServerConnection
from seamlessfs.wire.xfer import ops
from seamlessfs.wire.xfer.ack import AckDecoder, PipelineAck
from seamlessfs.wire.xfer.delimited import DelimitedBuffer
from seamlessfs.wire.xfer.op_header import Op
from seamlessfs.wire.xfer.packet import PacketDecoder, encode_packet_prefix
from seamlessfs.wire.xfer.response import OpResponse, decode_read_status, encode_read_status
from seamlessfs.wire.xfer.short_circuit import ReleaseResponse, ShmResponse

Target = Callable[[bytes], None]
TARGETS: dict[str, Target] = {}
PREAMBLE = b"hrpc\x09\x00\x00"
CLIENT_ID = bytes(range(16))
SERVICES = {
    protocol: {method: messages_of(protocol, method) for method in PROTOCOLS[protocol]}
    for protocol in (CLIENT_PROTOCOL, CLIENT_DATANODE_PROTOCOL)
}


def target(function: Target) -> Target:
    TARGETS[function.__name__] = function
    return function


def opened() -> bytes:
    """What a client says before its first call."""
    return ClientConnection(CLIENT_ID, "alice", None, CLIENT_PROTOCOL).preamble()


def pieces(data: bytes) -> Iterator[bytes]:
    """The data in pieces whose size its first byte chooses."""
    size = 1 + (data[0] if data else 0) % 61
    for start in range(0, len(data), size):
        yield data[start : start + size]


def serve(stream: bytes, in_pieces: bool) -> list[Event]:
    """What a server makes of a stream: no exception, and nothing behind a close."""
    server = ServerConnection(frame_bytes_max=1 << 20)
    events = [event for piece in (pieces(stream) if in_pieces else (stream,)) for event in server.receive_data(piece)]
    closings = [index for index, event in enumerate(events) if isinstance(event, Closed)]
    assert closings in ([], [len(events) - 1])
    assert server.held_bytes <= len(stream)
    return events


def answer(event: Event) -> None:
    """What a server does with a call, up to its handler; the answer is one that a client can read."""
    client = ClientConnection(CLIENT_ID, "alice", None, CLIENT_PROTOCOL)
    reply = getattr(event, "reply", b"")
    if isinstance(event, CallReceived):
        call = event.call
        with contextlib.suppress(SeamlessError):
            messages = dispatch.find_method(call, SERVICES)
            assert messages is not None
            request = dispatch.parse_body(call, messages.request)
            request.SerializeToString()
        reply = encode_success(call, b"")
    if reply and not reply.startswith((b"HTTP", b"\xff\xff\xff\xff", b"\0\0\0\0\x01")):
        assert len(client.receive_data(reply)) == 1


@target
def rpc_server(data: bytes) -> None:
    one, other = serve(data, in_pieces=False), serve(data, in_pieces=True)
    assert [type(event) for event in one] == [type(event) for event in other]
    for event in one:
        answer(event)


@target
def rpc_server_handshake(data: bytes) -> None:
    serve(PREAMBLE + data, in_pieces=True)
    serve(PREAMBLE[:-1] + b"\xdf" + len(data).to_bytes(4, "big") + data, in_pieces=False)


@target
def rpc_server_frame(data: bytes) -> None:
    for event in serve(opened() + len(data).to_bytes(4, "big") + data, in_pieces=False)[2:]:
        answer(event)


@target
def rpc_server_body(data: bytes) -> None:
    """A whole call whose method the first bytes choose: the rest is its request."""
    methods = list(SERVICES[CLIENT_PROTOCOL])
    method = methods[int.from_bytes(data[:2], "big") % len(methods)]
    client = ClientConnection(CLIENT_ID, "alice", None, CLIENT_PROTOCOL)
    head = client.encode_call(1, 0, method, CLIENT_PROTOCOL, 1, MsyncRequestProto())[4:-1]
    body = frames.encode_varint(len(data[2:])) + data[2:]
    for event in serve(opened() + (len(head) + len(body)).to_bytes(4, "big") + head + body, in_pieces=False)[2:]:
        answer(event)


@target
def rpc_client(data: bytes) -> None:
    """A hostile server: at worst a ProtocolError, and errors that can be shown."""
    for stream in (data, len(data).to_bytes(4, "big") + data):
        client = ClientConnection(CLIENT_ID, "alice", None, CLIENT_PROTOCOL)
        with contextlib.suppress(ProtocolError):
            for piece in pieces(stream):
                for response in client.receive_data(piece):
                    assert isinstance(response.error(), SeamlessError)
                    str(response.error()).encode()


@target
def xfer_packets(data: bytes) -> None:
    one, other = PacketDecoder(), PacketDecoder()
    found, again = [], []
    with contextlib.suppress(ProtocolError):
        found = one.feed(data)
    with contextlib.suppress(ProtocolError):
        for piece in pieces(data):
            again += other.feed(piece)
    assert found == again or not found
    for packet in again:
        assert len(packet.data) == packet.header.data_length
        encode_packet_prefix(packet.header, len(packet.checksums))


@target
def xfer_acks(data: bytes) -> None:
    decoder = AckDecoder()
    with contextlib.suppress(ProtocolError):
        for piece in pieces(data):
            for ack in decoder.feed(piece):
                with contextlib.suppress(ProtocolError):
                    assert ack.ok == (ack.first_failure() is None)
                assert PipelineAck.decode(DelimitedOne(ack.encode()).body).seqno == ack.seqno


class DelimitedOne:
    """The one message that some bytes are."""

    def __init__(self, data: bytes) -> None:
        buffer = DelimitedBuffer(1 << 20, "message")
        buffer.feed(data)
        self.body = buffer.next() or b""
        assert not buffer.trailing


@target
def xfer_op(data: bytes) -> None:
    decoder = ops.OpDecoder()
    with contextlib.suppress(ProtocolError):
        for piece in pieces(data):
            if (op := decoder.feed(piece)) is not None:
                encode_again(op)
                return


@target
def xfer_op_body(data: bytes) -> None:
    for kind in Op:
        with contextlib.suppress(ProtocolError):
            encode_again(ops.decode_op(kind, data))


def encode_again(op: ops.Operation) -> None:
    """What was taken can be passed on to the next datanode, and means the same there."""
    if not isinstance(op, ops.UnservedOp):
        assert ops.OpDecoder().feed(op.to_bytes()) == op


@target
def xfer_response(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        response = OpResponse.decode(data)
        assert OpResponse.decode(DelimitedOne(response.encode()).body) == response
    with contextlib.suppress(ProtocolError):
        encode_read_status(decode_read_status(data))
    for kind in (ShmResponse, ReleaseResponse):
        with contextlib.suppress(ProtocolError):
            answer = kind.decode(data)
            assert kind.decode(DelimitedOne(answer.encode()).body) == answer


@target
def delimited(data: bytes) -> None:
    buffer = DelimitedBuffer(1 << 12, "message")
    taken = 0
    with contextlib.suppress(ProtocolError):
        for piece in pieces(data):
            buffer.feed(piece)
            while (body := buffer.next()) is not None:
                taken += len(body)
    assert taken <= len(data)


@target
def checksums(data: bytes) -> None:
    with contextlib.suppress(CorruptStore):
        found = checksum.decode_meta_header(data)
        assert checksum.decode_meta_header(checksum.encode_meta_header(found)) == found
    if len(data) < 4:
        return
    kind, size, middle = ChecksumType(data[0] % 3), 1 + data[1] * 256 + data[2], 4 + data[3]
    content, sums = data[middle:], data[4:middle]
    with contextlib.suppress(IllegalArgument):
        bad = checksum.verify(kind, size, content, sums)
        assert bad is None or 0 <= bad * size < len(content)
    assert checksum.verify(kind, size, content, checksum.chunk_checksums(kind, size, content)) is None


@target
def journal(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        journal_frames.SegmentHeader.from_bytes(data)
    for offset in range(min(len(data), 32)):
        journal_frames.parse_frame(memoryview(data), offset, 0)
    assert journal_frames.next_frame(data, 0, 0) is None or len(data) >= journal_frames.FRAME_HEADER_BYTES


@target
def journal_record(data: bytes) -> None:
    """With a digest that fits, so that what is behind it is looked at."""
    for payload in (data, data + xxhash.xxh3_64_intdigest(data).to_bytes(8, "little")):
        with contextlib.suppress(CorruptStore):
            writes = record.decode(payload)
            assert record.decode(record.encode(writes)) == writes


DECODERS: tuple[Callable[[bytes], object], ...] = (
    records.decode_inode,
    records.decode_removed,
    records.decode_counters,
    records.decode_count,
    records.decode_identity,
    records.decode_retry,
    policy_record.decode_policy,
    lambda value: records.decode_block(BlockId(1), value),
)


@target
def store_records(data: bytes) -> None:
    for decode in DECODERS:
        with contextlib.suppress(CorruptStore):
            decode(data)


@target
def hadoop_xml(data: bytes) -> None:
    with contextlib.suppress(ConfigurationError):
        values = {name: value for name, value, _ in parse_properties(data, "f.xml")}
        configuration = HadoopConfiguration(values)
        for name in values:
            reads: tuple[Callable[[str], object], ...] = (
                configuration.get,
                configuration.size_bytes,
                configuration.integer,
                configuration.duration_s,
                configuration.flag,
                configuration.namenodes,
            )
            for read in reads:
                with contextlib.suppress(ConfigurationError):
                    read(name)
        configuration.umask()
        configuration.default_authority()


@target
def topology(data: bytes) -> None:
    with contextlib.suppress(ConfigurationError):
        rules = parse_topology(data.decode(errors="surrogateescape"), "topology", lambda name: "127.0.0.9")
        resolver = IdcResolver(rules)
        for network, _ in rules:
            assert resolver.locate(network.partition("/")[0]) is not None
    with contextlib.suppress(ConfigurationError):
        parse_address(data.decode(errors="replace"), "address")


@target
def settings_toml(data: bytes) -> None:
    with contextlib.suppress(tomllib.TOMLDecodeError, UnicodeDecodeError):
        table = tomllib.loads(data.decode())
        for kind in (NamenodeSettings, DatanodeSettings):
            with contextlib.suppress(ValidationError):
                kind.model_validate(table)


@target
def names(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    with contextlib.suppress(InvalidPath):
        parts = path.split(text)
        assert all(parts)
        path.join(parts)
    path.creatable(text)
    path.too_long(text)
    short_name(text)
    layout.parse_block_name(text)
    layout.parse_meta_name(text)
    with contextlib.suppress(ValueError):
        assert Location.parse(str(Location.parse(text))) == Location.parse(text)
    json.dumps(text)
