"""Items that a second thread produces: their order, errors, and the limit on those that wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from rag_chatbot.read.read_ahead import ReadAhead


def test_read_ahead_yields_items_in_order_then_raises_error() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise ValueError("broken")

    received: list[int] = []
    with (
        pytest.raises(ValueError, match="broken"),
        ReadAhead(items(), limit=10, weight=int) as ahead,
    ):
        received.extend(ahead)
    assert received == [1, 2]


def test_read_ahead_waits_at_limit_and_stops_with_block() -> None:
    produced: list[int] = []
    second = threading.Event()

    def items() -> Iterator[int]:
        for n in range(100):
            produced.append(n)
            if n == 1:
                second.set()
            yield n

    with ReadAhead(items(), limit=1, weight=lambda _: 1):
        assert second.wait(10)
    assert produced == [0, 1]  # one waits in the queue, the next one for room
