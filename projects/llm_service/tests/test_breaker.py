"""The circuit breaker, by a clock that the test moves."""

from __future__ import annotations

import pytest

from llm_service.gateway.routing.breaker import MOST_COOL_DOWN, Breaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def ask(breaker: Breaker, *outcomes: bool) -> None:
    for fine in outcomes:
        permit = breaker.begin()
        assert permit is not None
        (breaker.succeeded if fine else breaker.failed)(permit)


def test_five_failures_in_a_row_open_it(breaker: Breaker) -> None:
    ask(breaker, *[False] * 4, True, *[False] * 4)
    assert breaker.state == "closed"
    ask(breaker, False)
    assert breaker.state == "open"
    assert not breaker.admits and breaker.begin() is None
    assert breaker.retry_after == 1.0


def test_failures_of_one_moment_count_once(breaker: Breaker, clock: Clock) -> None:
    for wave in range(5):
        together = [breaker.begin() for _ in range(8)]
        assert all(together), f"open after {wave} crashes"
        for permit in together:
            assert permit is not None
            breaker.failed(permit)
            clock.now += 0.05
    assert breaker.state == "open"


def test_more_than_half_of_the_last_twenty_open_it(breaker: Breaker) -> None:
    ask(breaker, *[True, False] * 10)
    assert breaker.state == "closed"
    ask(breaker, False)  # it pushes a success out: 11 of 20
    assert breaker.state == "open"


def test_one_probe_decides_after_the_pause(breaker: Breaker, clock: Clock) -> None:
    ask(breaker, *[False] * 5)
    clock.now += 1.0
    assert breaker.state == "half_open"
    probe = breaker.begin()
    assert probe is not None and breaker.begin() is None
    breaker.succeeded(probe)
    assert breaker.state == "closed"
    ask(breaker, *[False] * 4)
    assert breaker.state == "closed"


def test_the_pause_doubles_up_to_a_minute_and_starts_anew(breaker: Breaker, clock: Clock) -> None:
    ask(breaker, *[False] * 5)
    pauses = []
    for _ in range(8):
        clock.now += breaker.retry_after
        ask(breaker, False)
        pauses.append(breaker.retry_after)
    assert pauses == [2, 4, 8, 16, 32, MOST_COOL_DOWN, MOST_COOL_DOWN, MOST_COOL_DOWN]
    clock.now += MOST_COOL_DOWN
    ask(breaker, True, *[False] * 5)
    assert breaker.retry_after == 1.0


def test_an_answer_that_has_begun_ends_the_probe(breaker: Breaker, clock: Clock) -> None:
    ask(breaker, *[False] * 5)
    clock.now += 1.0
    probe = breaker.begin()
    assert probe is not None
    permit = breaker.answered(probe)
    assert breaker.state == "closed"
    ask(breaker, *[False] * 4)
    clock.now += 0.5
    breaker.failed(permit)
    assert breaker.state == "open"
