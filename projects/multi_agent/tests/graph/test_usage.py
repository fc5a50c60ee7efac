"""What a run has spent survives SIGKILL: it is computed from the record of the run."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from multi_agent.specialists import Context
from multi_agent.state import Step
from multi_agent.tools.toolbox import tool_of
from seedbed.models.load import load_chat_model
from seedbed.settings import Settings
from seedbed.testing.vendor.server import launch_vendor

LEASE = 0.3  # seconds


def load_conftest() -> Any:
    spec = importlib.util.spec_from_file_location("teams", Path(__file__).with_name("conftest.py"))
    assert spec and spec.loader
    sys.modules["teams"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def open_team(folder: Path, stack: ExitStack, url: str, *, killed: bool) -> Any:
    """A planner and two specialists with models. `killed`: beta kills the process at its look."""
    teams = load_conftest()

    def look(word: str) -> str:
        """Look a word up."""
        if killed:
            os.kill(os.getpid(), signal.SIGKILL)
        return f"a {word}"

    def alpha(_step: Step, context: Context) -> str:
        assert context.model
        return str(context.model.invoke("Name the first letter.").text)

    def beta(_step: Step, context: Context) -> str:
        assert context.model
        word = context.model.invoke("Name the second letter.").text
        found = context.call("look", word=word)
        return str(context.model.invoke(f"Describe {found}.").text)

    settings = Settings(base_url=f"{url}/v1", _env_file=None)
    model = load_chat_model("openai:gpt-4o-mini", settings=settings)
    return teams.scripted_team(
        folder,
        stack,
        [teams.Scripted("alpha", alpha), teams.Scripted("beta", beta)],
        [tool_of(look)],
        models=dict.fromkeys(("planner", "alpha", "beta"), model),
        lease_seconds=LEASE,
    )


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_resumed_run_has_spent_what_the_vendor_counted(
    tmp_path: Path, replies: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    plan = replies.plan(("alpha", "the first letter"), ("beta", "the letter after {s1}"))
    with launch_vendor([plan, "alpha", "beta", "the second letter"]) as vendor, ExitStack() as team:
        # 1. A process is killed in the second of two steps, after three of four model calls.
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        killed = subprocess.run([sys.executable, __file__, str(tmp_path), vendor.url], env=env)
        assert (killed.returncode, len(vendor.calls)) == (-signal.SIGKILL, 3)
        # 2. Another one goes on, and pays for the fourth call only.
        resumed = open_team(tmp_path, team, vendor.url, killed=False)
        (run,) = resumed.store.runs()
        resumed.resume(run.id)
        run = resumed.wait(run.id)
        assert (run.status, run.answer.text) == ("done", "the second letter")
        assert (len(vendor.calls), vendor.problems) == (4, [])
        # 3. All of it counts: tokens and USD to the last digit, two steps, and `look` twice.
        tokens = (vendor.usage.input_tokens, vendor.usage.output_tokens)
        assert run.usage["tokens"] == sum(tokens) > 0
        usd = (0.15 * tokens[0] + 0.6 * tokens[1]) / 1e6
        assert run.usage["usd"] == pytest.approx(usd, rel=1e-9)
        assert (run.usage["steps"], run.usage["tool_calls"]) == (2, 2)
        # 4. A replay costs nothing, and does not change what the run has spent.
        assert resumed.replay(run.id).same
        assert resumed.store.run(run.id).usage == run.usage
        assert len(vendor.calls) == 4


if __name__ == "__main__":
    with ExitStack() as stack:
        team: Any = open_team(Path(sys.argv[1]), stack, sys.argv[2], killed=True)
        team.wait(team.start("Which letter is after alpha?"))
