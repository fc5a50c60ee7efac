"""Connections of clients that send their request too slowly or do not read the answer."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest
import uvicorn
from uvicorn.server import ServerState

from llm_service.web.connection import MAX_HEAD, Connection

pytestmark = pytest.mark.timeout(60)
HEAD = b"GET / HTTP/1.1\r\nhost: localhost\r\n"


@asynccontextmanager
async def connect(app, **limits):
    """A connection to a server with these limits: its reader and writer."""
    config = uvicorn.Config(app, log_config=None)
    config.load()
    protocol = partial(Connection, config, ServerState(), {}, **limits)
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()


async def hello(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def read_to_end(reader):
    """The bytes until the server ends the connection."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_incomplete_head_is_disconnected_after_its_time():
    async with connect(hello, head_seconds=0.05) as (reader, writer):
        writer.write(HEAD)
        assert await read_to_end(reader) == b""


async def test_incomplete_second_head_is_disconnected_too():
    async with connect(hello, head_seconds=0.2) as (reader, writer):
        writer.write(HEAD + b"\r\n")
        await reader.readuntil(b"hello")
        writer.write(HEAD)
        assert await read_to_end(reader) == b"\r\n0\r\n\r\n"  # the end of the first answer


async def test_large_head_is_disconnected():
    async with connect(hello) as (reader, writer):
        line = b"x-filler: " + b"x" * 8000 + b"\r\n"
        writer.write(HEAD + line * (MAX_HEAD // len(line) + 1))
        assert b"200" not in await read_to_end(reader)


async def test_client_that_does_not_read_is_disconnected():
    stopped = asyncio.Event()

    async def endless(send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 2**20, "more_body": True})
            if stopped.is_set():
                return

    async def until_disconnect(_scope, receive, send):
        sending = asyncio.create_task(endless(send))
        while (await receive())["type"] != "http.disconnect":
            pass
        stopped.set()
        await sending

    async with connect(until_disconnect, stall_seconds=0.05) as (_, writer):
        writer.write(HEAD + b"\r\n")
        await asyncio.wait_for(stopped.wait(), 30)
        assert stopped.is_set()
