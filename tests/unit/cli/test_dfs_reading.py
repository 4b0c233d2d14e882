"""What -text says of files that are damaged, hostile, or packed by what is not here; numbers as Java shows them."""

from __future__ import annotations

import bz2
import gzip
import struct
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamlessfs.cli.dfs.reading import java_numbers
from seamlessfs.cli.dfs.reading.avro import DEPTH_MAX
from seamlessfs.cli.dfs.reading.decode import decode
from seamlessfs.cli.dfs.reading.unpack import RECORD_BYTES_MAX
from seamlessfs.model.errors import UnsupportedOperation
from tests.support.container_files import SYNC, avro_bytes, avro_file, sequence_file, zigzag

ROWS = [(1, "one"), (2, "two"), (3, "three")]
SEQUENCE = sequence_file("IntWritable", "Text", ROWS)
AVRO = avro_file({"type": "array", "items": "string"}, [zigzag(1) + avro_bytes(b"a") + zigzag(0)])


def shown(name: str, *chunks: bytes) -> bytes:
    return b"".join(decode(name, iter(chunks)))


@pytest.mark.parametrize("contents", [SEQUENCE, AVRO, gzip.compress(b"text", mtime=0), b"plain", b""])
def test_the_size_of_pieces_makes_no_difference(contents: bytes) -> None:
    whole = shown("f", contents)
    assert shown("f", *(contents[at : at + 1] for at in range(len(contents)))) == whole


@pytest.mark.parametrize("end", [".snappy", ".lz4", ".zst", ".lzo"])
def test_what_cannot_be_unpacked_is_named(end: str) -> None:
    with pytest.raises(UnsupportedOperation, match=f"f{end}: .* cannot be unpacked here; -get the file"):
        shown(f"f{end}", b"anything")
    assert shown(f"f{end}", b"") == b""


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (
            SEQUENCE.replace(b"IntWritable", b"MapWritable"),
            "objects of org.apache.hadoop.io.MapWritable cannot be shown",
        ),
        (SEQUENCE.replace(b"org.apache.hadoop.io.IntW", b"org.apache.example.io.IntW"), "cannot be shown"),
        (SEQUENCE[:3] + b"\x04" + SEQUENCE[4:], "a SequenceFile of version 4; 5 and 6 can be shown"),
        (SEQUENCE[:-1], "a damaged SequenceFile"),
        (SEQUENCE[:40], "a damaged SequenceFile"),
        (SEQUENCE[: SEQUENCE.index(SYNC) + 16] + struct.pack(">iii", 1 << 30, 4, 0), "has a record of"),
        (
            sequence_file("IntWritable", "Text", ROWS, "GzipCodec").replace(b"GzipCodec", b"Lz4CCodec"),
            "what org.apache.hadoop.io.compress.Lz4CCodec packs cannot be unpacked here",
        ),
        (AVRO[:-1], "a damaged Avro file"),
        (AVRO[:-1] + b"x", "a block does not end where it should"),
        (AVRO.replace(b'"array"', b'"sorry"'), "a damaged Avro file"),
        (AVRO.replace(b"null", b"zstd"), "what the codec zstd packs cannot be unpacked here"),
        (avro_file(["null", "int"], [zigzag(-1)]), "there is no choice -1"),
        (avro_file("bytes", [zigzag(1 << 40)]), "has a record of"),
        (avro_file({"type": "array", "items": "null"}, [zigzag(1 << 40)]), "has a record of"),
        (gzip.compress(b"text" * 1000, mtime=0)[:-20], "it ends too early"),
        (gzip.compress(b"text", mtime=0)[:-8] + bytes(8), "cannot be unpacked: Error"),
    ],
)
def test_what_is_damaged_or_not_known_is_one_error(contents: bytes, said: str) -> None:
    with pytest.raises(UnsupportedOperation, match=r"^f ") as caught:
        shown("f ", contents)
    assert said in str(caught.value)


def test_data_that_is_nested_for_ever_ends() -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"]}]}
    inside = zigzag(1) * DEPTH_MAX
    with pytest.raises(UnsupportedOperation, match=f"nested more than {DEPTH_MAX} deep"):
        shown("f", avro_file(schema, [inside + zigzag(0)]))


@pytest.mark.parametrize("pack", [lambda: zlib.compress(bytes(64 << 20), 9), lambda: bz2.compress(bytes(64 << 20))])
def test_little_that_stands_for_very_much_takes_little_memory(pack: object) -> None:
    assert callable(pack)
    packed = pack()
    name = "f.bz2" if packed.startswith(b"BZ") else "f.deflate"
    tracemalloc.start()
    try:
        total = sum(len(piece) for piece in decode(name, iter([packed])))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 64 << 20
    assert peak < 16 << 20


def test_a_block_that_would_fill_the_memory_is_refused() -> None:
    parts = RECORD_BYTES_MAX // (1 << 20) + 1
    stream = zlib.compressobj(9)
    packed = b"".join(stream.compress(bytes(1 << 20)) for _ in range(parts)) + stream.flush()

    def chunks() -> Iterator[bytes]:
        metadata = {"avro.schema": b'"bytes"', "avro.codec": b"deflate"}
        yield b"Obj\x01" + zigzag(2)
        for key, value in metadata.items():
            yield avro_bytes(key.encode()) + avro_bytes(value)
        yield zigzag(0) + SYNC + zigzag(1) + avro_bytes(packed[2:-4]) + SYNC

    with pytest.raises(UnsupportedOperation, match="has a record of"):
        list(decode("f", chunks()))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (0.001, "0.001"),
        (0.00099, "9.9E-4"),
        (9999999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (-123.456, "-123.456"),
        (1.5e300, "1.5E300"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (float("nan"), "NaN"),
    ],
)
def test_doubles_are_shown_as_java_shows_them(value: float, text: str) -> None:
    assert java_numbers.double(value) == text


@given(st.floats(width=32, allow_nan=False))
def test_a_float_is_shown_with_as_few_digits_as_name_it(value: float) -> None:
    text = java_numbers.single(value)
    read = float(text.replace("Infinity", "inf"))
    assert struct.pack(">f", read) == struct.pack(">f", value)
    assert len(text.strip("-").replace(".", "").partition("E")[0].strip("0")) <= 9
