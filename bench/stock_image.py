"""The same many files as the image of a stock namenode: what it loads when it starts.

Shape: "HDFSIMG1", sections, FileSummary with its length before it, that length's and its own sum as 4 bytes. Every
message has its length before it. The sections of a namespace that was just formatted stay, but for three: its
counters, its inodes, and which inodes its directories have.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import Message

from bench.many_files import (
    BLOCK_BYTES,
    FILE_MODE,
    FOLDER_MODE,
    LENGTH,
    MADE_AT_MS,
    REPLICATION,
    STAMP,
    TOP,
    TOP_ID,
    ManyFiles,
    block_of,
    name_of,
)
from seamlessfs.model.ids import ROOT_INODE_ID
from seamlessfs.wire.pb.hadoop import fsimage_pb2 as pb
from seamlessfs.wire.pb.hadoop.hdfs_pb2 import BlockProto
from seamlessfs.wire.rpc import frames

MAGIC = b"HDFSIMG1"
IMAGE = "fsimage_" + "0" * 19
"""Of a namespace that was just formatted."""
MODE_BITS = 0xFFFF


def fill_image(folder: Path, files: ManyFiles) -> None:
    """Puts the files into a namespace that was just formatted: the root's user owns them all.

    Args:
        folder: `current` of the namenode.
    """
    image = folder / IMAGE
    data = image.read_bytes()
    summary = _summary(data)
    old = {section.name: data[section.offset : section.offset + section.length] for section in summary.sections}
    with image.open("wb") as file:
        file.write(MAGIC)
        for section in summary.sections:
            section.offset = file.tell()
            _write_section(file, section.name, old[section.name], files)
            section.length = file.tell() - section.offset
        last = _delimited(summary)
        file.write(last + len(last).to_bytes(4, "big"))
    with image.open("rb") as file, closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as mapped:
        digest = hashlib.md5(mapped, usedforsecurity=False).hexdigest()
    image.with_name(IMAGE + ".md5").write_text(f"{digest} *{IMAGE}\n")


def _summary(data: bytes) -> pb.FileSummary:
    if not data.startswith(MAGIC):
        raise ValueError(f"{IMAGE} does not begin with {MAGIC.decode()}")
    size = int.from_bytes(data[-4:], "big")
    body, _ = frames.split_delimited(data[-4 - size : -4], 0)
    return pb.FileSummary.FromString(body)


def _write_section(file: BinaryIO, name: str, old: bytes, files: ManyFiles) -> None:
    if name == "NS_INFO":
        body, _ = frames.split_delimited(old, 0)
        counters = pb.NameSystemSection.FromString(body)
        counters.genstampV2, counters.lastAllocatedBlockId = STAMP, block_of(files.count - 1)
        file.write(_delimited(counters))
    elif name == "INODE":
        _, at = frames.split_delimited(old, 0)
        body, _ = frames.split_delimited(old, at)
        _write_all(file, _inodes(pb.INode.FromString(body), files))
    elif name == "INODE_DIR":
        _write_all(file, _directories(files))
    else:
        file.write(old)


def _inodes(root: pb.INode, files: ManyFiles) -> Iterator[Message]:
    """The section's head, the root as it was, and everything below it."""
    owner = root.directory.permission & ~MODE_BITS
    made = pb.INode.Directory(
        modificationTime=MADE_AT_MS, nsQuota=(1 << 64) - 1, dsQuota=(1 << 64) - 1, permission=owner | FOLDER_MODE
    )
    folders = sum(1 for _ in files.folders())
    yield pb.INodeSection(lastInodeId=files.last_inode, numInodes=2 + folders + files.count)
    yield root
    yield pb.INode(type="DIRECTORY", id=TOP_ID, name=TOP.strip("/").encode(), directory=made)
    content = pb.INode.File(
        replication=REPLICATION,
        modificationTime=MADE_AT_MS,
        accessTime=MADE_AT_MS,
        preferredBlockSize=BLOCK_BYTES,
        permission=owner | FILE_MODE,
        blocks=[BlockProto(blockId=0, genStamp=STAMP, numBytes=LENGTH)],
    )
    for folder in files.folders():
        yield pb.INode(type="DIRECTORY", id=folder.id, name=folder.name, directory=made)
        for number in folder.files:
            content.blocks[0].blockId = block_of(number)
            yield pb.INode(type="FILE", id=folder.file_id(number), name=name_of(number), file=content)


def _directories(files: ManyFiles) -> Iterator[Message]:
    yield pb.DirEntry(parent=ROOT_INODE_ID, children=[TOP_ID])
    yield pb.DirEntry(parent=TOP_ID, children=[folder.id for folder in files.folders()])
    for folder in files.folders():
        yield pb.DirEntry(parent=folder.id, children=map(folder.file_id, folder.files))


def _write_all(file: BinaryIO, messages: Iterable[Message]) -> None:
    file.writelines(map(_delimited, messages))


def _delimited(message: Message) -> bytes:
    body = message.SerializeToString()
    return frames.encode_varint(len(body)) + body
