"""What a program and its caller see of the sandbox."""

from __future__ import annotations

import pytest

from multi_agent.tools.sandbox.sandbox import Sandbox
from seedbed.errors import TooLarge


@pytest.mark.parametrize(
    ("code", "stdout"),
    [
        ("print('a')\nprint('b')", "a\nb\n"),
        ("x = 2\nx * 21", "42\n"),
        ("None", ""),
        ("", ""),
        ("import statistics\nstatistics.mean([1, 2, 6])", "3\n"),
        ("def f(): return 7\nif __name__ == '__main__':\n    print(f())", "7\n"),
        ("raise SystemExit", ""),
        ("print('ä €')", "ä €\n"),
    ],
)
def test_program_runs(code: str, stdout: str, sandbox: Sandbox) -> None:
    output = sandbox.run(code)

    assert (output.stdout, output.stderr, output.status) == (stdout, "", "ok")


def test_error_has_traceback_with_line(sandbox: Sandbox) -> None:
    output = sandbox.run("x = 1\nprint('before')\nx / 0")

    assert (output.status, output.stdout) == ("error", "before\n")
    assert 'File "program.py", line 3' in output.stderr
    assert output.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_memory_is_limited(sandbox: Sandbox) -> None:
    assert sandbox.run("len(bytes(100_000_000))").status == "ok"
    output = sandbox.run("len(bytes(300_000_000))")
    assert output.status == "error" and "MemoryError" in output.stderr


def test_large_program_is_rejected(sandbox: Sandbox) -> None:
    with pytest.raises(TooLarge, match=r"1,000,0.. bytes; the limit is 60,000"):
        sandbox.run("#" * 1_000_000)
