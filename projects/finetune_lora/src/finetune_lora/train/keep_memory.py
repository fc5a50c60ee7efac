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
    """Keep freed memory until this process ends, with glibc."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None and hasattr(libc, "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
        libc.mallopt(_TRIM_THRESHOLD, _LARGEST)
