"""A namenode that is asked many things at once: one connection a user, every call by its id."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from dataclasses import dataclass

from google.protobuf.message import Message

from seamlessfs.wire.rpc.client import ClientConnection, Response, Status
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL, messages_of

ANSWER_TIMEOUT_S = 60.0
READ_BYTES = 1 << 18


@dataclass(frozen=True)
class Answer:
    """What a server said: a message, or the Java class and text of a refusal without Java's stack lines."""

    message: Message | None
    class_name: str = ""
    text: str = ""

    def __str__(self) -> str:
        if self.message is None:
            return f"{self.class_name.rpartition('.')[2]}: {self.text}"
        return " ".join(str(self.message).split()) or "done"


class Connection:
    """One user's connection to a namenode; answers may come in any order."""

    def __init__(self, user: str) -> None:
        self._wire = ClientConnection(uuid.uuid4().bytes, user, None, CLIENT_PROTOCOL)
        self._ids = itertools.count()
        self._waiting: dict[int, asyncio.Future[Response]] = {}
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self, host: str, port: int) -> None:
        reader, self._writer = await asyncio.open_connection(host, port)
        self._writer.write(self._wire.preamble())
        self._task = asyncio.create_task(self._read(reader))

    async def call(self, method: str, request: Message, repeated: int | None = None) -> tuple[Answer, int]:
        """Makes a call, or repeats the one with that id as a client does whose answer was lost.

        Returns:
            The answer, and the call's id.
        """
        messages = messages_of(CLIENT_PROTOCOL, method)
        assert messages is not None, method
        assert self._writer is not None
        call_id, retries = (next(self._ids), 0) if repeated is None else (repeated, 1)
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = future
        self._writer.write(self._wire.encode_call(call_id, retries, method, CLIENT_PROTOCOL, 1, request))
        try:
            response = await asyncio.wait_for(future, ANSWER_TIMEOUT_S)
        except TimeoutError:
            raise AssertionError(f"{method} was not answered within {ANSWER_TIMEOUT_S:.0f} s") from None
        if response.status is Status.SUCCESS:
            return Answer(messages.response.FromString(bytes(response.body))), call_id
        return Answer(None, response.class_name, response.message.split("\n\tat ")[0]), call_id

    async def _read(self, reader: asyncio.StreamReader) -> None:
        lost: Exception = ConnectionError("the namenode closed the connection")
        try:
            while data := await reader.read(READ_BYTES):
                for response in self._wire.receive_data(data):
                    if not (future := self._waiting.pop(response.call_id)).done():
                        future.set_result(response)
        except Exception as error:
            lost = error
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(lost)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._writer is not None:
            self._writer.close()


class Server:
    """One of the two namenodes that are compared."""

    def __init__(self, name: str, address: str, users: tuple[str, ...]) -> None:
        self.name = name
        host, _, port = address.rpartition(":")
        self._address = host, int(port)
        self._connections = {user: Connection(user) for user in users}

    async def open(self) -> None:
        for connection in self._connections.values():
            await connection.open(*self._address)

    async def call(self, user: str, method: str, request: Message, repeated: int | None = None) -> tuple[Answer, int]:
        return await self._connections[user].call(method, request, repeated)

    async def close(self) -> None:
        for connection in self._connections.values():
            await connection.close()
