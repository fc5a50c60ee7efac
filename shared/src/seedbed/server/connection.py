"""One HTTP connection, with limits on what a slow or silent client may hold: time and memory.

Uvicorn waits for ever for a request's head, takes a head of any size, and keeps an answer that
nobody reads. It knows no requests; a body's time and size are `middleware.BodyLimit`'s.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_SECONDS = 10.0
"""Seconds for a request's head to arrive, from the connection's begin or the head's first byte."""
STALL_SECONDS = 30.0
"""Seconds for which a client may take nothing of an answer that waits for it."""
MAX_HEAD = 64 * 2**10
"""Bytes of a request's head, at most."""

_Base: Any = AutoHTTPProtocol


class Connection(_Base):  # type: ignore[misc]
    """Uvicorn's connection, which is closed when its client holds it for too long."""

    def __init__(
        self,
        *given: Any,
        head_seconds: float = HEAD_SECONDS,
        stall_seconds: float = STALL_SECONDS,
        **named: Any,
    ) -> None:
        super().__init__(*given, **named)
        self._head_seconds = head_seconds
        self._stall_seconds = stall_seconds
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head = 0  # bytes
        self._unsent = 0  # when it was last looked at

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        self._taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._answered and self._head_timer is None:
            self._await_head()
        super().data_received(data)
        if not self._answered:
            self._head_came()
        if self._in_head:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self.transport.abort()

    @property
    def _answered(self) -> bool:
        """No request is waiting for its answer; a head, or the rest of a body, may be coming."""
        return self.cycle is None or self.cycle.response_complete

    # httptools calls these three; h11 bounds a head's size itself.

    def on_message_begin(self) -> None:
        self._in_head, self._head = True, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # after a chunked body: nobody reads these
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def handle_websocket_upgrade(self, *given: Any) -> None:
        self._head_came()
        super().handle_websocket_upgrade(*given)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self._head_seconds, self._too_slow)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        if self._answered:
            self.transport.abort()

    # An answer that nobody reads fills a buffer without end, and its request never ends.

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_buffer()

    def resume_writing(self) -> None:
        self._taken()
        super().resume_writing()

    def _watch_buffer(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(self._stall_seconds, self._stalled)

    def _taken(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _stalled(self) -> None:
        if self.transport.get_write_buffer_size() < self._unsent:
            self._watch_buffer()  # slowly, but it reads
        else:
            self.transport.abort()
