"""Calls as production namenodes see them, on a namespace of many files: most open a file, few change anything."""

from __future__ import annotations

import random
from collections import deque
from contextlib import closing

from google.protobuf.message import Message

from bench.many_files import OWNER, TOP, ManyFiles, path_of
from bench.namenodes import cpu_s
from bench.results import Sample
from bench.rpc_load import Load
from seamlessfs.wire.pb.hadoop import acl_pb2
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from tests.support.raw_rpc import RawRpc

CALLERS = 16
SHARES = (("open", 69.0), ("stat", 17.0), ("list", 9.0), ("create", 2.7), ("rename", 1.2), ("delete", 1.1))
"""Percent of the calls."""
HOLDER = "bench"
FOLDER = f"{TOP}/mix"


class Mix:
    """The calls of one round, the same on each server: chance comes from the round's number and the caller's."""

    def __init__(self, files: ManyFiles, number: int) -> None:
        self._files = files
        self._number = number
        self._chance = [random.Random(f"{number} {who}") for who in range(CALLERS)]
        self._created = [deque[str]() for _ in range(CALLERS)]
        self._renamed = [deque[str]() for _ in range(CALLERS)]

    def call(self, who: int, n: int) -> tuple[str, Message]:
        """What is asked next; a rename or a deletion without a file of the caller's makes one instead."""
        chance = self._chance[who]
        (kind,) = chance.choices([name for name, _ in SHARES], [share for _, share in SHARES])
        path = path_of(chance.randrange(self._files.count))
        if kind == "open":
            return "getBlockLocations", pb.GetBlockLocationsRequestProto(src=path, offset=0, length=1 << 40)
        if kind == "stat":
            return "getFileInfo", pb.GetFileInfoRequestProto(src=path)
        if kind == "list":
            folder = path.rpartition("/")[0]
            return "getListing", pb.GetListingRequestProto(src=folder, startAfter=b"", needLocation=False)
        return self._change(kind, who, n)

    def _change(self, kind: str, who: int, n: int) -> tuple[str, Message]:
        created, renamed = self._created[who], self._renamed[who]
        if kind == "rename" and created:
            source = created.popleft()
            renamed.append(f"{source}-renamed")
            return "rename2", pb.Rename2RequestProto(src=source, dst=renamed[-1], overwriteDest=False)
        if kind == "delete" and renamed:
            return "delete", pb.DeleteRequestProto(src=renamed.popleft(), recursive=False)
        created.append(f"{FOLDER}/{self._number}-{who}-{n}")
        return "create", pb.CreateRequestProto(
            src=created[-1], masked=acl_pb2.FsPermissionProto(perm=0o644), clientName=HOLDER, createFlag=1,
            createParent=False, replication=1, blockSize=128 << 20,
        )  # fmt: skip


def measure_mix(address: tuple[str, int], pid: int, files: ManyFiles, calls: int, rounds: int) -> list[Sample]:
    """So many samples, after one that warms the server."""
    with RawRpc(*address, user=OWNER) as rpc:
        masked = acl_pb2.FsPermissionProto(perm=0o755)
        rpc.call("mkdirs", pb.MkdirsRequestProto(src=FOLDER, masked=masked, createParent=True))
    samples = []
    with closing(Load(address, CALLERS, OWNER)) as load:
        for number in range(1 + rounds):
            before_s = cpu_s(pid)
            outcome = load.run(Mix(files, number).call, calls)
            spent_s = cpu_s(pid) - before_s
            waits_s = tuple(outcome.wait_s(share) for share in (0.5, 0.99, 0.999))
            samples.append(Sample(outcome.calls, outcome.seconds, 0.0, spent_s, waits_s))
    return samples[1:]
