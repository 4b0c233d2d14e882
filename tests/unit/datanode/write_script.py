"""A client that writes one block packet by packet and remembers what was acknowledged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from frame_peer import Peer

from seamlessfs.model.block import Block, Checksum, ExtendedBlock
from seamlessfs.model.errors import SeamlessError
from seamlessfs.model.ids import BlockId, GenerationStamp, PoolId
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.ops import Stage, WriteBlockOp
from seamlessfs.wire.xfer.response import OpResponse

POOL_ID = PoolId("BP-1-127.0.0.1-1")
DATA = bytes(range(256)) * 24
ENDS = (700, 1400, 5000, 5600)
SYNCED_END = 5000
"""The packet that ends here asks for hsync."""


def block_id(number: int) -> BlockId:
    return BlockId((1 << 30) + number)


def request(number: int, stage: Stage = Stage.PIPELINE_SETUP_CREATE, **fields: Any) -> bytes:
    stamp = GenerationStamp(fields.pop("stamp", 1001))
    block = ExtendedBlock(POOL_ID, Block(block_id(number), stamp, fields.pop("length", 0)))
    given = {"client_name": "client", "checksum": Checksum()}
    return WriteBlockOp(block=block, stage=stage, **(given | fields)).to_bytes()


@dataclass
class Outcome:
    """What the client was told."""

    opened: bool = False
    acked: int = 0
    synced: int = 0
    final: bool = False
    refusals: list[object] = field(default_factory=list)


def write(node: Any, number: int = 1) -> Outcome:
    """Writes a block of the last of ENDS bytes; ends at the first thing that is not a success."""
    outcome = Outcome()
    peer = None
    try:
        peer = Peer(node)
        peer.stream.set_timeouts(read_timeout_s=5.0)
        outcome.opened = peer.ask(request(number)).status is Status.SUCCESS
        start = 0
        for seqno, end in enumerate(ENDS):
            peer.packet(seqno, start, DATA[start:end], sync=end == SYNCED_END)
            if not peer.ack().ok:
                return outcome
            outcome.acked, start = end, end
            outcome.synced = max(outcome.synced, SYNCED_END if end >= SYNCED_END else 0)
        peer.packet(len(ENDS), start, b"", last=True)
        outcome.final = peer.ack().ok
    except (OSError, SeamlessError) as error:
        outcome.refusals.append(error)
    finally:
        if peer is not None:
            peer.close()
    return outcome


def copy(node: Any, number: int = 1) -> Outcome:
    """Sends a whole replica as another datanode does: one answer at the end."""
    outcome = Outcome()
    peer = None
    try:
        peer = Peer(node)
        peer.stream.set_timeouts(read_timeout_s=5.0)
        peer.stream.sendall(request(number, client_name="", length=ENDS[-1]))
        peer.packet(0, 0, DATA[: ENDS[-1]])
        peer.packet(1, ENDS[-1], b"", last=True)
        answer = OpResponse.decode(peer.stream.read_varint_delimited(1 << 16))
        outcome.final = answer.status is Status.SUCCESS
    except (OSError, SeamlessError) as error:
        outcome.refusals.append(error)
    finally:
        if peer is not None:
            peer.close()
    return outcome


def append(node: Any, number: int = 1, stamp: int = 1002) -> Outcome:
    """Goes on with a block that `write` has finished, by 400 bytes."""
    outcome = Outcome(acked=ENDS[-1], synced=ENDS[-1])
    peer = None
    try:
        peer = Peer(node)
        peer.stream.set_timeouts(read_timeout_s=5.0)
        asked = request(
            number,
            Stage.PIPELINE_SETUP_APPEND,
            length=ENDS[-1],
            latest_generation_stamp=stamp,
            min_bytes_received=ENDS[-1],
            max_bytes_received=ENDS[-1],
        )
        outcome.opened = peer.ask(asked).status is Status.SUCCESS
        peer.packet(0, ENDS[-1], DATA[ENDS[-1] : 6000])
        if not peer.ack().ok:
            return outcome
        outcome.acked = 6000
        peer.packet(1, 6000, b"", last=True)
        outcome.final = peer.ack().ok
    except (OSError, SeamlessError) as error:
        outcome.refusals.append(error)
    finally:
        if peer is not None:
            peer.close()
    return outcome
