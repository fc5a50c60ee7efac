"""Facts about the machine and the code."""

import os
import subprocess
from pathlib import Path

from seedbed.runs.environment import describe_environment, git_commit, total_memory


def test_describe_environment_lists_installed_versions_and_hardware() -> None:
    about = describe_environment(["pytest", "not-installed"])
    assert list(about["versions"]) == ["pytest"]
    assert (about["cores"], about["memory"]) == (os.cpu_count(), total_memory())
    assert about["cpu"] and about["python"].startswith("3.")


def test_git_commit_is_dirty_with_changed_and_with_untracked_files(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    assert len(git_commit(tmp_path) or "") == 40
    paper, other = tmp_path / "paper", tmp_path / "other"
    for folder in (paper, other):
        folder.mkdir()
    (paper / "method.py").write_text("x = 1")
    assert (git_commit(paper) or "").endswith("-dirty")
    assert len(git_commit(other) or "") == 40
    subprocess.run([*git, "add", "paper"], check=True)
    assert (git_commit(other) or "").endswith("-dirty")
