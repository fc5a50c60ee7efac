"""Folders that the README says may be deleted: `solve` and `serve` work without each of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seedbed.testing.launch import free_port, run_server
from seedbed.testing.vendor.script import read_replies
from seedbed.testing.vendor.server import launch_vendor

PACKAGE = Path(__file__).parents[2] / "src/multi_agent"
GOOD = Path(__file__).parents[1] / "vendor/good"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("folder", ["offline", "sample", "evaluate"])
def test_solve_and_serve_work_without_the_folder(folder: str, tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "multi_agent")
    shutil.rmtree(tmp_path / "multi_agent" / folder)
    (tmp_path / "boats.csv").write_text("name,price\nA,10\nB,20\nC,30\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "AGENTS_DATA_DIR": str(tmp_path / "data")}
    task, answer = "How many orders were placed in May 2025?", "14"
    if folder == "sample":
        env["AGENTS_DATABASE"] = str(tmp_path / "boats.csv")
        task, answer = "How many boats are there?", "3"
    replies = read_replies(GOOD / "data-02.jsonl")
    command = [sys.executable, "-m", "multi_agent"]
    with launch_vendor(replies) as vendor:
        if folder == "offline":
            model = {"SEEDBED_MODEL": "openai:gpt-4o-mini", "OPENAI_API_KEY": "test-key"}
            env |= {**model, "SEEDBED_BASE_URL": f"{vendor.url}/v1"}
        done = subprocess.run(
            [*command, "solve", task], env=env, cwd=tmp_path, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout.splitlines()[:1]) == (0, [answer]), done.stderr
        port = free_port()
        with run_server([*command, "serve", "--port", str(port)], port, env=env):
            pass  # it answers
