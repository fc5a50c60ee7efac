"""A team of scripted specialists in processes that can be killed, forked from one with the imports.

    python killed_team.py       # a line of JSON on stdin forks a process, whose pid it prints

An order has a `folder`, a `url` (or null), the `thread` of a run, the `lease` in seconds, and a
file `ready` that appears when the team is open. The process starts the run unless it
exists, or continues it, and ends with it. Calls of tools are lines in FOLDER/THREAD.calls.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import time
import traceback
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from multi_agent.brain import Refusal
from multi_agent.tools.toolbox import tool_of
from seedbed.errors import Conflict
from seedbed.structured.schemas import validate

CALL_SECONDS = 0.004
TASK = "What is alpha? What is the beta of that? What is the gamma of that? What is delta?"
OPTIONS = ("beta by day", "beta by night")


def load_conftest() -> Any:
    spec = importlib.util.spec_from_file_location("teams", Path(__file__).with_name("conftest.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["teams"] = module
    spec.loader.exec_module(module)
    return module


teams = load_conftest()


def append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def open_killed_team(stack: ExitStack, order: dict[str, Any]) -> Any:
    """Specialists with calls: beta asks a question, gamma has a call with effects.

    alpha, beta and gamma work one after another, and delta beside them.
    """
    calls = Path(order["folder"]) / f"{order['thread']}.calls"

    def look(what: str) -> str:
        """Look something up."""
        time.sleep(CALL_SECONDS)
        append(calls, f"look {what}")
        time.sleep(CALL_SECONDS)
        return what

    def send(what: str) -> str:
        """Send something."""
        time.sleep(CALL_SECONDS)
        append(calls, f"send {what}")
        time.sleep(CALL_SECONDS)
        return "sent"

    def two(step: Any, context: Any) -> str:
        name = step.specialist
        return "+".join(context.call("look", what=f"{name} {n}") for n in (1, 2))

    def beta(step: Any, context: Any) -> str:
        if step.task not in OPTIONS:
            raise Refusal("tie", "By day or by night?", OPTIONS)
        return str(context.call("look", what=step.task))

    def gamma(step: Any, context: Any) -> str:
        context.call("send", what=step.task)
        return str(context.call("look", what=f"after {step.task}"))

    works = {"alpha": two, "beta": beta, "gamma": gamma, "delta": two}
    return teams.scripted_team(
        Path(order["folder"]),
        stack,
        [teams.Scripted(name, do) for name, do in works.items()],
        [tool_of(look), tool_of(send, effects=True)],
        permissions={"send": "allow"},
        database_url=order["url"],
        lease_seconds=order["lease"],
    )


def drive(order: dict[str, Any]) -> None:
    """Start or continue the run, and answer what it asks, until it has ended."""
    with ExitStack() as stack:
        team = open_killed_team(stack, order)
        thread, calls = order["thread"], Path(order["folder"]) / f"{order['thread']}.calls"
        Path(order["ready"]).touch()
        if not team.store.runs(1, thread=thread):
            team.start(TASK, thread)
        team.recovers = True
        while (run := team.store.runs(1, thread=thread)[0]).status in ("running", "waiting"):
            team.wait(run.id)
            if question := run.status == "waiting" and team.question(run.id):
                text = question["options"][0]
                if text == "repeat" and "send " in calls.read_text():
                    text = "skip"  # as a person would, who looks whether it was sent
                with suppress(Conflict):  # the process before still has the lease
                    team.reply(run.id, text, team.question(run.id)["key"])
            time.sleep(0.005)


def fork_processes() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel forgets children that ended
    validate({}, {}, "Nothing")  # imports for a second, which most of the kills would hit
    for line in sys.stdin:
        order = json.loads(line)
        if pid := os.fork():
            print(pid, flush=True)
            continue
        log = os.open(order["ready"] + ".log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for stream, number in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
            os.dup2(stream, number)
        try:
            drive(order)
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    fork_processes()
