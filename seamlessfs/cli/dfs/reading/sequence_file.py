"""Hadoop's SequenceFile: pairs of a key and a value, shown as lines of key, tab, value.

Shape:

    "SEQ" version(u8) | key class | value class | compressed(u8) | in blocks(u8) | codec class, if compressed
    | pairs of metadata (i32 count, strings) | sync marker (16 bytes)
    record:  length(i32) key length(i32) key value           a length of -1: the marker, then the length again
    block:   -1(i32) marker | records(vint) | 4 x (size(vint), packed: key lengths, keys, value lengths, values)

Strings are a vint and UTF-8; a vint is one byte from -112 to 127, or a byte that tells sign and size, then the number.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from seamlessfs.cli.dfs.reading import java_numbers
from seamlessfs.cli.dfs.reading.source import Source
from seamlessfs.cli.dfs.reading.unpack import unpack_block
from seamlessfs.model.errors import UnsupportedOperation

MAGIC = b"SEQ"
VERSION_MIN, VERSION_MAX = 5, 6
SYNC_BYTES = 16
METADATA_MAX = 1024
CODECS = {"DefaultCodec": "zlib", "DeflateCodec": "zlib", "GzipCodec": "gzip", "BZip2Codec": "bzip2"}
WRITABLES = "org.apache.hadoop.io."


def lines(source: Source) -> Iterator[bytes]:
    """One line a pair.

    Raises:
        UnsupportedOperation: keys or values of a class, or packed by a codec, that cannot be shown here.
    """
    try:
        yield from _lines(source)
    except (EOFError, struct.error, UnicodeDecodeError, IndexError) as error:
        raise UnsupportedOperation(f"{source.name} is a damaged SequenceFile: {error}") from error


def _lines(source: Source) -> Iterator[bytes]:
    version = source.read(4)[3]
    if not VERSION_MIN <= version <= VERSION_MAX:
        raise UnsupportedOperation(f"{source.name} is a SequenceFile of version {version}; 5 and 6 can be shown")
    show_key, show_value = (_show(_string(source), source.name) for _ in range(2))
    compressed, in_blocks = source.read(1) != b"\0", source.read(1) != b"\0"
    codec = _codec(_string(source), source.name) if compressed else None
    if version >= VERSION_MAX:
        count = source.int32()
        if not 0 <= count <= METADATA_MAX:
            raise UnsupportedOperation(f"{source.name} has {count} pairs of metadata; the most is {METADATA_MAX}")
        for _ in range(2 * count):
            _string(source)
    source.read(SYNC_BYTES)
    pairs = _blocks(source, codec) if in_blocks and codec is not None else _records(source, codec)
    for key, value in pairs:
        yield f"{show_key(key)}\t{show_value(value)}\n".encode()


def _records(source: Source, codec: str | None) -> Iterator[tuple[bytes, bytes]]:
    while not source.ended():
        length = source.int32()
        if length == -1:
            source.read(SYNC_BYTES)
            if source.ended():
                return
            length = source.int32()
        key_length = source.int32()
        key, value = source.read(key_length), source.read(length - key_length)
        yield key, value if codec is None else unpack_block(codec, value, source.name)


def _blocks(source: Source, codec: str) -> Iterator[tuple[bytes, bytes]]:
    while not source.ended():
        source.read(4 + SYNC_BYTES)
        count = read_vint(source)
        parts = [unpack_block(codec, source.read(read_vint(source)), source.name) for _ in range(4)]
        key_lengths, keys, value_lengths, values = (Source(iter([part]), source.name) for part in parts)
        for _ in range(count):
            yield keys.read(read_vint(key_lengths)), values.read(read_vint(value_lengths))


def read_vint(source: Source) -> int:
    """Hadoop's number of variable length."""
    first = struct.unpack("b", source.read(1))[0]
    if first >= -112:
        return int(first)
    negative = first < -120
    value = int.from_bytes(source.read(-first - (120 if negative else 112)), "big")
    return ~value if negative else value


def _string(source: Source) -> str:
    return source.read(read_vint(source)).decode()


def _codec(name: str, file: str) -> str:
    kind = CODECS.get(name.rpartition(".")[2])
    if kind is None:
        raise UnsupportedOperation(f"{file}: what {name} packs cannot be unpacked here")
    return kind


def _vint(data: bytes) -> int:
    return read_vint(Source(iter([data]), "a number"))


def _with_length(data: bytes) -> bytes:
    source = Source(iter([data]), "a value")
    return source.read(read_vint(source))


def _hex(data: bytes) -> str:
    return data[4 : 4 + struct.unpack(">i", data[:4])[0]].hex(" ")


SHOWN: dict[str, Callable[[bytes], object]] = {
    "Text": lambda data: _with_length(data).decode(),
    "NullWritable": lambda _data: "(null)",
    "BooleanWritable": lambda data: "true" if data[0] else "false",
    "ByteWritable": lambda data: struct.unpack("b", data)[0],
    "ShortWritable": lambda data: struct.unpack(">h", data)[0],
    "IntWritable": lambda data: struct.unpack(">i", data)[0],
    "LongWritable": lambda data: struct.unpack(">q", data)[0],
    "VIntWritable": _vint,
    "VLongWritable": _vint,
    "FloatWritable": lambda data: java_numbers.single(struct.unpack(">f", data)[0]),
    "DoubleWritable": lambda data: java_numbers.double(struct.unpack(">d", data)[0]),
    "BytesWritable": _hex,
    "MD5Hash": lambda data: data.hex(),
}
"""Class (below org.apache.hadoop.io) -> what its toString shows."""


def _show(name: str, file: str) -> Callable[[bytes], object]:
    show = SHOWN.get(name.removeprefix(WRITABLES)) if name.startswith(WRITABLES) else None
    if show is None:
        raise UnsupportedOperation(f"{file}: objects of {name} cannot be shown here; only Hadoop's basic Writables can")
    return show
