"""Which of several processes this one is, and the end of their process group.

The launchers, torchrun and accelerate, set the environment variables RANK and WORLD_SIZE.
"""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager


def count() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this is rank 0, which writes and reports."""
    return os.environ.get("RANK", "0") == "0"


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
