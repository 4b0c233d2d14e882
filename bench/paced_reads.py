"""A read of a file's status every few milliseconds, from a process of its own: what a caller waits meanwhile."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection

from bench.rpc_load import Load
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb

INTERVAL_S = 0.005
END_TIMEOUT_S = 60.0


@contextmanager
def paced_reads(address: tuple[str, int], path: str) -> Iterator[list[float]]:
    """Reads while the body runs. The list has the waits at its end, in order of size, in seconds.

    A wait counts from when the read was due: one slow answer is felt by all who come meanwhile.
    """
    spawning = multiprocessing.get_context("spawn")  # a fork would copy locks of threads that it does not have
    here, there = spawning.Pipe()
    reader = spawning.Process(target=_read, args=(there, address, path), daemon=True)
    reader.start()
    there.close()
    waits: list[float] = []
    try:
        here.recv()
        yield waits
        here.send("end")
        if not here.poll(END_TIMEOUT_S):
            raise TimeoutError(f"no end of the reads of {path} within {END_TIMEOUT_S:.0f} s")
        waits += sorted(here.recv())
    finally:
        reader.kill()
        reader.join()


def _read(parent: Connection, address: tuple[str, int], path: str) -> None:
    call = ("getFileInfo", pb.GetFileInfoRequestProto(src=path))
    waits: list[float] = []
    with closing(Load(address, 1)) as load:
        load.run(lambda who, n: call, 1)
        parent.send("begun")
        due = time.perf_counter()
        over = False
        while not over:
            load.run(lambda who, n: call, 1)
            waits.append(time.perf_counter() - due)
            due += INTERVAL_S
            over = parent.poll(max(0.0, due - time.perf_counter()))
    parent.send(waits)
