"""The progress of a training without a terminal."""

import io
from itertools import count

from finetune_lora.runs.progress_bar import progress

STEP = {"event": "step", "of": 30, "loss": 1.5, "tokens_per_second": 312.4, "left": 3725.0}
START = {
    "event": "start",
    "base": "smollm2",
    "data": {"n": 1200},
    "args": {"max_minutes": 10.0},
    "steps": 30,
}


def test_progress_prints_a_line_every_ten_seconds() -> None:
    file, second = io.StringIO(), count()  # a second passes with every look at the clock
    with progress(file=file, clock=lambda: float(next(second))) as listen:
        listen(START)
        for step in range(1, 31):
            listen(STEP | {"step": step})
        listen({"event": "eval", "step": 30, "eval_loss": 0.5})
        listen({"event": "end", "state": "stopped", "error": "Continue with --resume."})
    lines = file.getvalue().splitlines()
    assert lines[0] == "Training smollm2 on 1,200 examples: at most 30 steps and 10 minutes"
    assert lines[1] == "step 1 of 30  loss 1.500  312 tok/s  1:02:05 left"
    assert [int(line.split()[1]) for line in lines[1:-2]] == [1, 11, 21, 30]
    assert lines[-2].startswith("step 30 of 30  loss 1.500  eval loss 0.500")
    assert lines[-1] == "Continue with --resume."
