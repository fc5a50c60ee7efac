"""Server-sent events, cut at every place."""

from __future__ import annotations

import pytest

from llm_service.models.remote.sse import EventParser
from seedbed.errors import Unavailable

STREAMS = {
    "plain": b"data: one\n\ndata: two\n\n",
    "crlf": b"data: one\r\n\r\ndata: two\r\n\r\n",
    "cr": b"data: one\r\rdata: two\r\r",
    "mixed": b"data: one\n\r\ndata: two\r\r\n",
    "no space": b"data:one\n\ndata:two\n\n",
    "other fields": b": hi\n\nid: 1\nevent: x\ndata: one\nretry: 3\n\n:\ndata: two\n\n",
    "byte order mark": b"\xef\xbb\xbfdata: one\n\ndata: two\n\n",
    "no blank line at the end": b"data: one\n\ndata: two\n",
    "no line end at the end": b"data: one\n\ndata: two",
    "blank lines": b"\n\n\ndata: one\n\n\n\n\ndata: two\n\n\n",
}


def read(*chunks: bytes) -> list[bytes]:
    parser = EventParser()
    return [data for chunk in chunks for data in parser.feed(chunk)] + parser.end()


@pytest.mark.parametrize("name", STREAMS)
def test_events_are_the_same_wherever_the_bytes_are_cut(name: str) -> None:
    stream = STREAMS[name]
    assert read(stream) == [b"one", b"two"]
    for place in range(1, len(stream)):
        assert read(stream[:place], stream[place:]) == [b"one", b"two"]
    assert read(*(bytes([byte]) for byte in stream)) == [b"one", b"two"]


def test_the_lines_of_one_event_belong_together() -> None:
    assert read(b"data: {\ndata:  1}\n\n") == [b"{\n 1}"]
    assert read(b"") == []
    assert read(b": only\n\n") == []


def test_an_event_has_a_largest_size() -> None:
    for chunk in (b"data: " + b"x" * 90, b"data: 1234567890\n"):
        parser = EventParser(most=100)
        with pytest.raises(Unavailable, match="larger than 100 bytes"):
            for _ in range(20):
                parser.feed(chunk)
