"""What recorded bytes mean, worked out with nothing but the messages and the framing of `capture`."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as xfer
from seamlessfs.wire.pb.hadoop import rpc_pb2
from tests.support.capture import RPC_PREAMBLE_BYTES, decode_calls, split_delimited, split_frames

OPS = {80: xfer.OpWriteBlockProto, 81: xfer.OpReadBlockProto, 85: xfer.OpBlockChecksumProto}
_OP = struct.Struct(">HB")
_PACKET = struct.Struct(">ih")


def rpc_meaning(sent: bytes, received: bytes) -> dict[str, Any]:
    """Who calls, each call, and each answer; nothing for bytes that are not Hadoop RPC."""
    try:
        return _rpc_meaning(sent, received)
    except Exception:
        return {}


def _rpc_meaning(sent: bytes, received: bytes) -> dict[str, Any]:
    meaning: dict[str, Any] = {"calls": decode_calls(sent), "answers": []}
    for one in split_frames(sent[RPC_PREAMBLE_BYTES:]):
        serialized, position = split_delimited(one, 0)
        if rpc_pb2.RpcRequestHeaderProto.FromString(serialized).callId == -3:
            context = rpc_pb2.IpcConnectionContextProto.FromString(split_delimited(one, position)[0])
            meaning["user"] = context.userInfo.effectiveUser
            meaning["protocol"] = context.protocol
    for one in split_frames(received):
        serialized, position = split_delimited(one, 0)
        header = rpc_pb2.RpcResponseHeaderProto.FromString(serialized)
        call_id = header.callId - (1 << 32) if header.callId >= 1 << 31 else header.callId
        body = split_delimited(one, position)[0] if header.status == 0 and position < len(one) else b""
        meaning["answers"].append([call_id, header.status, header.exceptionClassName, len(body)])
    return meaning


def transfer_meaning(sent: bytes, received: bytes) -> dict[str, Any]:
    """The operations of a connection with their packets and acks, in order."""
    operations = []
    up = down = 0
    while up < len(sent):
        _, code = _OP.unpack_from(sent, up)
        serialized, up = split_delimited(sent, up + _OP.size)
        operation: dict[str, Any] = {"op": code}
        request = OPS[code].FromString(serialized)
        if code != 85 or down < len(received):
            serialized, down = split_delimited(received, down)
            answer = xfer.BlockOpResponseProto.FromString(serialized)
            operation["status"] = answer.status
        if code == 80:
            operation.update(_write_meaning(request))
            packets, up = _packets(sent, up)
            operation["packets"] = packets
            operation["acks"], down = _acks(received, down)
        elif code == 81:
            operation["packets"], down = _packets(received, down)
            if up < len(sent) and sent[up] == 2:
                operation["verdict"] = xfer.ClientReadStatusProto.FromString(sent[up + 1 : up + 3]).status
                up += 3
        else:
            operation["digest"] = answer.checksumResponse.blockChecksum.hex()
            operation["crc_per_block"] = answer.checksumResponse.crcPerBlock
        operations.append(operation)
    return {"operations": operations, "unread": len(received) - down}


def _write_meaning(request: Any) -> dict[str, Any]:
    return {
        "client": request.header.clientName != "",
        "targets": len(request.targets),
        "pipeline_size": request.pipelineSize,
        "checksum_type": request.requestedChecksum.type,
        "latest_generation_stamp": request.latestGenerationStamp,
        "num_bytes": request.header.baseHeader.block.numBytes,
        "storage_id": request.HasField("storageId"),
        "from_datanode": request.HasField("source"),
    }


def _packets(data: bytes, position: int) -> tuple[list[list[Any]], int]:
    """Each packet as [seqno, offset, length, last, sync, bytes of checksums, MD5 of the data], to the last one."""
    packets: list[list[Any]] = []
    while not packets or not packets[-1][3]:
        payload, header_length = _PACKET.unpack_from(data, position)
        position += _PACKET.size
        header = xfer.PacketHeaderProto.FromString(data[position : position + header_length])
        end = position + header_length + payload - 4
        body = data[end - header.dataLen : end]
        sums = payload - 4 - header.dataLen
        digest = hashlib.md5(body).hexdigest()
        packets.append(
            [
                header.seqno,
                header.offsetInBlock,
                header.dataLen,
                header.lastPacketInBlock,
                header.syncBlock,
                sums,
                digest,
            ]
        )
        position = end
    return packets, position


def _acks(data: bytes, position: int) -> tuple[list[list[Any]], int]:
    """Each ack as [seqno, replies, flags], to the end of the connection."""
    acks = []
    while position < len(data):
        serialized, position = split_delimited(data, position)
        ack = xfer.PipelineAckProto.FromString(serialized)
        acks.append([ack.seqno, list(ack.reply), list(ack.flag)])
    return acks, position
