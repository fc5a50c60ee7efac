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
    """Within it `signals` call `act`; in threads, which get no signals, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A process in the background of a shell ignores Ctrl-C, and goes on doing so.
    heard = [one for one in signals if signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.signal(one, act) for one in heard}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def raise_stopped(*_: Any) -> None:
    raise Stopped("Stopped.")
