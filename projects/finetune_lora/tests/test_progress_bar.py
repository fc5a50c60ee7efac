"""The progress of a training without a terminal."""

from __future__ import annotations

import io
from itertools import count

from finetune_lora.runs.progress_bar import clock_time, progress, summary

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
