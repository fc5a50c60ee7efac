"""A circuit breaker: decides from a target's recent outcomes whether it may be called now.

It sends nothing itself; the router reports each outcome. Closed lets every attempt through, open
none, and half open a single probe, whose outcome decides.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]

IN_A_ROW = 5
WINDOW = 20
COOL_DOWN = 1.0
MOST_COOL_DOWN = 60.0
SAME_EVENT = 0.5  # seconds

Permit = tuple[int, int]
"""The period in which an attempt began, and the failures counted until then."""


class Breaker:
    """Opens after 5 failures in a row or when more than half of the last 20 failed; asks again
    after a pause that doubles from 1 to 60 seconds with each probe that fails.

    Attempts that were running together and failed together count as one failure: a process that
    crashes fails all of its requests at once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: deque[bool] = deque(maxlen=WINDOW)
        self._in_a_row = 0
        self._pause = COOL_DOWN
        self._until: float | None = None  # closed while None
        self._probing = False
        self._period = 0  # counts openings and closings: answers of an earlier one tell nothing
        self._failures = 0
        self._failed_at = 0.0

    @property
    def state(self) -> State:
        if self._until is None:
            return "closed"
        return "half_open" if self._clock() >= self._until else "open"

    @property
    def admits(self) -> bool:
        """Whether `begin` would let one through."""
        return self._until is None or (not self._probing and self._clock() >= self._until)

    @property
    def retry_after(self) -> float:
        """Seconds until it may be worth asking again."""
        return 0.0 if self._until is None else max(self._until - self._clock(), 0.0)

    def begin(self) -> Permit | None:
        """A permit for one attempt, to be returned with its outcome; None if none is admitted."""
        if self._until is None:
            return self._period, self._failures
        if not self.admits:
            return None
        self._probing = True
        return self._period, self._failures

    def answered(self, permit: Permit) -> Permit:
        """The answer has begun, so a probe has succeeded. Returns the permit for the rest."""
        if permit[0] == self._period and self._until is not None:
            self.succeeded(permit)
            return self._period, self._failures
        return permit

    def succeeded(self, permit: Permit) -> None:
        if permit[0] != self._period:
            return
        if self._until is not None:
            self._until, self._pause = None, COOL_DOWN
            self._reset()
        else:
            self._last.append(True)
            self._in_a_row = 0

    def failed(self, permit: Permit) -> None:
        if permit[0] != self._period:
            return
        if self._until is not None:
            self._pause = min(self._pause * 2, MOST_COOL_DOWN)
            self._open()
            return
        counted_since = permit[1] < self._failures
        if counted_since and self._clock() < self._failed_at + SAME_EVENT:
            return
        self._failures += 1
        self._failed_at = self._clock()
        self._last.append(False)
        self._in_a_row += 1
        mostly_failures = len(self._last) == WINDOW and self._last.count(False) * 2 > WINDOW
        if self._in_a_row >= IN_A_ROW or mostly_failures:
            self._open()

    def dropped(self, permit: Permit) -> None:
        """The attempt ended without a verdict: cancelled, refused as busy, or a bad request."""
        if permit[0] == self._period:
            self._probing = False

    def _open(self) -> None:
        self._until = self._clock() + self._pause
        self._reset()

    def _reset(self) -> None:
        self._last.clear()
        self._in_a_row = 0
        self._probing = False
        self._period += 1
