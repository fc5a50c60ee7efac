"""Limits on what a run may spend: steps, tool calls, tokens, money and seconds.

    budget = Budget(tokens=50_000, usd=0.5, seconds=120)
    budget.take(tool_calls=1)            # before the call; OverBudget if a limit is reached
    budget.spend(tokens=18, usd=3.6e-6)  # after it
    budget.usage                         # {'steps': 0, 'tool_calls': 1, 'tokens': 18, …}

Tokens and USD are known after a call. A call is made with what is left as its `max_tokens`, so a
limit is exceeded by at most the prompt and one reply of that size, for each step that works at the
same time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from seedbed.errors import SeedbedError

_LIMITS = ("steps", "tool_calls", "tokens", "usd", "seconds")


class OverBudget(SeedbedError):
    """A limit is reached."""

    status = 429

    def __init__(self, limit: str, maximum: float, used: float) -> None:
        unit = {"usd": "USD"}.get(limit, limit.replace("_", " "))
        unit = unit.removesuffix("s") if maximum == 1 else unit
        maximum, used = (round(value, 4 if limit == "usd" else 1) for value in (maximum, used))
        super().__init__(f"The budget of {maximum:,.12g} {unit} is used up ({used:,.12g}).")


class Budget:
    """Limits (steps, tool_calls, tokens, usd, seconds; None: no limit), and what is spent.

    >>> budget = Budget(tokens=50_000, steps=20)
    >>> budget.spend(tokens=50_112)
    >>> budget.check()
    Traceback (most recent call last):
    multi_agent.runs.budget.OverBudget: The budget of 50,000 tokens is used up (50,112).
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, **limits: float | None
    ) -> None:
        self.limits = {name: limit for name, limit in limits.items() if limit is not None}
        self._used: dict[str, float] = dict.fromkeys(_LIMITS, 0)
        self._clock, self._lock = clock, threading.RLock()
        self._started: float | None = clock()

    def spend(self, **amounts: float) -> None:
        """Record what has been spent, e.g. `spend(tokens=120, usd=0.01)`, also above a limit."""
        with self._lock:
            for name, amount in amounts.items():
                self._used[name] += amount

    def check(self, *limits: str) -> None:
        """Raise OverBudget if one of these limits is reached; default: all."""
        used = self.usage
        for name, maximum in self.limits.items():
            if name in (limits or used) and used[name] >= maximum:
                raise OverBudget(name, maximum, used[name])

    def take(self, **amounts: float) -> None:
        """Check and spend atomically, so that parallel calls cannot exceed a limit together."""
        with self._lock:
            self.check(*amounts, "seconds")
            self.spend(**amounts)

    @property
    def usage(self) -> dict[str, float]:
        with self._lock:
            at_work = 0.0 if self._started is None else self._clock() - self._started
            return {**self._used, "seconds": self._used["seconds"] + at_work}

    def left(self, name: str) -> float:
        return self.limits.get(name, float("inf")) - self.usage[name]

    def restore(self, usage: Mapping[str, float]) -> None:
        """Continue from an earlier `usage`; seconds count again after `start`."""
        with self._lock:
            self._used |= {name: usage.get(name, 0) for name in self._used}
            self._started = None

    def start(self) -> None:
        with self._lock:
            self._started = self._clock()
