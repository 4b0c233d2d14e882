"""Calls to a namenode, one connection, nothing between the test and what the server says."""

from __future__ import annotations

import itertools
import socket
import uuid
from types import TracebackType
from typing import Any

from google.protobuf.message import Message

from seamlessfs.wire.rpc.client import ClientConnection, Response, Status
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL, messages_of

ANSWER_TIMEOUT_S = 60.0


class Refused(Exception):
    """What the server answered: the Java class and the text, without Java's stack lines."""

    def __init__(self, class_name: str, text: str) -> None:
        super().__init__(f"{class_name}: {text}")
        self.class_name = class_name
        self.text = text.split("\n\tat ")[0]


class RawRpc:
    """A connection to a namenode for one user.

    Args:
        client_id: that of another connection, to repeat its calls; default: one of its own.
    """

    def __init__(self, host: str, port: int, user: str = "root", client_id: bytes | None = None) -> None:
        self.client_id = client_id or uuid.uuid4().bytes
        self._connection = ClientConnection(self.client_id, user, None, CLIENT_PROTOCOL)
        self._ids = itertools.count()
        self._socket = socket.create_connection((host, port), ANSWER_TIMEOUT_S)
        self._socket.sendall(self._connection.preamble())

    def call(
        self,
        method: str,
        request: Message,
        protocol: str = CLIENT_PROTOCOL,
        *,
        answer: type[Message] | None = None,
        repeated: int | None = None,
    ) -> Any:
        """Sends one call and waits for its answer.

        Args:
            answer: message of the answer, for a protocol that our servers do not speak.
            repeated: id of the earlier call that this one repeats; default: a new call with the next id, from 0.

        Raises:
            Refused: the server said no.
        """
        if answer is None:
            messages = messages_of(protocol, method)
            assert messages is not None, method
            answer = messages.response
        call_id, retries = (next(self._ids), 0) if repeated is None else (repeated, 1)
        self._socket.sendall(self._connection.encode_call(call_id, retries, method, protocol, 1, request))
        response = self._response(method)
        if response.status is not Status.SUCCESS:
            raise Refused(response.class_name, response.message)
        return answer.FromString(response.body)

    def _response(self, method: str) -> Response:
        while True:
            data = self._socket.recv(1 << 16)
            assert data, f"{method}: the server closed the connection"
            if answers := self._connection.receive_data(data):
                return answers[0]

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> RawRpc:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
