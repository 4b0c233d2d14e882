"""The HTTP server against real sockets: what it answers, and what it does not put up with."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import pytest
from aiohttp import web

from seamlessfs.web.health import health_page
from seamlessfs.web.server import HttpLimits, HttpServer, Page, Streamed, plain

Start = Callable[..., "asyncio.Future[HttpServer]"]
WAIT_S = 30


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    servers: list[HttpServer] = []

    async def begin(pages: dict[str, Page], **limits: float) -> HttpServer:
        server = HttpServer(pages, HttpLimits(**limits))  # type: ignore[arg-type]
        servers.append(server)
        await server.start("127.0.0.1", 0)
        return server

    yield begin  # type: ignore[misc]
    for server in servers:
        await server.stop(0)


async def hello(request: web.BaseRequest) -> web.Response:
    return plain(f"hello {request.query.get('name', 'you')}")


async def connect(server: HttpServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.port)


async def ask(server: HttpServer, path: str, method: str = "GET", headers: str = "") -> tuple[int, str]:
    """Status and body of one request over a connection of its own."""
    async with asyncio.timeout(WAIT_S):
        reader, writer = await connect(server)
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n".encode())
        answer = await reader.read()
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the server ends the connection, whatever it says before."""
    async with asyncio.timeout(WAIT_S):
        try:
            while await reader.read(1 << 20):
                pass
        except ConnectionResetError:
            pass
    return True


async def test_pages_are_found_by_path(start: Start) -> None:
    server = await start({"/hello": hello})
    assert await ask(server, "/hello?name=a%20b") == (200, "hello a b")
    assert await ask(server, "/hello", "HEAD") == (200, "")
    assert await ask(server, "/hell") == (404, "No such page. There are:\n/hello\n")
    assert (await ask(server, "/hello", "POST", "Content-Length: 0\r\n"))[0] == 405
    assert server.requests == 4


async def test_a_page_that_fails_is_logged_and_not_explained(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    async def page(_: web.BaseRequest) -> web.Response:
        raise ValueError("a secret")

    status, text = await ask(await start({"/": page}), "/")
    assert (status, "secret" in text) == (500, False)
    assert "a secret" in caplog.text


async def test_a_page_that_takes_too_long_is_given_up(start: Start) -> None:
    async def page(_: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    assert (await ask(await start({"/": page}, answer_timeout_s=0.05), "/"))[0] == 503


async def test_a_stream_is_sent_while_it_is_made(start: Start) -> None:
    made, taken = asyncio.Event(), asyncio.Event()

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"first\n"
        await taken.wait()
        yield b"second\n"
        made.set()

    async def page(_: web.BaseRequest) -> Streamed:
        return Streamed(chunks())

    server = await start({"/": page})
    reader, writer = await connect(server)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    async with asyncio.timeout(WAIT_S):
        assert (await reader.readuntil(b"first\n")).startswith(b"HTTP/1.0 200")
        taken.set()
        assert await reader.read() == b"second\n"
    assert made.is_set()
    writer.close()
    assert await ask(server, "/", "HEAD") == (200, "")


async def test_a_stream_ends_when_its_reader_leaves(start: Start) -> None:
    closed = asyncio.Event()

    async def chunks() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)
        finally:
            closed.set()

    async def page(_: web.BaseRequest) -> Streamed:
        return Streamed(chunks())

    reader, writer = await connect(await start({"/": page}))
    writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    await reader.readexactly(10_000)
    writer.transport.abort()
    async with asyncio.timeout(WAIT_S):
        await closed.wait()
    assert closed.is_set()


async def test_a_stream_that_fails_is_cut_short(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"half"
        raise OSError("no more")

    async def page(_: web.BaseRequest) -> Streamed:
        return Streamed(chunks())

    reader, writer = await connect(await start({"/": page}))
    writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    answer = b""
    async with asyncio.timeout(WAIT_S):
        try:
            while more := await reader.read(4096):
                answer += more
        except ConnectionResetError:
            pass
    assert not answer.endswith(b"0\r\n\r\n"), "a client must not take half for the whole"
    assert "http_page_failed" in caplog.text
    assert "no more" in caplog.text
    writer.close()


@pytest.mark.parametrize("streamed", [False, True])
async def test_who_does_not_read_is_cut_off(start: Start, streamed: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def chunks() -> AsyncGenerator[bytes, None]:
        while True:
            yield b"x" * (1 << 20)

    async def page(_: web.BaseRequest) -> web.Response | Streamed:
        return Streamed(chunks()) if streamed else web.Response(body=b"x" * (64 << 20))

    server = await start({"/": page}, write_timeout_s=0.2)
    with socket.create_connection(("127.0.0.1", server.port)) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        async with asyncio.timeout(WAIT_S):
            while not server.requests or server.connections:
                await asyncio.sleep(0.01)
    assert server.connections == 0
    assert not caplog.records


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: h\r\nX: "], ids=["nothing", "half a request"])
async def test_silence_is_not_waited_for(start: Start, said: bytes) -> None:
    reader, writer = await connect(await start({"/": hello}, idle_timeout_s=0.2))
    writer.write(said)
    assert await ended(reader)
    writer.close()


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n",
        b"\x00\x01hrpc\r\n\r\n",
    ],
    ids=["line", "header", "headers", "no HTTP"],
)
async def test_requests_beyond_the_bounds_are_refused(
    start: Start, request_head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start({"/": hello})
    reader, writer = await connect(server)
    writer.write(request_head)
    async with asyncio.timeout(WAIT_S):
        assert (await reader.read()).startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    writer.close()
    assert (await ask(server, "/"))[0] == 200
    assert not caplog.records


async def test_connections_are_bounded(start: Start) -> None:
    server = await start({"/": hello}, connections_max=2)
    held = [await connect(server) for _ in range(2)]
    async with asyncio.timeout(WAIT_S):
        while server.connections < 2:
            await asyncio.sleep(0.01)
    reader, writer = await connect(server)
    assert await ended(reader)
    for _, each in [*held, (reader, writer)]:
        each.close()
    async with asyncio.timeout(WAIT_S):
        while server.connections:
            await asyncio.sleep(0.01)
    assert (await ask(server, "/"))[0] == 200


async def test_health_is_a_status_and_reasons(start: Start) -> None:
    ailing: list[str] = []
    server = await start({"/healthz": health_page(lambda: ailing)})
    assert await ask(server, "/healthz") == (200, "ok\n")
    ailing += ["one", "two"]
    assert await ask(server, "/healthz") == (503, "one\ntwo\n")
