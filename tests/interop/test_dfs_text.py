"""-text beside Hadoop's: what is packed, SequenceFile and Avro."""

from __future__ import annotations

import bz2
import gzip
import itertools
import math
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from tests.support.container_files import PACK, avro_bytes, avro_file, sequence_file, zigzag
from tests.support.java_shell import JavaShell
from tests.support.own_shell import dfs

pytestmark = pytest.mark.peers

NUMBERS = [
    0.0,
    -0.0,
    1.0,
    -1.5,
    1e7,
    9999999.0,
    12345678.0,
    1e-3,
    9.99e-4,
    1e300,
    1 / 3,
    100.0,
    1e21,
    math.inf,
    math.nan,
]
FLOATS = [0.0, 1.0, -2.5, 0.1, 3.4e38, 1e-10, 16777216.0, 1e7, -math.inf]
VALUES: dict[str, list[Any]] = {
    "Text": ["", "a line", "ä\tß"],
    "NullWritable": [None],
    "BooleanWritable": [True, False],
    "ByteWritable": [-128, 127],
    "ShortWritable": [-300, 300],
    "IntWritable": [0, -1, 2**31 - 1],
    "LongWritable": [-(2**63), 2**63 - 1],
    "VIntWritable": [0, 127, 128, -112, -113, 70000, -70000],
    "VLongWritable": [2**62, -(2**62)],
    "FloatWritable": FLOATS,
    "DoubleWritable": NUMBERS,
    "BytesWritable": [b"", b"\x00\x7f\xff"],
}
SCHEMA = {
    "type": "record",
    "name": "Reading",
    "namespace": "plant.one",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": ["null", "string"]},
        {"name": "raw", "type": "bytes"},
        {"name": "key", "type": {"type": "fixed", "name": "Key", "size": 2}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["HOT", "COLD"]}},
        {"name": "values", "type": {"type": "array", "items": "double"}},
        {"name": "tags", "type": {"type": "map", "values": ["int", "Kind", "Key"]}},
        {"name": "ok", "type": "boolean"},
        {"name": "share", "type": "float"},
        {"name": "nothing", "type": "null"},
        {"name": "next", "type": ["null", "Reading"]},
    ],
}


def reading(number: int, below: bytes = b"") -> bytes:
    values = b"".join(struct.pack("<d", value) for value in NUMBERS[: number % 4])
    tags = avro_bytes(b"n") + zigzag(0) + zigzag(-number) + avro_bytes("ä".encode()) + zigzag(1) + zigzag(1)
    return b"".join(
        [
            zigzag(number),
            zigzag(1) + avro_bytes(f'say "{number}"\n\x01ä'.encode()) if number % 2 else zigzag(0),
            avro_bytes(bytes([0, 34, 92, 127, 128, 255])),
            b"\x00\xfe",
            zigzag(number % 2),
            (zigzag(number % 4) + values if number % 4 else b"") + zigzag(0),
            zigzag(2) + tags + zigzag(-1) + zigzag(6) + avro_bytes(b"k") + zigzag(2) + b"ab" + zigzag(0),
            bytes([number % 2]),
            struct.pack("<f", 0.1 * number),
            zigzag(1) + below if below else zigzag(0),
        ]
    )


READINGS = [reading(0), reading(1), reading(2, reading(3)), reading(-(2**30), reading(5, reading(6)))]


def files() -> Mapping[str, bytes]:
    """Name -> contents."""
    made = {
        "plain": b"a\n",
        "one": b"1",
        "packed.gz": gzip.compress(b"first\n") + gzip.compress(b"second\n"),
        "packed-without-a-name": gzip.compress(b"by its first bytes\n"),
        "packed.bz2": bz2.compress(b"first\n") + bz2.compress(b"second\n"),
        "packed.deflate": zlib.compress(b"deflated\n" * 100_000),
        "empty.gz": b"",
        "SEQUEL": b"SEE what this is\n",
        "Object": b"Obvious\n",
    }
    for name, values in VALUES.items():
        made[f"{name}.seq"] = sequence_file("Text", name, [(str(at), value) for at, value in enumerate(values)])
    pairs = list(zip(range(7), itertools.cycle(VALUES["Text"])))
    made["none.seq"] = sequence_file("IntWritable", "Text", [])
    for codec in PACK:
        made[f"records-{codec}.seq"] = sequence_file("IntWritable", "Text", pairs, codec)
        made[f"blocks-{codec}.seq"] = sequence_file("IntWritable", "Text", pairs, codec, blocks=True)
    for codec in ("null", "deflate", "bzip2", "xz"):
        made[f"{codec}.avro"] = avro_file(SCHEMA, READINGS, codec)
    made["longs.avro"] = avro_file("long", [zigzag(number) for number in (0, -1, 2**62)])
    made["doubles.avro"] = avro_file({"type": "double"}, [struct.pack("<d", number) for number in NUMBERS])
    made["none.avro"] = avro_file("string", [])
    return made


@pytest.fixture(scope="module")
def folder(mini: MiniCluster) -> str:
    path = "/text-formats"
    with Client(ClientOptions.from_url(mini.url)) as client:
        for name, contents in files().items():
            client.write_file(f"{path}/{name}", contents)
    return path


NOT_THERE = {"3.3.4": {"xz.avro"}, "3.4.1": {"xz.avro"}}
"""What the jars of a version bring no library for."""


def test_what_is_shown_is_what_hadoop_shows(mini: MiniCluster, java_shell: JavaShell, folder: str) -> None:
    differences = []
    for name in files():
        if name in NOT_THERE[java_shell.version]:
            continue
        theirs = java_shell.run(mini.namenode_address, "-text", f"{folder}/{name}")
        ours = dfs(mini.namenode_address, ["-text", f"{folder}/{name}"])
        if (ours.status, ours.out) != (theirs.status % 256, theirs.out):
            differences.append(f"{name}\n  hadoop {theirs.status} {theirs.out!r} {theirs.err[:300]}\n  ours   {ours}")
    assert not differences, "\n".join(differences)
