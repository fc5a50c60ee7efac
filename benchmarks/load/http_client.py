"""A small HTTP/1.1 client for measuring: keep-alive, chunked bodies, server-sent events.

It shares the cores with the server that it measures, so a token costs it one callback and no task
switch. It knows bytes and requests, and no models: that is `bench`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

from llm_service.models.remote.sse import EventParser
from seedbed.errors import BadInput, DeadlineExceeded, Unavailable

from .http_parser import CutOff, Response, ResponseParser

LARGEST_PLAIN_BODY = 64 * 1024 * 1024


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.alive = True
        self.begun = False  # whether anything of the present answer came
        self._parser: ResponseParser | None = None
        self._events: EventParser | None = None
        self._done: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        if self._parser is None:  # nobody asked: nothing good can follow
            self.abort()
            return
        self.begun = True
        try:
            self._parser.feed(data)
        except ValueError as error:
            self._end(CutOff(f"Malformed HTTP response: {error}."))
            self.abort()
            return
        if self._parser.done:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        if self._parser is not None:
            self._parser.eof()
            self._end(
                None
                if self._parser.done
                else CutOff(f"The server closed the connection early: {exc}.")
            )

    def _end(self, error: Exception | None = None) -> None:
        if self._events is not None and error is None:
            self._events.end()
        done, self._done = self._done, None
        if done is not None and not done.done():
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

    def abort(self) -> None:
        self.alive = False
        if self.transport is not None:
            self.transport.abort()

    async def exchange(
        self, request: bytes, on_event: Callable[[bytes], None] | None
    ) -> tuple[Response, bool]:
        """Send and wait for the whole response; True when the connection can be used again."""
        body = bytearray()

        def sink(piece: bytes) -> None:
            if on_event and parser.headers.get("content-type", "").startswith("text/event-stream"):
                if self._events is None:
                    self._events = EventParser()
                for data in self._events.feed(piece):
                    on_event(data)
            elif len(body) > LARGEST_PLAIN_BODY:
                raise ValueError(f"the body is larger than {LARGEST_PLAIN_BODY:,} bytes")
            else:
                body.extend(piece)

        parser = self._parser = ResponseParser(sink)
        self._events, self.begun = None, False
        self._done = done = asyncio.get_running_loop().create_future()
        assert self.transport is not None
        try:
            self.transport.write(request)
            await done
        except BaseException:
            self.abort()
            raise
        finally:
            self._parser = None
        again = parser.keep_alive and self.alive
        if not again:
            self.abort()
        return Response(parser.status, parser.headers, bytes(body)), again


@dataclass
class Client:
    """Requests to one server, over as many connections as there are requests at once.

    `url` is the API's root with or without `/v1`. Raises BadInput where it is no such address.
    """

    url: str
    key: str | None = None
    timeout: float = 120.0
    _idle: list[_Connection] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        text = self.url if "://" in self.url else f"http://{self.url}"
        try:
            parts = urlsplit(text)
            self._host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise BadInput(f"Invalid URL {self.url!r}: {error}.") from None
        if parts.scheme not in ("http", "https") or not self._host:
            raise BadInput(f"Invalid URL {self.url!r}.", hint="Example: http://127.0.0.1:8004/v1")
        self._ssl = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = port or (443 if self._ssl else 80)
        self._root = parts.path.rstrip("/") or "/v1"
        key = f"Authorization: Bearer {self.key}\r\n" if self.key else ""
        if any(c in f"{parts.netloc}{self._root}{self.key}" for c in "\r\n \t"):
            raise BadInput("The URL or the key contains a space or a line break.")
        host = parts.netloc.rpartition("@")[2]
        self._common = (
            f"Host: {host}\r\n{key}Accept: */*\r\nCache-Control: no-store\r\n"
            "User-Agent: llm-service-bench\r\n"
        )

    async def get(self, path: str) -> Response:
        return await self._send(f"GET {self._root}{path} HTTP/1.1\r\n{self._common}\r\n".encode())

    async def post(
        self, path: str, body: bytes, on_event: Callable[[bytes], None] | None = None
    ) -> Response:
        """POST JSON; the `data` of each server-sent event of the answer goes to `on_event`.

        Raises Unavailable (unreachable), CutOff (ended early) or DeadlineExceeded.
        """
        head = (
            f"POST {self._root}{path} HTTP/1.1\r\n{self._common}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return await self._send(head.encode() + body, on_event)

    async def _send(
        self, request: bytes, on_event: Callable[[bytes], None] | None = None
    ) -> Response:
        try:
            async with asyncio.timeout(self.timeout):
                while connection := self._reusable():
                    try:
                        return await self._over(connection, request, on_event)
                    except CutOff:
                        # The server may close an idle connection just as it is used again.
                        if connection.begun:
                            raise
                return await self._over(await self._connect(), request, on_event)
        except TimeoutError:
            raise DeadlineExceeded(f"No complete response within {self.timeout} s.") from None

    async def _over(
        self,
        connection: _Connection,
        request: bytes,
        on_event: Callable[[bytes], None] | None,
    ) -> Response:
        response, again = await connection.exchange(request, on_event)
        if again:
            self._idle.append(connection)
        return response

    def _reusable(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.alive:
                return connection
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                _Connection, self._host, self._port, ssl=self._ssl
            )
        except OSError as error:
            reason = error.strerror or str(error)
            raise Unavailable(f"Cannot connect to {self.url}: {reason}.") from None
        return connection

    def close(self) -> None:
        while self._idle:
            self._idle.pop().abort()
