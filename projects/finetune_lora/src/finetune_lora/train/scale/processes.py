"""Which of several processes this one is, and the error when another one is lost.

The launchers, torchrun and accelerate, set the environment variables RANK and WORLD_SIZE.
"""

from __future__ import annotations

import gc
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from seedbed.errors import SeedbedError

_PATIENCE = 15.0  # seconds that the first process, perhaps slower to start, is given to speak
_SIGNS = ("connection closed by peer", "connection reset by peer", "broken pipe", "nccl", "gloo")


class ProcessLost(SeedbedError):
    """Another process of the same training has ended."""


def count() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process among them, from 0; rank 0 writes and reports."""
    return int(os.environ.get("RANK", "0"))


def is_first() -> bool:
    return rank() == 0


def line_of(error: BaseException, *, wait_s: float = _PATIENCE) -> str:
    """The line to print for an error, before this process ends with it.

    Errors in data or arguments occur in every process; only rank 0 prints them at once. Another
    process waits, in which time the launcher ends it, and prints the error if it alone failed.
    """
    if is_first():
        return str(error)
    if not isinstance(error, ProcessLost):
        time.sleep(wait_s)
    return f"Process {rank()} of {count()}: {error}"


@contextmanager
def report_lost_process() -> Iterator[None]:
    """Report in one line that another process is lost; torch's error has many."""
    try:
        yield
    except RuntimeError as error:
        text = str(error).lower()
        if count() == 1 or not any(sign in text for sign in _SIGNS):
            raise
        raise ProcessLost(
            "Another process of this training has exited (see its own error, or the kernel log if "
            "it ran out of memory).",
            hint="Restart all processes with --resume.",
        ) from error


@contextmanager
def closing_process_group() -> Iterator[None]:
    """Close the process group that is opened inside the block, and wait for its threads.

    A thread of Gloo that releases a tensor while Python shuts down aborts the process: exit code
    -6 after a training that succeeded (https://github.com/pytorch/pytorch/issues/190489). The
    threads end with the last reference to the group, so those references have to go first.
    """
    if count() == 1:
        yield
        return
    import torch.distributed as dist

    try:
        yield
    except BaseException as error:
        _release_frames(error)
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        gc.collect()  # the Trainer and its callbacks refer to each other


def _release_frames(error: BaseException | None) -> None:
    """Drop the local variables that the tracebacks of an error and its causes refer to."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
