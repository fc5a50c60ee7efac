"""What the terminal shows of a training run: a bar where it is a terminal, plain lines elsewhere.

It listens to the trainer's events and knows nothing else of it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

Listener = Callable[[dict[str, Any]], None]
LINE_EVERY_S = 10.0


@contextmanager
def progress(
    *, quiet: bool = False, file: IO[str] | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Listener]:
    """The listener for a run, writing to `file` (stderr); `quiet` (as for --json) shows nothing.

    However the block is left, by an error or by Ctrl-C too, the terminal is as it was.
    """
    file = file or sys.stderr
    if quiet:
        yield lambda _: None
    elif file.isatty():
        with _bar(file) as listener:
            yield listener
    else:
        yield _Lines(file, clock)


@contextmanager
def _bar(file: IO[str]) -> Iterator[Listener]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(file=file)
    columns = (BarColumn(bar_width=16), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, refresh_per_second=4) as bar:
        console.show_cursor()  # rich hides it until the end, which a killed process never reaches
        task = bar.add_task("loading", total=None)
        shown: dict[str, Any] = {}

        def listen(event: Mapping[str, Any]) -> None:
            kind = event["event"]
            if kind == "start":
                bar.update(task, total=event.get("steps"))
            elif kind == "resume":
                bar.update(task, completed=event["step"])
            elif kind in ("step", "eval"):
                shown.update(event)
                bar.update(task, completed=event["step"], description=summary(shown))
                bar.update(task, total=event.get("of", bar.tasks[0].total))
            elif kind == "end":
                console.print(_ending(event), highlight=False, markup=False)

        yield listen


class _Lines:
    """A line for the first step and about every ten seconds, and for what happens once."""

    def __init__(self, file: IO[str], clock: Callable[[], float]) -> None:
        self._file, self._clock = file, clock
        self._next = clock()

    def __call__(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "end":
            self._say(_ending(event))
        elif kind == "eval" or (kind == "step" and self._clock() >= self._next):
            of = f" of {event['of']}" if event.get("of") else ""
            self._say(f"step {event['step']}{of}  {summary(event)}")
            if kind == "step":
                self._next = self._clock() + LINE_EVERY_S

    def _say(self, text: str) -> None:
        print(text, file=self._file, flush=True)


def summary(event: Mapping[str, Any]) -> str:
    """`loss 1.234  eval loss 1.300  exact 0.85  312 tok/s  2:05 left`, of what is known."""
    parts = (
        ("loss", "loss {:.3f}"),
        ("eval_loss", "eval loss {:.3f}"),
        ("exact_match", "exact {:.2f}"),
        ("eval_accuracy", "accuracy {:.2f}"),
        ("tokens_per_second", "{:.0f} tok/s"),
    )
    known = [form.format(event[name]) for name, form in parts if event.get(name) is not None]
    if event.get("left") is not None:
        known.append(f"{clock_time(event['left'])} left")
    return "  ".join(known)


def clock_time(seconds: float) -> str:
    """`2:05`, `1:02:05`."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _ending(event: Mapping[str, Any]) -> str:
    if event["state"] == "stopped" and event.get("error"):
        return str(event["error"])  # how to go on
    said = f"{event['state']} after {event.get('steps') or 0} steps"
    if event.get("seconds") is not None:
        said += f" in {clock_time(event['seconds'])}"
    if event.get("stopped_by"):
        said += f" ({event['stopped_by']})"
    figures = {"loss": event.get("train_loss"), **event}
    return "  ".join(filter(None, (said, summary(figures))))
