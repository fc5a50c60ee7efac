"""Events of a local model on their way to the service: what goes out at once, and what together."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from llm_service.models.local import wire
from llm_service.models.local.chat_job import Outbox

HOUR = 3600.0


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    worker, service = socket.socketpair()
    service.setblocking(False)
    with worker, service:
        yield worker, service


def lines(service: socket.socket) -> list[Any]:
    """What has arrived; nothing is waited for."""
    try:
        return [wire.decode(line) for line in service.recv(2**16).splitlines()]
    except BlockingIOError:
        return []


def step(out: Outbox, *numbers: int, urgent: bool = False) -> None:
    """A token of each request, as one step of the engine brings them."""
    for number in numbers:
        out.text(number, 0, " a", 1, None, urgent=urgent)
    out.flush()


def test_tokens_of_several_steps_go_out_in_one_event(ends) -> None:
    worker, service = ends
    out = Outbox(worker, together=HOUR)
    step(out, 1, 2, urgent=True)  # the first tokens
    assert lines(service) == [[[1, "text", 0, " a", 1, []], [2, "text", 0, " a", 1, []]]]
    for _ in range(3):
        step(out, 1, 2)
    assert lines(service) == []
    out.add(1, "finish", 0, "stop")
    out.flush()
    together = [[1, "text", 0, " a a a", 3, []], [2, "text", 0, " a a a", 3, []]]
    assert lines(service) == [[*together, [1, "finish", 0, "stop"]]]


def test_tokens_are_not_kept_back_after_the_interval(ends) -> None:
    worker, service = ends
    out = Outbox(worker, together=0)
    for _ in range(3):
        step(out, 1)
        assert lines(service) == [[[1, "text", 0, " a", 1, []]]]
