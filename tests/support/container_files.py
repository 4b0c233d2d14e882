"""Files in the formats that -text shows, made by hand: Hadoop's SequenceFile, Avro's container file."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

SYNC = bytes(range(16))
IO = "org.apache.hadoop.io."
PACK: dict[str, Callable[[bytes], bytes]] = {
    "DefaultCodec": zlib.compress,
    "GzipCodec": gzip.compress,
    "BZip2Codec": bz2.compress,
}


def vint(value: int) -> bytes:
    """Hadoop's number of variable length."""
    if -112 <= value <= 127:
        return struct.pack("b", value)
    first, number = (-120, ~value) if value < 0 else (-112, value)
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return struct.pack("b", first - len(data)) + data


def text(value: str) -> bytes:
    data = value.encode()
    return vint(len(data)) + data


def bytes_writable(value: bytes) -> bytes:
    return struct.pack(">i", len(value)) + value


WRITE: dict[str, Callable[[Any], bytes]] = {
    "Text": text,
    "NullWritable": lambda _value: b"",
    "BooleanWritable": lambda value: struct.pack("?", value),
    "ByteWritable": lambda value: struct.pack("b", value),
    "ShortWritable": lambda value: struct.pack(">h", value),
    "IntWritable": lambda value: struct.pack(">i", value),
    "LongWritable": lambda value: struct.pack(">q", value),
    "VIntWritable": vint,
    "VLongWritable": vint,
    "FloatWritable": lambda value: struct.pack(">f", value),
    "DoubleWritable": lambda value: struct.pack(">d", value),
    "BytesWritable": bytes_writable,
}


def sequence_file(
    key: str, value: str, pairs: Sequence[tuple[Any, Any]], codec: str = "", blocks: bool = False
) -> bytes:
    """A SequenceFile with these classes; a sync marker before every third record, a block of two records each."""
    head = b"SEQ\x06" + text(IO + key) + text(IO + value) + bytes([bool(codec), blocks])
    if codec:
        head += text(f"{IO}compress.{codec}")
    head += struct.pack(">i", 1) + text("made by") + text("hand") + SYNC
    rows = [(WRITE[key](one), WRITE[value](other)) for one, other in pairs]
    if blocks:
        return head + b"".join(_block(rows[at : at + 2], PACK[codec]) for at in range(0, len(rows), 2))
    pack = PACK[codec] if codec else bytes
    body = b""
    for index, (one, other) in enumerate(rows):
        body += struct.pack(">i", -1) + SYNC if index % 3 == 2 else b""
        packed = pack(other)
        body += struct.pack(">ii", len(one) + len(packed), len(one)) + one + packed
    return head + body


def _block(rows: Sequence[tuple[bytes, bytes]], pack: Callable[[bytes], bytes]) -> bytes:
    columns = []
    for column in zip(*rows, strict=True):
        columns += [b"".join(vint(len(cell)) for cell in column), b"".join(column)]
    packed = [pack(data) for data in columns]
    return struct.pack(">i", -1) + SYNC + vint(len(rows)) + b"".join(vint(len(data)) + data for data in packed)


AVRO_PACK: dict[str, Callable[[bytes], bytes]] = {
    "null": bytes,
    "deflate": lambda data: zlib.compress(data)[2:-4],
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def zigzag(value: int) -> bytes:
    number = value << 1 ^ value >> 63
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def avro_bytes(value: bytes) -> bytes:
    return zigzag(len(value)) + value


def avro_file(schema: Any, objects: Sequence[bytes], codec: str = "null") -> bytes:
    """An Avro file of objects that are encoded already, two to a block."""
    metadata = {"avro.schema": json.dumps(schema).encode(), "avro.codec": codec.encode()}
    head = b"Obj\x01" + zigzag(len(metadata))
    head += b"".join(avro_bytes(name.encode()) + avro_bytes(value) for name, value in metadata.items())
    head += zigzag(0) + SYNC
    for at in range(0, len(objects), 2):
        block = objects[at : at + 2]
        head += zigzag(len(block)) + avro_bytes(AVRO_PACK[codec](b"".join(block))) + SYNC
    return head
