"""Ctrl-C and SIGTERM for work that finishes its current step first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """Ended by Ctrl-C or SIGTERM; the text describes how to continue."""


@contextmanager
def on_signal(
    act: Callable[[int, Any], Any], signals: tuple[signal.Signals, ...]
) -> Iterator[None]:
    """In the block, `signals` call `act`. No effect in threads, which receive no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A background process of a shell ignores Ctrl-C, and must continue to ignore it.
    active = [number for number in signals if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, act) for number in active}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def raise_stopped(*_: Any) -> None:
    raise Stopped("Stopped.")
