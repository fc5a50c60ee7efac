"""What the terminal shows, on a real pseudo-terminal and elsewhere."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from itertools import count

import pytest

from finetune_lora.runs.progress_bar import clock_time, progress, summary

pytestmark = pytest.mark.timeout(180)
STEP = {"event": "step", "of": 30, "loss": 1.5, "tokens_per_second": 312.4, "left": 125.0}
START = {
    "event": "start",
    "base": "smollm2",
    "data": {"n": 1200},
    "args": {"max_minutes": 10.0},
    "steps": 30,
}
END = {"event": "end", "state": "finished", "steps": 30, "seconds": 61, "eval_loss": 0.5}


def test_lines_come_every_ten_seconds_off_a_terminal() -> None:
    file, second = io.StringIO(), count()  # a second passes with every look at the clock
    with progress(file=file, clock=lambda: float(next(second))) as listen:
        listen(START)
        for step in range(1, 31):
            listen(STEP | {"step": step})
        listen({"event": "eval", "step": 30, "eval_loss": 0.5, "exact_match": 0.9})
        listen(END | {"stopped_by": "time"})
    lines = file.getvalue().splitlines()
    assert lines[0] == "Training smollm2 on 1,200 examples: at most 30 steps and 10 minutes"
    assert lines[1] == "step 1 of 30  loss 1.500  312 tok/s  2:05 left"
    assert [int(line.split()[1]) for line in lines[1:-2]] == [1, 11, 21, 30]
    assert lines[-2].startswith("step 30 of 30  loss 1.500  eval loss 0.500  exact 0.90")
    assert lines[-1] == "finished after 30 steps in 1:01 (time)  eval loss 0.500"


def test_quiet_shows_nothing() -> None:
    file = io.StringIO()
    with progress(quiet=True, file=file) as listen:
        listen({"event": "start", "steps": 30})
        listen(STEP | {"step": 1})
        listen(END)
    assert file.getvalue() == ""


def test_what_is_not_known_is_left_out() -> None:
    assert summary({"loss": None, "left": 3725}) == "1:02:05 left"
    assert clock_time(-3) == "0:00"


PROGRAM = """
import signal, sys, threading, time
from finetune_lora.runs.progress_bar import progress
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell
with progress() as listen:
    listen({"event": "start", "steps": 30})
    listen({"event": "step", "step": 12, "of": 30, "loss": 1.5, "tokens_per_second": 312.4,
            "left": 125.0})
    listen({"event": "eval", "step": 12, "eval_loss": 0.75})
    if sys.argv[1] == "wait":
        # Printed by another thread, so that a signal finds this one asleep and not inside print().
        threading.Timer(0.2, print, ["waiting"]).start()
        time.sleep(600)
    if sys.argv[1] == "error":
        raise ValueError("broken")
    listen({"event": "end", "state": "finished", "steps": 30, "seconds": 61, "eval_loss": 0.5})
"""


def on_a_terminal(how: str, then: signal.Signals | None = None) -> str:
    """What a program that shows a bar writes to a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    env = os.environ | {"COLUMNS": "100", "TERM": "xterm-256color"}
    command = [sys.executable, "-c", PROGRAM, how]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        seen, until = b"", time.monotonic() + 120
        try:
            while True:
                assert time.monotonic() < until, f"It did not end: {seen!r}"
                if then and b"waiting" in seen and process.poll() is None:
                    process.send_signal(then)
                    then = None
                if select.select([ours], [], [], 0.1)[0]:
                    seen += os.read(ours, 65536)
        except OSError:  # the other end is closed: the program is gone
            pass
        finally:
            process.kill()
            os.close(ours)
    return seen.decode(errors="replace")


def test_a_bar_on_a_terminal() -> None:
    seen = on_a_terminal("finish")
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen)
    assert "12/30 loss 1.500  eval loss 0.750  312 tok/s  2:05 left" in plain
    assert "finished after 30 steps in 1:01" in plain


@pytest.mark.parametrize(
    ("how", "signal_"),
    [("error", None), ("wait", signal.SIGINT), ("wait", signal.SIGTERM), ("wait", signal.SIGKILL)],
)
def test_the_terminal_is_as_it_was_however_it_ends(how: str, signal_: signal.Signals) -> None:
    seen = on_a_terminal(how, signal_)
    assert "12/30" in seen
    assert seen.rfind("\x1b[?25h") > seen.rfind("\x1b[?25l")  # the cursor is shown
