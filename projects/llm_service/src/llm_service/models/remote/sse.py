"""Server-sent events out of a stream of bytes that may be cut anywhere.

It follows the parsing rules of the HTML standard (section 9.2.6) for what upstreams send: `data`
fields, comments, all three line ends. What the data means is the caller's business.
"""

from __future__ import annotations

from seedbed.errors import Unavailable

MAX_EVENT = 16 * 2**20
"""Bytes of one event, at most: an upstream that never ends a line must not fill the memory."""


class EventParser:
    """`feed` takes bytes and returns the data of each event that they complete."""

    def __init__(self, most: int = MAX_EVENT) -> None:
        self._most = most
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
        self._first = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """Raises Unavailable for an event beyond the limit."""
        buffer = self._rest + chunk if self._rest else chunk
        if self._first and len(buffer) >= 3:
            self._first = False
            buffer = buffer.removeprefix(b"\xef\xbb\xbf")
        held = b""
        if b"\r" in buffer:
            if buffer.endswith(b"\r"):  # its \n may be still to come
                buffer, held = buffer[:-1], b"\r"
            buffer = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = buffer.split(b"\n")
        self._rest = rest + held
        events: list[bytes] = []
        for line in lines:
            self._line(line, events)
        if len(self._rest) + self._size > self._most:
            raise Unavailable(f"The upstream sent an event larger than {self._most:,} bytes.")
        return events

    def end(self) -> list[bytes]:
        """The last event of a stream that ended without its blank line."""
        events: list[bytes] = []
        for line in self._rest.rstrip(b"\r").split(b"\n"):
            self._line(line, events)
        self._line(b"", events)
        self._rest = b""
        return events

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if not line:
            if self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data, self._size = [], 0
        elif line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._data.append(value)
            self._size += len(value)
