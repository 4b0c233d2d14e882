"""A bounded HTTP server on aiohttp: answers GET and HEAD from a table of pages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import cast

from aiohttp import web

from seamlessfs.log import event

LOG = logging.getLogger(__name__)

_BACKLOG = 128
_METHODS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of a server.

    Attributes:
        connections_max: connections at the same time; further ones are dropped.
        line_bytes: of a request's first line: a path of HDFS's longest, percent-encoded. `header_bytes`: of one
            header. `headers_max`: of one request. Bodies are not read.
        idle_timeout_s: from the start of a connection, or the end of an answer, to the end of the next request.
        answer_timeout_s: from a request to its answer, streams excepted.
        write_timeout_s: how long a peer may leave what it was sent unread.
    """

    connections_max: int = 256
    line_bytes: int = 32 << 10
    header_bytes: int = 8 << 10
    headers_max: int = 64
    idle_timeout_s: float = 30.0
    answer_timeout_s: float = 60.0
    write_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer that is sent while it is made; the generator is closed at its end, also when the peer leaves."""

    chunks: AsyncGenerator[bytes, None]
    content_type: str = "text/plain"


Page = Callable[[web.BaseRequest], Awaitable[web.Response | Streamed]]
"""Answers a request; whatever it raises is logged, and told to the peer as status 500."""


class HttpServer:
    """Serves pages, each under its exact path.

    Attributes:
        port: the one that it listens on, once it does.
        requests: answered since the start.
    """

    def __init__(self, pages: Mapping[str, Page], limits: HttpLimits | None = None) -> None:
        self.port = 0
        self.requests = 0
        self._pages = pages
        self._limits = limits or HttpLimits()
        self._server: asyncio.Server | None = None
        self._http: web.Server | None = None

    @property
    def connections(self) -> int:
        return 0 if self._http is None else len(self._http.connections)

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port, the chosen one if `port` was 0."""
        limits = self._limits
        http = self._http = web.Server(
            self._serve,
            handler_cancellation=True,
            access_log=None,
            logger=logging.Logger("what peers say wrong", logging.CRITICAL),  # who knocks must not fill the log
            keepalive_timeout=limits.idle_timeout_s,
            lingering_time=0,
            max_line_size=limits.line_bytes,
            max_field_size=limits.header_bytes,
            max_headers=limits.headers_max,
        )

        def accept() -> asyncio.BaseProtocol:
            return _Dropped() if len(http.connections) >= limits.connections_max else http()

        self._server = await asyncio.get_running_loop().create_server(accept, host, port, backlog=_BACKLOG)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self.port

    async def stop(self, grace_s: float = 1.0) -> None:
        """Takes no more requests, and ends those under way after `grace_s`."""
        if self._server is not None:
            self._server.close()
        if self._http is not None:
            await self._http.shutdown(grace_s)
        if self._server is not None:
            await self._server.wait_closed()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests += 1
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=0)  # a write ends when the kernel has all of it
        try:
            answer = await self._answer(request)
            if isinstance(answer, Streamed):
                return await self._stream(request, answer)
            async with self._patience():
                await answer.prepare(request)
                await answer.write_eof()
            return answer
        except ConnectionError:
            pass  # the peer has left, or has not read for too long
        except Exception as error:  # noqa: BLE001 - behind the first byte nothing can be told but by cutting it short
            self._log_failure(request, error)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)  # which nobody gets

    async def _answer(self, request: web.BaseRequest) -> web.Response | Streamed:
        page = self._pages.get(request.path)
        if page is None:
            return plain("No such page. There are:\n" + "".join(f"{path}\n" for path in sorted(self._pages)), 404)
        if request.method not in _METHODS:
            return web.Response(status=405, headers={"Allow": ", ".join(_METHODS)})
        try:
            async with asyncio.timeout(self._limits.answer_timeout_s):
                return await page(request)
        except TimeoutError:
            return plain(f"No answer within {self._limits.answer_timeout_s:.0f} s.\n", 503)
        except Exception as error:  # noqa: BLE001 - whatever a page raises is that request's answer
            self._log_failure(request, error)
            return plain("Internal error: the log of this daemon says which.\n", 500)

    @staticmethod
    def _log_failure(request: web.BaseRequest, error: Exception) -> None:
        event(LOG, "http_page_failed", logging.ERROR, exc_info=error, path=request.path, peer=request.remote)

    async def _stream(self, request: web.BaseRequest, answer: Streamed) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": answer.content_type})
        async with contextlib.aclosing(answer.chunks) as chunks:
            async with self._patience():
                await response.prepare(request)
            if request.method != "HEAD":
                async for chunk in chunks:
                    async with self._patience():
                        await response.write(chunk)
            async with self._patience():
                await response.write_eof()
        return response

    @contextlib.asynccontextmanager
    async def _patience(self) -> AsyncIterator[None]:
        """Gives up a peer that does not read."""
        try:
            async with asyncio.timeout(self._limits.write_timeout_s):
                yield
        except TimeoutError:
            raise ConnectionResetError("the peer leaves its answer unread") from None


class _Dropped(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


def plain(text: str, status: int = 200) -> web.Response:
    """An answer for people: plain text."""
    return web.Response(text=text, status=status, headers={"X-Content-Type-Options": "nosniff"})
