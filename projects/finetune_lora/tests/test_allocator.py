"""What a training frees is kept: large blocks come back without their pages being cleared."""

import json
import subprocess
import sys

import pytest

ALLOCATIONS = """
import ctypes, json, resource
from pathlib import Path
from finetune_lora.train.keep_memory import freed_memory_kept

libc = ctypes.CDLL(None)
libc.prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: a huge page would be a single fault
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
SIZE = 40 << 20  # more than glibc ever keeps by itself

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        block = libc.malloc(SIZE)
        ctypes.memset(block, 1, SIZE)
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

before = faults()
with freed_memory_kept():
    within, memory_within = faults(), memory()
print(json.dumps([before, within, faults(), (memory_within - memory()) / SIZE]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be told to keep memory")
def test_freed_memory_is_kept_during_a_training_and_given_back_after_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALLOCATIONS], capture_output=True, text=True, check=True
    )
    before, within, after, given_back = json.loads(done.stdout)
    assert within < before / 3
    assert after > before / 3
    assert given_back > 0.9  # of a block
