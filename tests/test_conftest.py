"""What the root conftest.py adds to every test run, tested in a separate pytest run."""

import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

TEST = """
import subprocess, sys
def test_it():
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    started = subprocess.Popen(sleep, start_new_session=True)
    open("pid", "w").write(str(started.pid))
    assert started.poll() is None
"""


@pytest.mark.slow
def test_run_fails_and_names_leftover_process(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    pid = int((tmp_path / "pid").read_text())
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert f" {pid} {sys.executable} -c import time" in done.stdout
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
