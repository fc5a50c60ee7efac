"""Facts about the machine and the code, and whether a process still runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

from seedbed.runs.environment import (
    describe_environment,
    git_commit,
    is_alive,
    process_identity,
    total_memory,
)

IDENTITY = """
import json, sys
from seedbed.runs.environment import process_identity
print(json.dumps(process_identity()), flush=True)
sys.stdin.read()
"""


def test_describe_environment_lists_installed_versions_and_hardware() -> None:
    about = describe_environment(["pytest", "not-installed"])
    assert list(about["versions"]) == ["pytest"]
    assert (about["cores"], about["memory"]) == (os.cpu_count(), total_memory())
    assert about["cpu"] and about["python"].startswith("3.")


def test_git_commit(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    assert len(git_commit(tmp_path) or "") == 40
    (tmp_path / "f").write_text("1")
    subprocess.run([*git, "add", "f"], check=True)
    assert (git_commit(tmp_path) or "").endswith("-dirty")


def test_git_commit_counts_untracked_files_of_the_folder(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    paper, other = tmp_path / "paper", tmp_path / "other"
    for folder in (paper, other):
        folder.mkdir()
    (paper / "method.py").write_text("x = 1")
    assert (git_commit(paper) or "").endswith("-dirty")
    assert len(git_commit(other) or "") == 40


def test_is_alive_until_the_process_is_killed() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", IDENTITY], stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        record = json.loads(process.stdout.readline())
        assert record["pid"] == process.pid and is_alive(record)
        process.kill()
    assert not is_alive(record)


def test_is_alive_rejects_another_process_with_the_same_id() -> None:
    record = process_identity()
    assert not is_alive(record | {"pid_started": record["pid_started"] - 60})


def test_is_alive_assumes_that_processes_of_other_machines_run() -> None:
    assert is_alive({"pid": 1, "pid_started": 0.0, "host": "another"})
