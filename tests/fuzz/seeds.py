"""What the fuzzer starts from: bytes that real clients and servers have sent, and small ones made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from seamlessfs.journal import frames, record
from seamlessfs.model.block import Block, Checksum, ChecksumType, ExtendedBlock
from seamlessfs.model.ids import BlockId, GenerationStamp, PoolId, Txid
from seamlessfs.wire.checksum import encode_meta_header
from seamlessfs.wire.xfer.short_circuit import ReleaseSlotOp, RequestFdsOp, RequestShmOp, ShmId, SlotId
from tests.fuzz.targets import CLIENT_ID, PREAMBLE
from tests.golden.frames import load

INPUTS = Path(__file__).parent / "inputs"
SEED_BYTES_MAX = 4096


def saved(target: str) -> list[Path]:
    """Inputs that broke the target once."""
    return sorted((INPUTS / target).glob("*"))


def seeds(target: str) -> list[bytes]:
    """Inputs to start from, short ones first; no two the same."""
    found = {seed[:SEED_BYTES_MAX] for seed in _seeds(target)} | {path.read_bytes() for path in saved(target)}
    return sorted(found, key=lambda seed: (len(seed), seed)) or [b""]


def _seeds(target: str) -> Iterator[bytes]:
    yield b""
    if target.startswith("rpc"):
        for golden in load("rpc"):
            stream = golden.received if target == "rpc_client" else golden.sent
            yield stream if target in ("rpc_server", "rpc_client") else stream[len(PREAMBLE) :]
            if target in ("rpc_server_frame", "rpc_server_body", "rpc_client"):
                yield from _frames(stream if target == "rpc_client" else stream[len(PREAMBLE) :])
    elif target.startswith(("xfer", "delimited")):
        for golden in load("xfer"):
            yield golden.received if target in ("xfer_acks", "xfer_response", "delimited") else golden.sent
            yield golden.received[1:] if target == "xfer_response" else golden.sent[4:]
        for request in _LOCAL_OPS:
            yield request if target == "xfer_op" else request[4:]
    elif target in _BY_HAND:
        yield from _BY_HAND[target]


def _frames(stream: bytes) -> Iterator[bytes]:
    at = 0
    while at + 4 <= len(stream):
        size = int.from_bytes(stream[at : at + 4], "big", signed=True)
        if not 0 <= size <= len(stream):
            return
        yield stream[at + 4 : at + 4 + size]
        at += 4 + size


_BLOCK = ExtendedBlock(PoolId("BP-1"), Block(BlockId(1 << 30), GenerationStamp(1001), 7))
_SLOT = SlotId(ShmId(-1, 1 << 62), 127)
_LOCAL_OPS = (
    RequestFdsOp(_BLOCK, slot=_SLOT, sends_receipt=True).to_bytes(),
    ReleaseSlotOp(_SLOT).to_bytes(),
    RequestShmOp("client").to_bytes(),
)
_WRITES = record.encode({b"key": b"value", b"gone": None})
_BY_HAND: dict[str, tuple[bytes, ...]] = {
    "checksums": (encode_meta_header(Checksum(ChecksumType.CRC32C, 512)), b"\x01\x00\x02\x04abcdabcdefgh"),
    "journal": (frames.SegmentHeader(Txid(1), 0).to_bytes(), frames.frame_header(Txid(1), b"abc", 0) + b"abc"),
    "journal_record": (_WRITES, _WRITES[:-8]),
    "store_records": tuple(bytes([1 << 4 | kind]) + bytes(80) for kind in range(1, 16)),
    "hadoop_xml": (
        b"<configuration><property><name>fs.defaultFS</name><value>hdfs://h:1/${a}</value></property></configuration>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><configuration>&a;</configuration>',
        b'<property name="dfs.blocksize" value="128m" final="true"/>',
    ),
    "topology": (b"10.0.0.0/8 /a/r1\nfd00::/8 /b/r1 # x\nhost /c/r\n", b"127.0.0.1 /a/r1"),
    "settings_toml": (b'data_dir = "/d"\nrpc_port = 1\n[groups]\na = ["b"]\n', CLIENT_ID),
    "names": (b"/a/../b//c", b"blk_1_2.meta", b"/a:b", b"alice/host@REALM", "/ü/\U0001f600".encode()),
}
