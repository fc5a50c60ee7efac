"""Worlds for the tests of the engine: databases, receivers that count, and worker processes."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentic_workflow.config import Config
from agentic_workflow.effects.outbox import Outbox
from agentic_workflow.engine.desk import open_store
from agentic_workflow.engine.intake import Intake
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.mail.parse import parse_mail
from agentic_workflow.sample.payments import open_ledger
from agentic_workflow.sample.smtp_server import received, run_smtp_server
from agentic_workflow.serve.actions import Actions
from agentic_workflow.workflow import VERSION
from seedbed.errors import Unavailable
from seedbed.settings import load
from seedbed.testing.launch import free_port

SCRIPT = Path(__file__).with_name("scripted_desk.py")


def _load_script() -> Any:
    spec = importlib.util.spec_from_file_location("scripted_desk", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


scripted = _load_script()
AT_REST = ("closed", "waiting", "failed", "in_doubt", "duplicate")


class Worker(psutil.Process):
    """A forked worker process; a signal to one that has ended reaches no other process."""

    def send(self, number: int) -> None:
        with suppress(psutil.NoSuchProcess):
            self.send_signal(number)


class Nursery:
    """Forks workers from a process that has done the imports."""

    def __init__(self) -> None:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def fork(self, **order: Any) -> Worker:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        return Worker(int(self.process.stdout.readline()))

    def close(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


class World:
    """A folder with databases, a mail server and payments; worker processes on demand."""

    scripted = scripted

    def __init__(
        self,
        folder: Path,
        stack: ExitStack,
        nursery: Nursery | None = None,
        url: str | None = None,
    ) -> None:
        self.nursery, self.stack = nursery, stack
        folder.mkdir(exist_ok=True)
        self.folder, self.sent_folder = folder, folder / "sent"
        port = free_port()
        stack.enter_context(run_smtp_server(self.sent_folder, port))
        settings = {"data_dir": str(folder), "smtp_url": f"smtp://127.0.0.1:{port}"}
        settings["address"] = "desk@shop.example"
        self.env = {f"WORKFLOW_{name.upper()}": value for name, value in settings.items()}
        self.env |= {"SEEDBED_DATABASE_URL": url} if url else {}
        self.config = load(Config, **settings, database_url=url, authserv_id="mx.shop.example")
        (folder / "policy.toml").write_text(scripted.POLICY)
        self.queue = CaseQueue(self.config)
        stack.callback(self.queue.close)
        self.store = open_store(self.config)
        stack.callback(self.store.close)
        self.intake = Intake(self.config, self.store, self.queue)
        outbox = Outbox(self.store.engine, {}, "test")
        self.actions = Actions(self.config, self.store, self.queue, outbox)
        self.workers: list[Worker] = []
        stack.callback(self.stop_workers)
        self.count = 0

    def take(self, text: str, **headers: Any) -> str:
        """Take in a mail with a text; returns the id of its case."""
        self.count += 1
        return self.intake.take(
            scripted.mail_bytes(self.count, text, **headers), by_mail_server=True
        ).id

    def worker(self, id: str, *, crash: str = "", version: str = VERSION) -> Worker:
        """Start a worker; with `crash`, one worker of this world kills itself at that point."""
        env = {**self.env, **({"TEST_CRASH": f"{crash}:{self.folder / crash}"} if crash else {})}
        assert self.nursery
        log = str(self.folder / f"{id}.log")
        worker = self.nursery.fork(env=env, id=id, version=version, log=log)
        self.workers.append(worker)
        return worker

    def crashed(self, point: str) -> bool:
        return (self.folder / point).exists()

    def stop_workers(self) -> None:
        for number in (signal.SIGCONT, signal.SIGTERM):
            for worker in self.workers:
                worker.send(number)
        self.until(lambda: not any(worker.is_running() for worker in self.workers))
        self.workers.clear()

    def idle(self) -> bool:
        """Whether every workflow has ended."""
        return not self.queue.unfinished()

    def statuses(self, cases: Sequence[str]) -> list[str]:
        return [self.store.case(case).status for case in cases]

    def wait(
        self, cases: Sequence[str], statuses: Sequence[str] = AT_REST, seconds: float = 120.0
    ) -> list[str]:
        """Wait until all cases have one of the statuses; returns them."""
        self.until(lambda: set(self.statuses(cases)) <= set(statuses), seconds)
        return self.statuses(cases)

    def until(self, condition: Callable[[], Any], seconds: float = 120.0) -> Any:
        """Poll a condition; fails with the workers' logs if it does not become true in time."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > end:
                pytest.fail(f"not within {seconds} s\n{self.log()}")
            time.sleep(0.02)
        return value

    def log(self) -> str:
        logs = [path.read_text(errors="replace")[-3000:] for path in self.folder.glob("*.log")]
        rows = [(c.id, c.status, c.changed_at) for c in self.store.cases(limit=20)]
        return "\n".join([*logs, *map(str, rows)])

    def mail(self, text: str, **headers: Any) -> Any:
        """A parsed mail that is neither stored nor queued."""
        self.count += 1
        return parse_mail(scripted.mail_bytes(self.count, text, **headers))

    def responds(self) -> bool:
        with suppress(Unavailable):
            self.store.cases(limit=1)
            return self.queue.states(["x"]) == {}
        return False

    def sent(self) -> dict[str, int]:
        """Number of mails by case."""
        return Counter(id.partition(".")[0] for id in received(self.sent_folder).elements())

    def open_desk(self) -> Any:
        return scripted.open_scripted_desk(self.config, None, self.queue, "worker-1")

    def fail_mails(self, mode: str) -> None:
        (self.sent_folder / "fail").write_text(mode)

    def refunds(self) -> list[tuple[Any, ...]]:
        with open_ledger(self.folder) as ledger:
            return list(ledger.execute("SELECT * FROM refunds").fetchall())


@pytest.fixture
def open_world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., World]]:
    """Opens worlds: `open_world("sqlite")` or `open_world("postgres")`."""
    with ExitStack() as stack:

        def open_one(database: str = "sqlite") -> World:
            url = None
            if database == "postgres":
                url = request.getfixturevalue("new_postgres_url")()
            nursery = request.getfixturevalue("nursery")
            return World(tmp_path / database, stack, nursery, url)

        yield open_one


@pytest.fixture(scope="session")
def world_class() -> type[World]:
    return World
