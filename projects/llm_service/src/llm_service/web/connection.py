"""Limits on how long a slow or silent client may occupy one HTTP connection.

    service.serve(app, port=8004, protocol=functools.partial(Connection, stall_seconds=10))

Uvicorn itself waits without limit for a request's head, accepts a head of any size, and keeps an
answer in memory that its client does not read (`Config` has no setting for any of these). The size
and time of a request's body are limited by `seedbed.server.middleware.BodyLimit`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_SECONDS = 10.0
"""Seconds in which a request's head must arrive, from the start of the connection or from the first
byte after the previous answer."""
STALL_SECONDS = 30.0
"""Seconds after which a client that has read nothing of its answer is disconnected."""
MAX_HEAD = 64 * 2**10
"""Maximum size of a request's head in bytes."""

_Base: Any = AutoHTTPProtocol


def raise_file_limit() -> None:
    """Permit more than the usual 1,024 open files, as each connection needs one."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft != resource.RLIM_INFINITY and soft < limit:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


class Connection(_Base):  # type: ignore[misc]
    """Uvicorn's protocol for one connection, which disconnects a client that exceeds a limit.

    Uvicorn calls it as an `asyncio.Protocol`, with the methods that are overridden here; with
    httptools, its parser calls the `on_…` methods.
    """

    def __init__(
        self,
        *args: Any,
        head_seconds: float = HEAD_SECONDS,
        stall_seconds: float = STALL_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._head_seconds = head_seconds
        self._stall_seconds = stall_seconds
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head_bytes = 0
        self._unsent_bytes = 0  # in the write buffer, when the stall timer was started

    # ── a request's head: its time and size ─────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_stall_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._idle and self._head_timer is None:
            self._start_head_timer()  # the next request on a keep-alive connection
        super().data_received(data)
        if not self._idle:
            self._stop_head_timer()  # the head is complete
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self.transport.abort()

    @property
    def _idle(self) -> bool:
        """Whether every request so far was answered; a head may be arriving, or a body's rest."""
        return self.cycle is None or self.cycle.response_complete

    # Callbacks of httptools. The other parser, h11, limits the size of a head itself.

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # trailers after a chunked body, which no application reads
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def handle_websocket_upgrade(self, *args: Any) -> None:
        self._stop_head_timer()
        super().handle_websocket_upgrade(*args)

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self._head_seconds, self._on_head_timeout)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_head_timeout(self) -> None:
        if self._idle:
            self.transport.abort()

    # ── an answer that its client does not read ─────────────────────────────────────────────

    # asyncio pauses writing when its buffer is full. From then on the application waits, and with
    # it everything that the request occupies.

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_stall_timer()

    def resume_writing(self) -> None:
        self._stop_stall_timer()
        super().resume_writing()

    def _start_stall_timer(self) -> None:
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(self._stall_seconds, self._on_stall_timeout)

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _on_stall_timeout(self) -> None:
        if self.transport.get_write_buffer_size() < self._unsent_bytes:
            self._start_stall_timer()  # slow, but the client reads
        else:
            self.transport.abort()
