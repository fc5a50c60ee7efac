"""The progress of a training, from its events: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from seedbed import cli

Listener = Callable[[dict[str, Any]], None]


@contextmanager
def progress(
    *, quiet: bool = False, file: IO[str] | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Listener]:
    """The listener for a run, writing to `file` (stderr); `quiet` (as for --json) shows nothing."""
    # The trainer's events carry the time left, by its own schedule.
    with cli.progress(
        quiet=quiet, unit="step", start="loading", time_left=False, file=file, clock=clock
    ) as report:
        newest: dict[str, Any] = {}

        def listen(event: Mapping[str, Any]) -> None:
            kind = event["event"]
            if kind in ("step", "eval"):
                newest.update(event)
                report(event["step"], newest.get("of"), summary(newest), now=kind == "eval")
            elif kind == "start":
                examples, minutes = event["data"]["n"], event["args"]["max_minutes"]
                limit = f"at most {event['steps']:,} steps and {minutes:g} minutes"
                report.print(f"Training {event['base']} on {examples:,} examples: {limit}")
            elif kind == "end" and event["state"] == "stopped":
                report.print(event["error"])  # how to continue

        yield listen


def summary(event: Mapping[str, Any]) -> str:
    """`loss 1.234  eval loss 1.300  312 tok/s  2:05 left`, without what is unknown."""
    forms = {"loss": "loss {:.3f}", "eval_loss": "eval loss {:.3f}"}
    forms |= {"tokens_per_second": "{:.0f} tok/s"}
    texts = [form.format(event[name]) for name, form in forms.items() if event.get(name)]
    if event.get("left") is not None:
        texts.append(f"{clock_time(event['left'])} left")
    return "  ".join(texts)


def clock_time(seconds: float) -> str:
    """`2:05`, `1:02:05`."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
