"""Hadoop RPC: whatever was sent comes out in any pieces, and no garbage gets further than it should."""

from __future__ import annotations

import contextlib
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from seamlessfs.model.errors import ProtocolError
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.rpc import frames
from seamlessfs.wire.rpc.client import ClientConnection, Status
from seamlessfs.wire.rpc.events import CallReceived, Closed
from seamlessfs.wire.rpc.exceptions import CLASS_NAMES, class_name_for, error_for
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL
from seamlessfs.wire.rpc.server import ServerConnection, encode_error, encode_success

QUICK = settings(max_examples=150, derandomize=True, deadline=None)
CLIENT_ID = bytes(range(16))

call_ids = st.integers(0, 2**31 - 1)
retry_counts = st.integers(-1, 2**31 - 1)
names = st.text(st.characters(codec="utf-8"), max_size=40)
calls = st.lists(st.tuples(call_ids, retry_counts, names, names, names), max_size=8)
cuts = st.lists(st.integers(1, 60), min_size=1, max_size=20)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    found, start = [], 0
    for size in itertools.cycle(sizes):
        if start >= len(data):
            return found
        found.append(data[start : start + size])
        start += size
    return found


def client() -> ClientConnection:
    return ClientConnection(CLIENT_ID, "alice", None, CLIENT_PROTOCOL)


STARTS = [b"", b"hrpc\x09\x00\x00", b"hrpc\x09\x00\xdf", client().preamble()]


@QUICK
@given(calls, cuts)
def test_calls_arrive_as_they_were_made(made: list[tuple[int, int, str, str, str]], sizes: list[int]) -> None:
    sender, server = client(), ServerConnection()
    stream = sender.preamble()
    for call_id, retry_count, method, protocol, path in made:
        request = pb.GetFileInfoRequestProto(src=path)
        stream += sender.encode_call(call_id, retry_count, method, protocol, 1, request)
    events = [event for piece in pieces(stream, sizes) for event in server.receive_data(piece)]
    seen = [event.call for event in events[2:] if isinstance(event, CallReceived)]
    assert len(seen) == len(made)
    for call, (call_id, retry_count, method, protocol, path) in zip(seen, made, strict=True):
        assert (call.call_id, call.retry_count, call.client_id) == (call_id, retry_count, CLIENT_ID)
        assert (call.method, call.protocol) == (method, protocol)
        assert call.body is not None
        assert pb.GetFileInfoRequestProto.FromString(call.body).src == path


@QUICK
@given(st.lists(st.tuples(call_ids, st.booleans(), st.text(max_size=30)), max_size=8), cuts)
def test_answers_arrive_as_they_were_given(given_answers: list[tuple[int, bool, str]], sizes: list[int]) -> None:
    sender, server = client(), ServerConnection()
    stream = b""
    server.receive_data(sender.preamble())
    expected = []
    for call_id, fine, text in given_answers:
        message = pb.GetLinkTargetRequestProto(path="/")
        (event,) = server.receive_data(sender.encode_call(call_id, 0, "m", "p", 1, message))
        assert isinstance(event, CallReceived)
        safe = text.encode(errors="replace").decode()
        if fine:
            stream += encode_success(event.call, pb.GetLinkTargetResponseProto(targetPath=safe))
        else:
            stream += encode_error(event.call, OSError(text))
        expected.append((call_id, fine, safe))
    responses = [response for piece in pieces(stream, sizes) for response in sender.receive_data(piece)]
    assert len(responses) == len(expected)
    for response, (call_id, fine, text) in zip(responses, expected, strict=True):
        assert response.call_id == call_id
        if fine:
            assert pb.GetLinkTargetResponseProto.FromString(bytes(response.body)).targetPath == text
        else:
            assert response.status is Status.ERROR
            assert response.message == f"OSError: {text}"


@QUICK
@given(st.binary(max_size=200), st.sampled_from(STARTS), cuts)
def test_garbage_never_raises_in_a_server_and_ends_at_most_once(garbage: bytes, start: bytes, sizes: list[int]) -> None:
    server = ServerConnection()
    events = server.receive_data(start)
    for piece in pieces(garbage, sizes):
        events += server.receive_data(piece)
    closings = [index for index, event in enumerate(events) if isinstance(event, Closed)]
    assert closings in ([], [len(events) - 1])


@QUICK
@given(st.binary(max_size=120))
def test_a_framed_piece_of_garbage_gets_an_answer_or_nothing_at_all(content: bytes) -> None:
    server = ServerConnection()
    server.receive_data(client().preamble())
    for event in server.receive_data(len(content).to_bytes(4, "big") + content):
        reply = getattr(event, "reply", b"")
        if reply:
            (response,) = client().receive_data(reply)
            assert response.status is not Status.SUCCESS


@QUICK
@given(st.binary(max_size=200), st.booleans(), cuts)
def test_garbage_is_at_worst_a_protocol_error_to_a_client(garbage: bytes, framed: bool, sizes: list[int]) -> None:
    connection = client()
    stream = len(garbage).to_bytes(4, "big") + garbage if framed else garbage
    with contextlib.suppress(ProtocolError):
        for piece in pieces(stream, sizes):
            for response in connection.receive_data(piece):
                assert isinstance(response.message, str)
                assert response.status in Status


@QUICK
@given(st.integers(0, 2**35 - 1), st.binary(max_size=5))
def test_varints_there_and_back(value: int, behind: bytes) -> None:
    encoded = frames.encode_varint(value)
    assert frames.decode_varint(encoded + behind, 0) == (value, len(encoded))


@QUICK
@given(st.sampled_from(sorted(CLASS_NAMES.values())), st.text(max_size=40))
def test_errors_there_and_back(class_name: str, text: str) -> None:
    first_lines = text.split("\n\tat ", 1)[0]
    error = error_for(class_name, text)
    assert class_name_for(error) == class_name
    assert error.message == first_lines
