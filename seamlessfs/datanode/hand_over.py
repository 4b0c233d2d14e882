"""TRANSFER_BLOCK into another IDC is handed to a datanode there that has the block too: then no whole block crosses.

A recovering client picks the source itself, usually the datanode next to it. That one knows from the write which
datanodes were behind it in the pipeline.
"""

from __future__ import annotations

import dataclasses
import logging

from seamlessfs.datanode.context import TransferContext
from seamlessfs.datanode.ledger import Peer
from seamlessfs.datanode.log import event
from seamlessfs.datanode.mirror import RESPONSE_BYTES_MAX
from seamlessfs.model.cluster import UNKNOWN_IDC, DatanodeInfo
from seamlessfs.model.errors import CallTimeout, SeamlessError
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.ops import TransferBlockOp
from seamlessfs.wire.xfer.response import OpResponse

WAIT_SHARE = 3
"""The helper gets a third of the read time-out: the client waits a whole one, and the datanode that it asked still
has to do the work itself if the helper does not answer."""

HELPER_BYTES_PER_S = 5 << 20
"""Beyond that, time for the bytes at half the rate that stock clients allow for."""


def hand_over(context: TransferContext, op: TransferBlockOp, length: int) -> bool:
    """Lets a pipeline member in the targets' IDC do the transfer; False: nobody did, do it yourself.

    A request that was handed over is not handed over again.

    Args:
        length: bytes of the replica here, for the time that the transfer may take.
    """
    if op.handed_over:
        return False
    idcs = {context.ledger.idc_of(target.id.ip) for target in op.targets}
    if len(idcs) != 1 or idcs & {context.ledger.own_idc, UNKNOWN_IDC}:
        return False
    wanted = {target.id.uuid for target in op.targets}
    for helper in context.pipelines.behind(op.block.block.id):
        if context.ledger.idc_of(helper.id.ip) in idcs and helper.id.uuid not in wanted:
            try:
                _ask(context, op, helper, length)
                event(logging.INFO, "transfer_handed_over", block=op.block.block.id, to=helper.id.xfer_address)
                return True
            except (OSError, SeamlessError) as error:
                address = helper.id.xfer_address
                event(logging.WARNING, "hand_over_failed", block=op.block.block.id, to=address, error=error)
                if isinstance(error, CallTimeout | TimeoutError):
                    return False
    return False


def _ask(context: TransferContext, op: TransferBlockOp, helper: DatanodeInfo, length: int) -> None:
    patience_s = context.settings.read_timeout_ms / 1000 / WAIT_SHARE
    stream = context.connect(helper.id, 0, patience_s=patience_s)
    meter = context.ledger.meter(stream, Peer(helper.id.ip), "write")
    try:
        stream.set_timeouts(read_timeout_s=patience_s + length / HELPER_BYTES_PER_S)
        stream.sendall(dataclasses.replace(op, handed_over=True).to_bytes())
        answer = OpResponse.decode(stream.read_varint_delimited(RESPONSE_BYTES_MAX))
        if answer.status is not Status.SUCCESS:
            raise SeamlessError(answer.message or answer.status.name)
    finally:
        meter.flush()
        context.outgoing.close(stream)
