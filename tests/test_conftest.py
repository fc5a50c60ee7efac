"""What the root conftest.py adds to every test run, tested in separate pytest runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]
STARTS_A_PROCESS = """
import subprocess, sys
def test_it():
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    started = subprocess.Popen(sleep, start_new_session=True)
    open("pid", "w").write(str(started.pid))
    assert started.poll() is None
"""
NEEDS_A_PROGRAM = """
import pytest
from seedbed.testing.launch import require_program
@pytest.mark.parametrize("n", range(2))
def test_it(n):
    assert require_program("no-such-program", "apt-get install no-such-package")
"""
LEAVES_A_CYCLE = """
import gc, psutil
class Cycle:
    def __init__(self):
        self.itself, self.block = self, b"x" * 200_000_000
def test_it():
    gc.disable()
    Cycle()
    global memory
    memory = psutil.Process().memory_info().rss
"""
COMES_NEXT = """
import psutil, test_it
def test_memory():
    assert psutil.Process().memory_info().rss < test_it.memory - 150_000_000
"""


def run_pytest(folder: Path, test: str, *options: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["one process", "pytest-xdist"])
def test_run_fails_and_names_leftover_process(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run_pytest(tmp_path, STARTS_A_PROCESS, *options)
    pid = int((tmp_path / "pid").read_text())
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert f"  {pid} {sys.executable} -c import time" in done.stdout
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_run_passes_if_process_was_stopped(tmp_path: Path) -> None:
    stopped = STARTS_A_PROCESS + "    started.kill()\n    started.wait()\n"
    done = run_pytest(tmp_path, stopped)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_memory_that_a_file_leaves_is_given_back_before_the_next(tmp_path: Path) -> None:
    (tmp_path / "test_next.py").write_text(COMES_NEXT)
    done = run_pytest(tmp_path, LEAVES_A_CYCLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


@pytest.mark.slow
def test_missing_program_is_reported_once_for_all_skipped_tests(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, NEEDS_A_PROGRAM)
    assert done.returncode == 0, done.stdout + done.stderr
    line = "2 tests skipped: no-such-program is not installed: apt-get install no-such-package"
    assert line in done.stdout.splitlines()


@pytest.mark.slow
def test_run_leaves_processes_of_other_runs_alone(tmp_path: Path) -> None:
    env = {**os.environ, "SEEDBED_TEST_RUN": "another"}
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(sleep, env=env) as other:
        done = run_pytest(tmp_path, "def test_it():\n    assert True\n")
        assert done.returncode == 0, done.stdout + done.stderr
        assert other.poll() is None
        other.kill()
