"""Avro's container file, shown as one JSON object a line, in Avro's own JSON encoding.

Shape:

    "Obj" 1(u8) | metadata: map of bytes (avro.schema: JSON, avro.codec) | sync marker (16 bytes)
    block: objects(long) size(long) data, packed by the codec | marker

Longs are zigzag numbers of seven bits a byte, strings and bytes a long and their data, a union its branch as a long.
In JSON a union that is not null is an object with the branch's type as its key, bytes are characters up to U+00FF.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from seamlessfs.cli.dfs.reading import java_numbers
from seamlessfs.cli.dfs.reading.source import Source
from seamlessfs.cli.dfs.reading.unpack import check_size, unpack_block
from seamlessfs.model.errors import UnsupportedOperation

MAGIC = b"Obj\x01"
SYNC_BYTES = 16
DEPTH_MAX = 64
"""Schemas nested deeper, or in themselves, and data that follows them."""

VARINT_BYTES_MAX = 10
CODECS = {"deflate": "deflate", "bzip2": "bzip2", "xz": "xz"}

T = TypeVar("T")
Reader = Callable[[Source, int], str]
"""Reads one value, so deep inside others, and returns it as JSON."""


def lines(source: Source) -> Iterator[bytes]:
    """One line an object.

    Raises:
        UnsupportedOperation: the file is damaged, or packed by a codec that cannot be unpacked here.
    """
    try:
        yield from _lines(source)
    except (EOFError, struct.error, ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise UnsupportedOperation(f"{source.name} is a damaged Avro file: {error!r}") from error


def _lines(source: Source) -> Iterator[bytes]:
    source.read(len(MAGIC))
    metadata = dict(_metadata(source))
    marker = source.read(SYNC_BYTES)
    codec = metadata.get("avro.codec", b"null").decode()
    if codec != "null" and codec not in CODECS:
        raise UnsupportedOperation(f"{source.name}: what the codec {codec} packs cannot be unpacked here")
    read = Schema().reader(json.loads(metadata["avro.schema"]))
    while not source.ended():
        count, size = read_long(source), read_long(source)
        data = source.read(size)
        block = Source(iter([data if codec == "null" else unpack_block(CODECS[codec], data, source.name)]), source.name)
        for _ in range(count):
            yield read(block, 0).encode() + b"\n"
        if source.read(SYNC_BYTES) != marker:
            raise ValueError("a block does not end where it should")


def _metadata(source: Source) -> Iterator[tuple[str, bytes]]:
    for _ in _items(source):
        yield _bytes(source).decode(), _bytes(source)


def _items(source: Source) -> Iterator[None]:
    """Once for each item of an array or map: they come in blocks, the last of which is empty."""
    while count := read_long(source):
        check_size(abs(count), source.name)
        if count < 0:
            read_long(source)  # the block's size in bytes, for those who skip it
        for _ in range(abs(count)):
            yield None


def read_long(source: Source) -> int:
    value = 0
    for place in range(VARINT_BYTES_MAX):
        byte = source.read(1)[0]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1)
    raise ValueError("a number does not end")


def _bytes(source: Source) -> bytes:
    return source.read(read_long(source))


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _characters(data: bytes) -> str:
    return quoted(data.decode("latin-1"))


def _number(shown: str) -> str:
    return shown if shown[-1].isdigit() else quoted(shown)


PRIMITIVES: Mapping[str, Reader] = {
    "null": lambda _source, _depth: "null",
    "boolean": lambda source, _depth: "true" if source.read(1) != b"\0" else "false",
    "int": lambda source, _depth: str(read_long(source)),
    "long": lambda source, _depth: str(read_long(source)),
    "float": lambda source, _depth: _number(java_numbers.single(struct.unpack("<f", source.read(4))[0])),
    "double": lambda source, _depth: _number(java_numbers.double(struct.unpack("<d", source.read(8))[0])),
    "bytes": lambda source, _depth: _characters(_bytes(source)),
    "string": lambda source, _depth: quoted(_bytes(source).decode()),
}


@dataclass
class Schema:
    """Turns a schema into what reads its values. Named types are known from where they are defined on."""

    named: dict[str, Reader] = field(default_factory=dict)

    def reader(self, schema: Any, space: str = "") -> Reader:
        if isinstance(schema, str):
            return self._reference(schema, space)
        if isinstance(schema, list):
            return self._union(schema, space)
        kind = schema["type"]
        if kind == "array":
            item = self.reader(schema["items"], space)
            return lambda source, depth: f"[{','.join(item(source, deeper(depth)) for _ in _items(source))}]"
        if kind == "map":
            value = self.reader(schema["values"], space)
            return lambda source, depth: _object(
                (quoted(_bytes(source).decode()), value(source, deeper(depth))) for _ in _items(source)
            )
        if kind in ("enum", "fixed", "record", "error"):
            return self._define(kind, schema, space)
        return self.reader(kind, space)

    def _reference(self, name: str, space: str) -> Reader:
        if name in PRIMITIVES:
            return PRIMITIVES[name]
        full = full_name(name, space)
        return lambda source, depth: self.named[full](source, depth)

    def _define(self, kind: str, schema: Any, space: str) -> Reader:
        full = full_name(schema["name"], schema.get("namespace", space))
        inner = full.rpartition(".")[0]
        if kind == "enum":
            symbols = [quoted(symbol) for symbol in schema["symbols"]]
            self.named[full] = lambda source, _depth: _one_of(symbols, source)
        elif kind == "fixed":
            size = schema["size"]
            self.named[full] = lambda source, _depth: _characters(source.read(size))
        else:
            fields = [(quoted(one["name"]), self.reader(one["type"], inner)) for one in schema["fields"]]
            self.named[full] = lambda source, depth: _object(
                (name, read(source, deeper(depth))) for name, read in fields
            )
        return self.named[full]

    def _union(self, branches: list[Any], space: str) -> Reader:
        readers = [(branch_name(branch, space), self.reader(branch, space)) for branch in branches]

        def read(source: Source, depth: int) -> str:
            name, value = _one_of(readers, source)
            shown = value(source, deeper(depth))
            return shown if name == "null" else _object([(quoted(name), shown)])

        return read


def _one_of(choices: Sequence[T], source: Source) -> T:
    at = read_long(source)
    if at < 0:
        raise ValueError(f"there is no choice {at}")
    return choices[at]


def deeper(depth: int) -> int:
    if depth >= DEPTH_MAX:
        raise ValueError(f"values nested more than {DEPTH_MAX} deep")
    return depth + 1


def full_name(name: str, space: str) -> str:
    return name if "." in name or not space else f"{space}.{name}"


def branch_name(branch: Any, space: str) -> str:
    """The name of a union's branch: that of its type, or of the named type it is."""
    if isinstance(branch, str):
        return branch if branch in PRIMITIVES else full_name(branch, space)
    kind = branch["type"]
    if "name" in branch and kind in ("enum", "fixed", "record", "error"):
        return full_name(branch["name"], branch.get("namespace", space))
    return str(kind)


def _object(pairs: Iterable[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}"
