"""An HTTP/1.1 response, read from bytes that may be split anywhere.

It knows no connection: that is `http_client`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from seedbed.errors import Unavailable

LONGEST_HEAD = 64 * 1024


class CutOff(Unavailable):
    """The connection ended, or went wrong, before the answer was whole."""


@dataclass
class Response:
    """`body` is empty where the answer went to `on_event` piece by piece."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Part(Enum):
    HEAD = auto()
    SIZE = auto()
    CHUNK = auto()
    CHUNK_END = auto()
    TRAILER = auto()
    LENGTH = auto()
    UNTIL_CLOSE = auto()
    DONE = auto()


class ResponseParser:
    """Reads one response from bytes that may be split anywhere; body bytes go to `sink`.

    Raises ValueError where it is no HTTP/1.x.
    """

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._buffer = bytearray()
        self._part = _Part.HEAD
        self._left = 0
        self.status = 0
        self.headers: dict[str, str] = {}
        self._steps: dict[_Part, Callable[[], bool]] = {
            _Part.HEAD: self._head,
            _Part.SIZE: self._size,
            _Part.CHUNK: self._take,
            _Part.CHUNK_END: self._chunk_end,
            _Part.TRAILER: self._trailer,
            _Part.LENGTH: self._take,
            _Part.UNTIL_CLOSE: self._rest,
            _Part.DONE: lambda: False,
        }

    @property
    def done(self) -> bool:
        return self._part is _Part.DONE

    @property
    def keep_alive(self) -> bool:
        """Whether the connection can carry another request: all was read, and nobody closes it."""
        return (
            self.done
            and not self._buffer
            and self.headers.get("connection", "").lower() != "close"
            and self.headers.get(":version") != "HTTP/1.0"
        )

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while self._steps[self._part]():
            pass

    def eof(self) -> None:
        """The connection closed; a body of unknown length is whole then."""
        if self._part is _Part.UNTIL_CLOSE:
            self._part = _Part.DONE

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > LONGEST_HEAD:
                raise ValueError("a line is too long")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if self._buffer and not b"HTTP/1.".startswith(self._buffer[:7]):
            raise ValueError("the server does not speak HTTP/1.1")
        if end < 0:
            if len(self._buffer) > LONGEST_HEAD:
                raise ValueError("the headers are too long")
            return False
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, status, *_ = [*first.split(" ", 2), ""]
        if not status.isdecimal():
            raise ValueError(f"invalid status line {first[:80]!r}")
        self.status = int(status)
        if self.status < 200:  # 100 Continue and its like: the response is still to come
            return True
        pairs = (line.partition(":") for line in lines)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self.headers[":version"] = version
        self._part = self._body()
        return True

    def _body(self) -> _Part:
        if self.status in (204, 304):
            return _Part.DONE
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return _Part.SIZE
        length = self.headers.get("content-length")
        if length is None:
            return _Part.UNTIL_CLOSE
        self._left = int(length)
        return _Part.LENGTH if self._left else _Part.DONE

    def _size(self) -> bool:
        if (line := self._line()) is None:
            return False
        self._left = int(line.partition(b";")[0], 16)
        self._part = _Part.CHUNK if self._left else _Part.TRAILER
        return True

    def _take(self) -> bool:
        if not self._buffer:
            return False
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        self._left -= len(piece)
        if not self._left:
            self._part = _Part.CHUNK_END if self._part is _Part.CHUNK else _Part.DONE
        self._sink(piece)
        return True

    def _chunk_end(self) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._buffer[:2] != b"\r\n":
            raise ValueError("a chunk is longer than its declared size")
        del self._buffer[:2]
        self._part = _Part.SIZE
        return True

    def _trailer(self) -> bool:
        if (line := self._line()) is None:
            return False
        if not line:
            self._part = _Part.DONE
        return True

    def _rest(self) -> bool:
        if self._buffer:
            self._sink(bytes(self._buffer))
            self._buffer.clear()
        return False
