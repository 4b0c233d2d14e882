"""Calls a second through an RPC server, pipelined, over 1 and 16 connections. Run: python -m bench.micro.rpc_rate

The handler does nothing: what is measured is framing, scheduling, dispatch and encoding. Processor time of the server,
since the machine may be busy with something else.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import socket
import threading
from multiprocessing.connection import Connection

import uvloop

from seamlessfs.model.principal import Principal
from seamlessfs.net.rpc_server import CallContext, RpcServer
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.rpc.client import ClientConnection
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL

CALLS = 60_000
WINDOW = 500
ROUNDS = 5
ANSWER_BYTES = 33
"""Of an empty getFileInfo whose call id takes two bytes."""


def get_file_info(_: CallContext, __: pb.GetFileInfoRequestProto) -> pb.GetFileInfoResponseProto:
    return pb.GetFileInfoResponseProto()


def serve(pipe: Connection) -> None:
    """Tells its port, then its processor seconds each time it is asked, until the pipe ends."""
    uvloop.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    server = RpcServer({CLIENT_PROTOCOL: {"getFileInfo": get_file_info}}, lambda who: Principal(who.user))
    address = await server.start("127.0.0.1", 0)
    pipe.send(address)
    ended = asyncio.Event()

    def asked() -> None:
        try:
            pipe.recv()
            usage = resource.getrusage(resource.RUSAGE_SELF)
            pipe.send(usage.ru_utime + usage.ru_stime)
        except EOFError:
            ended.set()

    asyncio.get_running_loop().add_reader(pipe.fileno(), asked)
    await ended.wait()
    os._exit(0)


def flood(address: tuple[str, int], calls: int, window: int) -> None:
    """Sends `calls` calls, `window` at a time ahead of the answers."""
    wire = ClientConnection(os.urandom(16), "bench", None, CLIENT_PROTOCOL)
    request = pb.GetFileInfoRequestProto(src="/user/bench/some/file")
    batch = b"".join(wire.encode_call(1000 + n, 0, "getFileInfo", CLIENT_PROTOCOL, 1, request) for n in range(window))
    with socket.create_connection(address) as connection:
        connection.sendall(wire.preamble() + batch)
        for left in range(calls, 0, -window):
            if left > window:
                connection.sendall(batch)
            unread = window * ANSWER_BYTES
            while unread:
                unread -= len(connection.recv(min(unread, 1 << 16)))


def main() -> None:
    parent, child = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(child,), daemon=True)
    server.start()
    child.close()
    address = parent.recv()

    def cpu_s() -> float:
        parent.send(None)
        spent: float = parent.recv()
        return spent

    for connections, window in ((1, WINDOW), (16, WINDOW), (16, 1)):
        best_s = float("inf")
        for _ in range(ROUNDS):
            share = CALLS // connections // window // (10 if window == 1 else 1) * window
            threads = [threading.Thread(target=flood, args=(address, share, window)) for _ in range(connections)]
            before_s = cpu_s()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            best_s = min(best_s, (cpu_s() - before_s) / (share * connections))
        print(f"{connections:3} connections, {window:3} calls ahead: {1 / best_s:9,.0f} calls/s of one processor")


if __name__ == "__main__":
    main()
