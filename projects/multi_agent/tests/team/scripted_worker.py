"""A worker with scripted specialists, whose models are behind an API.

    python scripted_worker.py ID FOLDER URL

Each specialist asks its model for a word and looks it up twice. Calls of tools are lines in
FOLDER/calls; a call that finds the file FOLDER/kill removes it and kills the worker, and one that
finds FOLDER/hold waits until that is gone.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from multi_agent.team.step_queue import run_worker
from multi_agent.tools.toolbox import tool_of
from seedbed.models.chat.load import load_chat_model
from seedbed.settings import Settings, load

NAMES = ("alpha", "beta", "gamma")
LEASE = 1.0
TEAMS = Path(__file__).parents[1] / "graph" / "conftest.py"


def load_teams() -> Any:
    spec = importlib.util.spec_from_file_location("teams", TEAMS)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["teams"] = module
    spec.loader.exec_module(module)
    return module


teams = load_teams()


def open_scripted_team(folder: Path, url: str, stack: ExitStack, **options: Any) -> Any:
    def look(what: str) -> str:
        """Look something up.

        Args:
            what: Anything.
        """
        with (folder / "calls").open("a") as file:
            file.write(f"{what}\n")
        if (folder / "kill").exists():
            (folder / "kill").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        while (folder / "hold").exists():
            time.sleep(0.01)
        return what

    def send(what: str) -> str:
        """Send something.

        Args:
            what: Anything.
        """
        return look(f"send {what}")

    def work(step: Any, context: Any) -> str:
        word = context.model.invoke(step.task).text
        context.call("send" if "mail" in step.task else "look", what=f"{word} 1")
        return str(context.call("look", what=f"{word} 2"))

    return teams.scripted_team(
        folder,
        stack,
        [teams.Scripted(name, work) for name in NAMES],
        [tool_of(look), tool_of(send, effects=True)],
        database_url=url,
        lease_seconds=LEASE,
        **options,
    )


if __name__ == "__main__":
    id, folder, url = sys.argv[1:]
    logging.basicConfig(level="INFO")
    settings = load(Settings)
    with ExitStack() as stack:
        models = {name: load_chat_model(settings.model, settings=settings) for name in NAMES}
        team = open_scripted_team(Path(folder), url, stack, models=models)
        run_worker(team.config, id, team.store, team.open_run, LEASE)
