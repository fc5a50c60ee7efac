"""The command line in one of several processes, which must not leave threads of its process group.

torchrun --nproc-per-node 2 -- tests/launched_training.py train --data train.jsonl …
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from finetune_lora.__main__ import main


def die_at_checkpoint(event: str, arguments: tuple[object, ...]) -> None:
    if event == "os.rename" and "step-000006" in str(arguments[1]):
        os.kill(os.getpid(), 9)


def gloo_threads() -> list[str]:
    """Those that outlive the interpreter abort the process."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # the thread has ended
            names.append((task / "comm").read_text())
    return [name for name in names if "gloo" in name]


if __name__ == "__main__":
    if "LOSE_A_PROCESS" in os.environ:
        sys.addaudithook(die_at_checkpoint)
    try:
        main()
    finally:
        until = time.monotonic() + 30  # a thread that was joined is listed a moment longer
        while gloo_threads():
            assert time.monotonic() < until, gloo_threads()
            time.sleep(0.01)
