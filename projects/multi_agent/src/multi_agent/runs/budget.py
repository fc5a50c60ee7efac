"""Limits on what a run may spend: steps, tool calls, tokens, money and seconds.

    budget = Budget(tokens=50_000, usd=0.5, seconds=120)
    budget.take(tool_calls=1)            # before the call; OverBudget if a limit is reached
    budget.spend(tokens=18, usd=3.6e-6)  # after it
    budget.usage                         # {'steps': 0, 'tool_calls': 1, 'tokens': 18, …}

Tokens and USD are known after a call, so they can exceed a limit by one call per thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from seedbed.errors import SeedbedError

_LIMITS = ("steps", "tool_calls", "tokens", "usd", "seconds")


class OverBudget(SeedbedError):
    """A limit is reached; `limit` is its name, e.g. "tokens"."""

    status = 429

    def __init__(self, limit: str, maximum: float, used: float) -> None:
        unit = "USD" if limit == "usd" else limit.replace("_", " ")
        unit = unit.removesuffix("s") if maximum == 1 else unit
        maximum, used = (round(value, 4 if limit == "usd" else 1) for value in (maximum, used))
        super().__init__(f"The budget of {maximum:,.12g} {unit} is used up ({used:,.12g}).")
        self.limit = limit


class Budget:
    """Limits (steps, tool_calls, tokens, usd, seconds; None: no limit), and what is spent.

    >>> run = Budget(tokens=50_000, steps=20)
    >>> run.child(tokens=8_000).spend(tokens=50_112)
    >>> run.check()
    Traceback (most recent call last):
    multi_agent.runs.budget.OverBudget: The budget of 50,000 tokens is used up (50,112).
    """

    def __init__(
        self,
        *,
        parent: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
        **limits: float | None,
    ) -> None:
        if unknown := limits.keys() - set(_LIMITS):
            raise TypeError(f"Unknown limits {sorted(unknown)}.")
        self.limits = {name: limit for name, limit in limits.items() if limit is not None}
        self.exceeded = ""
        """The text of the first OverBudget for one of these limits, not for a child's."""
        self._used: dict[str, float] = dict.fromkeys(_LIMITS[:-1], 0)
        self._clock: Callable[[], float] = parent._clock if parent else clock
        self._started = self._clock()
        self._lock: threading.RLock = parent._lock if parent else threading.RLock()
        self._family: tuple[Budget, ...] = (self, *(parent._family if parent else ()))

    def child(self, **limits: Any) -> Budget:
        """A budget within this one, which spends from both; its seconds count from now."""
        return Budget(parent=self, **limits)

    def spend(self, **amounts: float) -> None:
        """Record what has been spent, e.g. `spend(tokens=120, usd=0.01)`, also above a limit."""
        with self._lock:
            for budget in self._family:
                for name, amount in amounts.items():
                    budget._used[name] += amount

    def check(self, *limits: str) -> None:
        """Raise OverBudget if one of these limits is reached, here or in a parent; default: all."""
        for budget in reversed(self._family):  # the run's limits first: they end all of its steps
            used = budget.usage
            for name, maximum in budget.limits.items():
                if name in (limits or used) and used[name] >= maximum:
                    error = OverBudget(name, maximum, used[name])
                    budget.exceeded = budget.exceeded or str(error)
                    raise error

    def take(self, **amounts: float) -> None:
        """Check and spend in one step: threads cannot exceed `take(tool_calls=1)` together."""
        with self._lock:
            self.check(*amounts, "seconds")
            self.spend(**amounts)

    @property
    def usage(self) -> dict[str, float]:
        """What has been spent, by the limit's name."""
        with self._lock:
            return {**self._used, "seconds": self._clock() - self._started}

    @property
    def seconds_left(self) -> float:
        """Seconds until a limit of this budget or a parent's is reached; infinite without one."""
        limits = [(b, b.limits["seconds"]) for b in self._family if "seconds" in b.limits]
        return min((limit - b.usage["seconds"] for b, limit in limits), default=float("inf"))

    def restore(self, usage: Mapping[str, float]) -> None:
        """Continue from an earlier `usage`; the time in between does not count."""
        with self._lock:
            self._used |= {name: usage.get(name, 0) for name in self._used}
            self._started = self._clock() - usage.get("seconds", 0.0)
