"""Recorded Hadoop RPC, fed to both of our ends: what stock clients send, and what a stock namenode answers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from seamlessfs.model.errors import AccessDenied, ImpersonationDenied, RpcError
from seamlessfs.wire.pb.hadoop import client_namenode_pb2, rpc_pb2
from seamlessfs.wire.rpc.client import ClientConnection, Response
from seamlessfs.wire.rpc.dispatch import find_method, parse_body
from seamlessfs.wire.rpc.events import (
    Call,
    CallReceived,
    Closed,
    Connected,
    ContextEstablished,
    Event,
    SaslNegotiated,
)
from seamlessfs.wire.rpc.exceptions import error_for
from seamlessfs.wire.rpc.protocols import PROTOCOLS, messages_of
from seamlessfs.wire.rpc.replies import encode_error, encode_success
from seamlessfs.wire.rpc.server import ServerConnection
from tests.golden.answers import SASL_OFFER, answered_state, comparable, frame_with_length, summary
from tests.golden.frames import PIECES, Golden, Pieces, load
from tests.golden.odd_inputs import odd_inputs
from tests.support.capture import split_frames

CONNECTIONS = load("rpc")
HONEST = [golden for golden in CONNECTIONS if golden.client != "none"]
ODD = [golden for golden in CONNECTIONS if golden.client == "none"]
HALF_A_FRAME = b"\x00\x00\x00\x40half"


def by_name(golden: Golden) -> str:
    return golden.name


def feed_server(sent: bytes, pieces: Pieces) -> list[Event]:
    connection = ServerConnection()
    return [event for piece in pieces(sent) for event in connection.receive_data(piece)]


def calls_of(events: Sequence[Event]) -> list[Call]:
    return [event.call for event in events if isinstance(event, CallReceived)]


def feed_client(received: bytes, pieces: Pieces) -> list[Response]:
    connection = ClientConnection(bytes(16), "root", None, "")
    return [response for piece in pieces(received) for response in connection.receive_data(piece)]


@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES.keys())
@pytest.mark.parametrize("golden", HONEST, ids=by_name)
def test_server_understands_each_client(golden: Golden, pieces: Pieces) -> None:
    events = feed_server(golden.sent, pieces)
    assert isinstance(events[0], Connected)
    assert events[1] == ContextEstablished(golden.meaning["user"], None, golden.meaning["protocol"])
    assert [[call.call_id, call.method] for call in calls_of(events)] == golden.meaning["calls"]
    assert len(events) == 2 + len(golden.meaning["calls"])


@pytest.mark.parametrize("golden", HONEST, ids=by_name)
def test_bytes_after_the_last_frame_wait(golden: Golden) -> None:
    assert len(feed_server(golden.sent + HALF_A_FRAME, PIECES["whole"])) == len(
        feed_server(golden.sent, PIECES["whole"])
    )
    answers = feed_client(golden.received + HALF_A_FRAME, PIECES["whole"])
    assert len(answers) == len(golden.meaning["answers"])


@pytest.mark.parametrize("golden", HONEST, ids=by_name)
def test_nothing_in_a_request_is_lost(golden: Golden) -> None:
    for call in calls_of(feed_server(golden.sent, PIECES["whole"])):
        messages = find_method(call, PROTOCOLS)
        request = parse_body(call, messages.request)
        assert request.SerializeToString() == call.body, call.method
        request.DiscardUnknownFields()
        assert request.SerializeToString() == call.body, f"{call.method}: a field that our .proto files lack"


@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES.keys())
@pytest.mark.parametrize("golden", HONEST, ids=by_name)
def test_client_understands_each_answer(golden: Golden, pieces: Pieces) -> None:
    answers = feed_client(golden.received, pieces)
    seen = [[one.call_id, int(one.status), one.class_name, len(one.body)] for one in answers]
    assert seen == golden.meaning["answers"]


@pytest.mark.parametrize("golden", HONEST, ids=by_name)
def test_nothing_in_an_answer_is_lost(golden: Golden) -> None:
    calls = {call.call_id: call for call in calls_of(feed_server(golden.sent, PIECES["whole"]))}
    for answer in feed_client(golden.received, PIECES["whole"]):
        if answer.status:
            continue
        call = calls[answer.call_id]
        messages = messages_of(call.protocol, call.method)
        assert messages is not None
        parsed = messages.response.FromString(bytes(answer.body))
        parsed.DiscardUnknownFields()
        assert parsed.SerializeToString() == answer.body, call.method


@pytest.mark.parametrize("golden", HONEST, ids=by_name)
def test_our_answers_are_framed_as_stock_frames_them(golden: Golden) -> None:
    calls = {call.call_id: call for call in calls_of(feed_server(golden.sent, PIECES["whole"]))}
    for frame, answer in zip(split_frames(golden.received), feed_client(golden.received, PIECES["whole"]), strict=True):
        call = calls[answer.call_id]
        if not answer.status:
            ours = encode_success(call, bytes(answer.body))
            assert ours[4:] == frame, call.method
        else:
            reply = summary(encode_error(call, error_for(answer.class_name, answer.message)))
            assert reply == summary(frame_with_length(frame)), call.method


def test_every_client_is_among_the_recorded() -> None:
    assert {golden.client.split()[0] for golden in HONEST} == {"Java", "hdfs-native", "Go"}
    assert {golden.client for golden in HONEST} >= {"Java 3.3.4", "Java 3.4.1"}
    assert {golden.scenario.removeprefix("odd-") for golden in ODD} == set(odd_inputs())


@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES.keys())
@pytest.mark.parametrize("golden", [one for one in ODD if one.scenario != SASL_OFFER], ids=by_name)
def test_odd_input_is_answered_as_stock_answers_it(golden: Golden, pieces: Pieces) -> None:
    odd = odd_inputs()[golden.scenario.removeprefix("odd-")]
    events = feed_server(golden.sent, pieces)
    ours = b"".join(reply_to(event) for event in events)
    refused = events[-1] if isinstance(events[-1], Closed) else None
    if golden.meaning.get("user") == "alice":
        ours += ServerConnection().refuse(ImpersonationDenied("User: nobody is not allowed to impersonate alice"))
    else:
        assert (refused is None) == (odd.answers is not None)
    assert comparable(ours, golden) == comparable(golden.received, golden)


def test_negotiation_ends_in_simple_authentication() -> None:
    golden = next(one for one in ODD if one.scenario == SASL_OFFER)
    connected, negotiated = feed_server(golden.sent, PIECES["byte by byte"])
    assert connected == Connected(0, True)
    assert isinstance(negotiated, SaslNegotiated)
    assert answered_state(negotiated.reply) == rpc_pb2.RpcSaslProto.SUCCESS
    assert answered_state(golden.received) == rpc_pb2.RpcSaslProto.NEGOTIATE


def reply_to(event: Event) -> bytes:
    """What a namenode with an empty tree writes after this event."""
    if not isinstance(event, CallReceived):
        return getattr(event, "reply", b"")
    try:
        messages = find_method(event.call, PROTOCOLS)
        parse_body(event.call, messages.request)
    except (RpcError, AccessDenied) as error:
        return encode_error(event.call, error)
    return encode_success(event.call, client_namenode_pb2.GetFileInfoResponseProto())
