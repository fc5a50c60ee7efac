"""What a program and its caller see of a sandbox."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from multi_agent.tools.sandbox import Sandbox, open_sandbox
from seedbed.errors import ConfigError, TooLarge

from .conftest import cache_folder, needs_bwrap


@pytest.fixture
def wasm() -> Sandbox:
    sandbox = open_sandbox("wasm", cache_folder(os.geteuid()))
    assert sandbox
    return sandbox


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
def test_program_runs(code: str, stdout: str, wasm: Sandbox) -> None:
    output = wasm.run(code)

    assert (output.stdout, output.stderr, output.status) == (stdout, "", "ok")


def test_data_is_a_variable(wasm: Sandbox) -> None:
    assert wasm.run("sum(data['prices'])", data={"prices": [1.5, 2]}).stdout == "3.5\n"


def test_error_has_traceback_with_line(wasm: Sandbox) -> None:
    output = wasm.run("x = 1\nprint('before')\nx / 0")

    assert (output.status, output.stdout) == ("error", "before\n")
    assert 'File "program.py", line 3' in output.stderr
    assert output.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_syntax_error_has_line(wasm: Sandbox) -> None:
    assert 'File "program.py", line 2' in wasm.run("x = 1\ny = (").stderr


def test_invalid_utf8_is_replaced(wasm: Sandbox) -> None:
    output = wasm.run("import sys\nn = sys.stdout.buffer.write(b'\\xffok')")

    assert output.stdout == "\ufffdok"


def test_output_before_timeout_is_returned(wasm: Sandbox) -> None:
    output = wasm.run("print('so far', flush=True)\nwhile True: pass", seconds=2)

    assert (output.stdout, output.status) == ("so far\n", "timeout")
    assert output.stderr == "Stopped: the limits are 2 s and 50,000 bytes."


def test_memory_limit_is_that_of_the_call(wasm: Sandbox) -> None:
    code = "len(bytes(100_000_000))"

    assert wasm.run(code, memory_mb=64).status == "memory"
    assert wasm.run(code, memory_mb=256).status == "ok"


def test_large_program_is_rejected(wasm: Sandbox) -> None:
    with pytest.raises(TooLarge, match=r"1,000,0.. bytes; the limit is 60,000"):
        wasm.run("#" * 1_000_000)


def test_close_ends_running_programs(wasm: Sandbox) -> None:
    outputs: list[Any] = []
    thread = threading.Thread(target=lambda: outputs.append(wasm.run("while True: pass")))
    thread.start()
    while thread.is_alive():
        wasm.close()
        thread.join(0.05)

    assert outputs[0].status == "error"


def test_unknown_kind_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Unknown sandbox 'docker'"):
        open_sandbox("docker", tmp_path)


@needs_bwrap
def test_bwrap_has_numpy() -> None:
    sandbox = open_sandbox("bwrap", Path("unused"))
    assert sandbox
    output = sandbox.run(
        "import numpy\nint(numpy.linalg.det(numpy.eye(3) * 2).round())", seconds=60
    )

    assert output.stdout == "8\n", output.stderr


def test_damaged_module_is_not_executed(tmp_path: Path, wasm: Sandbox) -> None:
    assert wasm.run("1").status == "ok"
    genuine = next((cache_folder(os.geteuid()) / "sandbox").iterdir())
    (tmp_path / "sandbox").mkdir(mode=0o700)
    (tmp_path / "sandbox" / f"{genuine.stem[:-64]}{'0' * 64}.cwasm").write_bytes(b"damaged")
    shutil.copy(genuine, tmp_path / "sandbox")

    assert open_sandbox("wasm", tmp_path)
    assert [path.name for path in (tmp_path / "sandbox").iterdir()] == [genuine.name]


def test_cache_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "sandbox"
    folder.mkdir()
    folder.chmod(0o777)

    with pytest.raises(ConfigError, match=r"Other users can write compiled code to .*sandbox"):
        open_sandbox("wasm", tmp_path)
