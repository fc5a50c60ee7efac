"""What a training returns, and the type of the events that it sends to its listeners."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Event = dict[str, Any]
"""`event` is start, resume, step, eval, checkpoint or end; the other keys depend on it."""
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class TrainResult:
    """The result of a training; `stopped_by` is steps, time or interrupt.

    Losses are nats per learned token; `tokens` counts those trained on, without padding.
    """

    folder: Path
    state: str
    steps: int
    seconds: float
    train_loss: float | None
    eval_loss: float | None
    tokens: int
    tokens_per_second: float
    peak_memory_mb: int
    stopped_by: str

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder)}


def peak_memory_mb() -> int:
    """The peak memory of this process in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6)
