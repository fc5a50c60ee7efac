"""What a function in the child process may do: take too long, fill the memory, crash, raise."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seedbed.errors import BadInput, TooLarge, Unavailable
from seedbed.safety.limited_process import LimitedProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")

FUNCTIONS = """
import os, sys, time
from seedbed.errors import BadInput, TooLarge

def reverse(data, **arguments):
    print("not part of the reply")
    os.write(1, b"neither is this")
    return {"size": len(data), **arguments}, data[::-1]

def count_forever(data):
    if data:
        return 0, b""
    while True:
        pass

def wait(data):
    time.sleep(float(data))
    return 0, b""

def allocate(data):
    return len(bytes(int(data))), b""

def crash(data):
    os.abort()

def refuse(data, error):
    raise {"large": TooLarge, "other": KeyError}[error]("No good.")

def answer_without_protocol(data):
    os.write(int(data), b"\\xff" * 64)   # the descriptor of the replies
    return 0, b""
"""
MakeProcess = Callable[..., LimitedProcess]


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeProcess:
    """Makes a process for one of the functions above."""
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, **options: object) -> LimitedProcess:
        return LimitedProcess(f"functions:{name}", hint="Try less.", **options)

    return make


def test_call_returns_value_and_bytes(process: MakeProcess) -> None:
    value, raw = process("reverse").call(b"abc", name="x", label="ä", numbers=[1, 2])
    assert value == {"size": 3, "label": "ä", "numbers": [1, 2]}
    assert raw == b"cba"


def test_call_that_takes_too_long_is_stopped_and_the_next_one_answered(
    process: MakeProcess,
) -> None:
    counter = process("count_forever", action="count", max_seconds=60)
    assert counter.call(b"x", name="x")[0] == 0
    message = r"^a\.txt takes longer than 0\.5 s to count\. Try less\.$"
    with pytest.raises(BadInput, match=message):
        counter.call(b"", name="a.txt", max_seconds=0.5)
    assert counter.call(b"x", name="x")[0] == 0


def test_only_processor_time_is_the_fault_of_a_file(process: MakeProcess) -> None:
    patient = process("wait", max_seconds=0.5, max_wall_seconds=60)
    assert patient.call(b"0.8", name="a.txt")[0] == 0
    with pytest.raises(BadInput, match=r"^a\.txt takes longer than 0\.5 s"):
        process("count_forever", max_seconds=0.5, max_wall_seconds=60).call(b"", name="a.txt")
    with pytest.raises(Unavailable, match=r"^a\.txt waited longer than 0\.3 s for the processor"):
        process("wait", max_wall_seconds=0.3).call(b"60", name="a.txt")


def test_call_that_takes_too_much_memory_is_stopped_and_the_next_one_answered(
    process: MakeProcess,
) -> None:
    allocate = process("allocate", max_memory=300_000_000)
    with pytest.raises(BadInput, match=r"^a\.txt is damaged, or takes more than 300 MB to read"):
        allocate.call(b"400000000", name="a.txt")
    assert allocate.call(b"1000", name="x")[0] == 1000


def test_error_of_the_function_is_raised_here_and_a_crash_or_a_broken_reply_is_one(
    process: MakeProcess, caplog: pytest.LogCaptureFixture
) -> None:
    for name, data in (("crash", b""), ("answer_without_protocol", b"3")):
        with pytest.raises(BadInput, match=r"^a\.txt is damaged, or takes more"):
            process(name).call(data, name="a.txt")
    refuse = process("refuse")
    with pytest.raises(TooLarge, match=r"^No good\.$"):
        refuse.call(b"", name="x", error="large")
    with pytest.raises(BadInput, match=r"^a\.txt is damaged and cannot be read\. Try less\.$"):
        refuse.call(b"", name="a.txt", error="other")
    assert "KeyError: 'No good.'" in caplog.text
