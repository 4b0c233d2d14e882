"""Answers of a namenode in a form in which two servers can be compared."""

from __future__ import annotations

from typing import Any

from seamlessfs.wire.pb.hadoop import rpc_pb2
from tests.golden.frames import Golden
from tests.support.capture import split_delimited, split_frames

TEXT_IS_JAVAS_OWN = {
    "odd-garbage-header": "Error decoding RpcRequestHeaderProto: ",
    "odd-garbage-body": "",
    "odd-missing-required-field": "",
}
"""Where stock's message ends in the words of its protobuf library: how the message must begin all the same."""

SASL_OFFER = "odd-sasl-negotiate"
"""Stock with security off offers tokens too; ours, without tokens, says at once that nothing is needed."""


def answered_state(reply: bytes) -> int:
    (frame,) = split_frames(reply)
    _, position = split_delimited(frame, 0)
    return rpc_pb2.RpcSaslProto.FromString(split_delimited(frame, position)[0]).state


def comparable(received: bytes, golden: Golden) -> Any:
    """The very bytes where they are not Hadoop RPC; else each answer, in order of call ids."""
    if golden.scenario in ("odd-version-8", "odd-http-get"):
        return received
    frames = split_frames(received)
    begins = TEXT_IS_JAVAS_OWN.get(golden.scenario)
    return sorted(summary(frame_with_length(frame), begins) for frame in frames)


def summary(framed: bytes, begins: str | None = None) -> tuple[int, int, int, str, str, bytes]:
    """Call id, status, error code, class, first line of the message (or its beginning), body."""
    frame = framed[4:]
    serialized, position = split_delimited(frame, 0)
    header = rpc_pb2.RpcResponseHeaderProto.FromString(serialized)
    assert header.serverIpcVersionNum == 9
    text = header.errorMsg.split("\n")[0]
    if begins is not None and text:
        assert text.startswith(begins)
        text = begins
    return header.callId, header.status, header.errorDetail, header.exceptionClassName, text, frame[position:]


def frame_with_length(frame: bytes) -> bytes:
    return len(frame).to_bytes(4, "big") + frame
