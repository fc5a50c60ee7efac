"""Specialists in two worker processes, with a model server: kills, questions, stopping, budgets."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from multi_agent.config import Config
from multi_agent.team.step_queue import open_queue, run_worker
from seedbed.errors import ConfigError
from seedbed.settings import load
from seedbed.testing.launch import serve_app

pytest.importorskip("dbos")  # of an extra
SCRIPT = Path(__file__).with_name("scripted_worker.py")
TASK = "What is alpha? What is beta? What is gamma?"


def load_script() -> Any:
    spec = importlib.util.spec_from_file_location("scripted_worker", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def model_server(prompts: list[str]) -> Any:
    """An OpenAI-compatible API that replies with the prompt's last word."""
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    @app.post("/v1/chat/completions")
    def complete(body: dict[str, Any]) -> Any:
        prompts.append(body["messages"][-1]["content"])
        content = prompts[-1].split()[-1].strip("?")
        base = {"id": "c", "created": 0, "model": body["model"]}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        message = {"role": "assistant", "content": content}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return base | {"object": "chat.completion", "choices": [choice], "usage": usage}
        chunk = base | {"object": "chat.completion.chunk"}
        choice = {"index": 0, "delta": message, "finish_reason": "stop"}
        parts = [chunk | {"choices": [choice]}, chunk | {"choices": [], "usage": usage}]
        lines = [f"data: {json.dumps(part)}\n\n" for part in parts] + ["data: [DONE]\n\n"]
        return StreamingResponse(iter(lines), media_type="text/event-stream")

    return app


class World:
    """A team on Postgres whose steps are done by worker processes."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self.folder, self.url = folder, url
        self.prompts: list[str] = []
        self.model_url = stack.enter_context(serve_app(model_server(self.prompts))) + "/v1"
        queue = stack.enter_context(open_queue(load(Config, database_url=url)))
        script = load_script()
        self.team = script.open_scripted_team(folder, url, stack, queue=queue)
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        stack.callback(self.stop_workers)

    def worker(self, id: str) -> subprocess.Popen[bytes]:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        env |= {"SEEDBED_MODEL": "openai:scripted", "SEEDBED_BASE_URL": self.model_url}
        command = [sys.executable, str(SCRIPT), id, str(self.folder), self.url]
        with (self.folder / f"{id}.log").open("ab") as log:
            self.workers[id] = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        return self.workers[id]

    def stop_workers(self) -> None:
        for worker in self.workers.values():
            worker.send_signal(signal.SIGTERM)
        for worker in self.workers.values():
            worker.wait(60)

    def wait(self, run: str) -> Any:
        try:
            return self.team.wait(run, 120)
        except TimeoutError:
            pytest.fail("\n".join(p.read_text()[-3000:] for p in self.folder.glob("*.log")))

    def calls(self) -> Counter[str]:
        path = self.folder / "calls"
        return Counter(path.read_text().splitlines() if path.exists() else ())

    def until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < end, [p.read_text() for p in self.folder.glob("*.log")]
            time.sleep(0.02)


@pytest.fixture
def world(tmp_path: Path, new_postgres_url: Callable[[], str]) -> Iterator[World]:
    pytest.importorskip("langchain_openai")
    with ExitStack() as stack:
        yield World(tmp_path, new_postgres_url(), stack)


def test_queue_needs_postgres(tmp_path: Path) -> None:
    config = load(Config, data_dir=tmp_path)
    with pytest.raises(ConfigError, match="needs Postgres"), open_queue(config):
        pass


@pytest.mark.parametrize("id", ["local", "", "a b"])
def test_worker_refuses_an_id_that_is_not_its_own(tmp_path: Path, id: str) -> None:
    with pytest.raises(ConfigError, match="not a worker id"):
        run_worker(load(Config, data_dir=tmp_path), id, None, None)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_worker_is_replaced_and_no_call_that_ended_is_repeated(world: World) -> None:
    workers = [world.worker(f"worker-{number}") for number in (1, 2)]
    first = world.wait(world.team.start(TASK))  # both workers are up, or one does it all
    assert (first.status, first.answer.text) == ("done", "alpha 2; beta 2; gamma 2")
    assert first.usage["tool_calls"] == 6 and first.usage["steps"] == 3
    assert first.usage["tokens"] == 30 and len(world.prompts) == 3
    assert set(world.calls().values()) == {1}
    # One of the workers dies in the middle of a call.
    (world.folder / "kill").touch()
    runs = [world.team.start(TASK) for _ in range(3)]
    records = [world.wait(run) for run in runs]
    assert {(r.status, r.answer.text) for r in records} == {("done", first.answer.text)}
    assert sorted(worker.poll() is None for worker in workers) == [False, True]
    counts = world.calls()
    assert sum(counts.values()) == 4 * 6 + 1  # the interrupted call was made again
    started = Counter(
        (e.run, e.step) for r in runs for e in world.team.store.events(r, kind="worker")
    )
    print(f"steps started: {sum(started.values())} for {len(started)}; calls: {counts.total()}")
    assert sum(started.values()) > len(started) == 9


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_question_of_a_worker_is_asked_by_the_graph(world: World) -> None:
    world.worker("worker-1")
    run = world.wait(world.team.start("What is the mail of alpha?"))
    assert run.status == "waiting" and "Allow send" in run.reason
    assert not world.calls()
    world.team.answer(run.id, "allow")
    assert world.wait(run.id).answer.text == "alpha 2"
    assert world.calls() == {"send alpha 1": 1, "alpha 2": 1}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stop_ends_the_run_and_the_step_of_its_worker(world: World) -> None:
    world.worker("worker-1")
    (world.folder / "hold").touch()
    run = world.team.start("What is alpha?")
    world.until(world.calls)
    world.team.stop(run)
    assert world.wait(run).status == "stopped"
    log = world.folder / "worker-1.log"
    world.until(lambda: "is not wanted any longer" in log.read_text())
    (world.folder / "hold").unlink()
    assert world.wait(world.team.start("What is beta?")).answer.text == "beta 2"
    assert world.calls() == {"alpha 1": 1, "beta 1": 1, "beta 2": 1}
