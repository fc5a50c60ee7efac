"""Keep what is freed: the memory of one training step serves the next.

glibc hands a large block back to the system as soon as it is free, and the system clears each of
its pages when it is asked for again. Measured on two cores: a tenth of a training step.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST = 1 << 30  # bytes


def keep_freed_memory() -> None:
    """From now on, until the process ends. Other C libraries than glibc are left as they are."""
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
