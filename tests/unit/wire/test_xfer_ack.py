"""Acks: the form, any cut of the stream, flags before replies, garbage."""

from __future__ import annotations

import pytest

from seamlessfs.model.errors import ProtocolError
from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as pb
from seamlessfs.wire.xfer.ack import UNKNOWN_SEQNO, AckDecoder, PipelineAck, Status
from seamlessfs.wire.xfer.limits import ack_bytes_max

OK = PipelineAck(5, (Status.SUCCESS,) * 3, (0, 0, 0), 1234)
BROKEN = PipelineAck(UNKNOWN_SEQNO, (Status.SUCCESS, Status.ERROR), (0, 1))
HEARTBEAT = PipelineAck(-1, (Status.SUCCESS,), (0,), -17)


def test_layout() -> None:
    ack = PipelineAck(5, (Status.SUCCESS, Status.ERROR_CHECKSUM))
    assert ack.encode().hex() == "0c" + "080a" + "1000" + "1002" + "1800" + "22020002"


def test_flags_are_sent_as_statuses_when_a_sender_gives_none() -> None:
    message = pb.PipelineAckProto.FromString(PipelineAck(0, (Status.SUCCESS, Status.ERROR)).encode()[1:])
    assert list(message.flag) == [0, 1]
    assert list(message.reply) == [pb.SUCCESS, pb.ERROR]


def test_stream_whole_bytewise_and_with_trailing_bytes() -> None:
    acks = [OK, BROKEN, HEARTBEAT]
    stream = b"".join(ack.encode() for ack in acks)
    assert AckDecoder().feed(stream) == acks
    decoder = AckDecoder()
    assert [ack for byte in stream for ack in decoder.feed(bytes([byte]))] == acks
    decoder = AckDecoder()
    assert decoder.feed(stream + stream[:3]) == acks
    assert decoder.trailing == stream[:3]


def test_flags_win_over_replies() -> None:
    congested_and_slow = PipelineAck(0, (Status.ERROR, Status.SUCCESS), (0 | 3 << 5, 2 | 2 << 7))
    assert congested_and_slow.statuses == (Status.SUCCESS, Status.ERROR_CHECKSUM)
    assert congested_and_slow.first_failure() == 1
    assert not congested_and_slow.ok
    assert PipelineAck(0, (Status.SUCCESS, Status.ERROR)).first_failure() == 1


def test_success_of_all() -> None:
    assert OK.ok
    assert OK.first_failure() is None


def test_garbage_is_refused() -> None:
    with pytest.raises(ProtocolError):
        AckDecoder().feed(b"\x04\xff\xff\xff\xff")
    with pytest.raises(ProtocolError, match="longer"):
        AckDecoder().feed(b"\xff\xff\xff\x7f")
    with pytest.raises(ProtocolError, match="more than 5 bytes"):
        AckDecoder().feed(b"\xff" * 6)
    with pytest.raises(ProtocolError, match="status 15"):
        _ = PipelineAck(0, (Status.SUCCESS,), (15,)).statuses
    assert ack_bytes_max < 0x0FFFFFFF
