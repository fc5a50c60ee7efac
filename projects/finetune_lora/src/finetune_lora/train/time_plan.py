"""How long a training runs and how its learning rate falls: by steps, or by the clock.

A training has a planned number of steps. If the time limit is too short for them, it gets fewer,
so that the learning rate still reaches 0 when the time is up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_WARM = 3  # the first steps are slower than the rest, so they are not timed


@dataclass
class Plan:
    """A plan of `planned` steps; `total` is lower if `seconds` do not suffice for them.

    `spent` are the seconds that the same training took before it was resumed.
    """

    planned: int
    seconds: float
    warmup: int
    spent: float = 0.0
    clock: Callable[[], float] = time.monotonic
    total: int = 0
    _begun: float | None = field(default=None, repr=False)
    _marks: list[float] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self.total = self.total or self.planned

    def begin(self) -> None:
        """Start the clock."""
        self._begun = self.clock()

    @property
    def elapsed(self) -> float:
        """Seconds of training so far."""
        return self.spent + (self.clock() - self._begun if self._begun is not None else 0.0)

    @property
    def left(self) -> float:
        return self.seconds - self.elapsed

    def after(self, step: int) -> bool:
        """Note that `step` is done; True when training is over."""
        self._marks.append(self.elapsed)
        steps = len(self._marks) - 1 - _WARM
        if steps > 0:
            pace = (self._marks[-1] - self._marks[_WARM]) / steps
            affordable = step + max(0, math.floor(self.left / pace))
            self.total = min(self.planned, affordable)
        return step >= self.total or self.left <= 0

    def factor(self, step: int) -> float:
        """The factor of the learning rate: it rises for `warmup` steps, then falls linearly."""
        warmup = self.warmup * self.total / self.planned  # shorter if there are fewer steps
        rising = (step + 1) / max(1.0, warmup)
        falling = (self.total - step) / max(1.0, self.total - warmup)
        return max(0.0, min(1.0, rising, falling))
