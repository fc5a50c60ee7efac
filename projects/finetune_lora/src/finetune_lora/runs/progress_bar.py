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
            if event["event"] in ("step", "eval"):
                newest.update(event)
                report(
                    event["step"], newest.get("of"), summary(newest), now=event["event"] == "eval"
                )
            elif event["event"] == "start" and "data" in event:
                report.print(_beginning(event))
            elif event["event"] == "end":
                report.print(_ending(event))

        yield listen


def summary(event: Mapping[str, Any]) -> str:
    """`loss 1.234  eval loss 1.300  exact 0.85  312 tok/s  2:05 left`, as far as known."""
    parts = (
        ("loss", "loss {:.3f}"),
        ("eval_loss", "eval loss {:.3f}"),
        ("exact_match", "exact {:.2f}"),
        ("tokens_per_second", "{:.0f} tok/s"),
    )
    texts = [form.format(event[name]) for name, form in parts if event.get(name) is not None]
    if event.get("left") is not None:
        texts.append(f"{clock_time(event['left'])} left")
    return "  ".join(texts)


def clock_time(seconds: float) -> str:
    """`2:05`, `1:02:05`."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _beginning(event: Mapping[str, Any]) -> str:
    args = event["args"]
    return (
        f"Training {event['base']} on {event['data']['n']:,} examples: at most {event['steps']:,} "
        f"steps and {args['max_minutes']:g} minutes"
    )


def _ending(event: Mapping[str, Any]) -> str:
    if event["state"] == "stopped" and event.get("error"):
        return str(event["error"])  # how to go on
    text = f"{event['state']} after {event.get('steps') or 0} steps"
    if event.get("seconds") is not None:
        text += f" in {clock_time(event['seconds'])}"
    if event.get("stopped_by"):
        text += f" ({event['stopped_by']})"
    figures = {"loss": event.get("train_loss"), **event}
    return "  ".join(filter(None, (text, summary(figures))))
