"""Local models: their processes, queues and memory, with the real worker where it matters."""

import asyncio
import contextlib
import json
from dataclasses import dataclass

import httpx
import psutil
import pytest
from service_fakes import run_service

from llm_service.config import Config
from llm_service.models.entry import ModelEntry
from llm_service.models.local import wire
from llm_service.models.local.backend import LocalBackend
from llm_service.models.local.worker import MAX_SCHEMAS, check_size, choice_seeds
from llm_service.models.pool import Pool
from llm_service.models.table import Table
from llm_service.request import Ask, Delta, Finish, Usage
from seedbed.errors import BadInput, Busy, SeedbedError, Unavailable
from seedbed.settings import Settings

LONG = {
    "messages": [{"role": "user", "content": "Tell a story."}],
    "max_tokens": 4000,
    "ignore_eos": True,
}
SHORT = {"messages": [{"role": "user", "content": "Say hello."}]}


def entry(name="smollm2", **fields):
    return ModelEntry(name=name, backend="local", **fields)


# ── one real worker ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
async def test_a_worker_answers_with_its_defaults_refuses_and_cancels():
    """One worker for all of it: loading the model takes the most time."""
    defaults = {"max_tokens": 4}
    backend = LocalBackend("smollm2", entry(defaults=defaults), max_running=1, max_queue=0)
    longest = {**LONG, "max_tokens": 8000}
    try:
        events = [event async for event in backend.generate(Ask("chat", "smollm2", SHORT))]
        assert [type(event) for event in events[-2:]] == [Finish, Usage]
        assert sum(e.tokens for e in events if isinstance(e, Delta)) == 4
        assert (backend.load.running, backend.load.waiting) == (0, 0)

        texts, sampled = ["", ""], {"n": 2, "seed": 3, "temperature": 1.0, "max_tokens": 8}
        async for event in backend.generate(Ask("chat", "smollm2", {**LONG, **sampled})):
            if isinstance(event, Delta):
                texts[event.index] += event.text
        assert event.completion_tokens == 16 and texts[0] != texts[1]

        running = backend.generate(Ask("chat", "smollm2", longest))
        await anext(running)
        with pytest.raises(Busy) as caught:
            await anext(backend.generate(Ask("chat", "smollm2", SHORT)))
        assert caught.value.retry_after >= 1
        assert backend.process.busy, "it was refused only after the other had ended"
        await running.aclose()  # its 8000 tokens would take a minute
        assert backend.load.running == 0
        async with asyncio.timeout(30):
            assert [event async for event in backend.generate(Ask("chat", "smollm2", SHORT))]
    finally:
        await backend.close()
    with pytest.raises(Unavailable, match="unloaded"):
        await backend.loaded()


# ── memory ──────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Loaded:
    """Stands for a process of so many bytes."""

    memory: int
    busy: bool = False
    alive: bool = True

    async def stop(self):
        await asyncio.sleep(0.01)
        self.alive = False


@pytest.fixture
def made(tmp_path):
    def make(*sizes, memory_mb):
        """A pool of local models a, b, …, loaded in this order, each of so many MB."""
        names = "abcdef"[: len(sizes)]
        file = tmp_path / "models.toml"
        file.write_text(
            "".join(f'[models.{x}]\nbackend="local"\nspec="path:/{x}"\n' for x in names)
        )
        pool = Pool(Config(memory_mb=memory_mb, _env_file=None), None)
        pool.update(Table.load(file, Settings(_env_file=None)))
        backends = {backend.name: backend for backend in pool.local()}
        for at, (name, size) in enumerate(zip(names, sizes, strict=True)):
            backends[name]._process = Loaded(size * 2**20)
            backends[name].last_used = float(at)
        return pool, backends

    return make


def loaded(backends):
    return "".join(name for name, backend in backends.items() if backend.process is not None)


async def test_the_least_recently_used_idle_model_goes_first(made):
    pool, backends = made(400, 400, 400, memory_mb=900)
    backends["a"]._process.busy = True
    await pool.make_room()
    assert loaded(backends) == "ac"
    assert backends["b"].resting
    assert pool.memory() == {"a": 400 * 2**20, "b": None, "c": 400 * 2**20}
    await pool.make_room()
    assert loaded(backends) == "ac"


async def test_a_model_that_got_busy_meanwhile_stays(made):
    pool, backends = made(400, 400, memory_mb=300)
    making = asyncio.create_task(pool.make_room())
    await asyncio.sleep(0)  # a is being ended
    backends["b"]._process.busy = True
    await making
    assert loaded(backends) == "b"


async def test_a_model_over_the_limit_alone_is_served(made):
    """It must not be unloaded, nor wait for itself, while it is about to answer."""
    pool, backends = made(400, memory_mb=300)
    async with backends["a"]._starting, asyncio.timeout(30):
        await pool.make_room()
    assert loaded(backends) == "a"


# ── the whole service ───────────────────────────────────────────────────────────────────────────


def worker_of(process):
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "llm_service.models.local.worker" in child.cmdline():
                return child
    raise AssertionError("the service has no worker")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_workers_that_die_and_a_service_that_does(tmp_path):
    stream = {"method": "POST", "url": "/v1/chat/completions", "json": {**LONG, "stream": True}}
    with (
        run_service(tmp_path) as running,
        httpx.Client(base_url=running.url, timeout=120) as client,
    ):
        worker, seen = worker_of(running.process), []
        with client.stream(**stream) as answer:
            for line in filter(None, answer.iter_lines()):
                seen.append(line)
                if len(seen) == 3:
                    worker.kill()
        assert answer.status_code == 200 and "data: [DONE]" not in seen
        error = json.loads(seen[-1].removeprefix("data: "))["error"]
        assert error["type"] == "unavailable" and "has exited" in error["message"]

        after = client.post("/v1/chat/completions", json=SHORT)
        assert after.status_code == 200, after.text
        assert client.get("/readyz").status_code == 200

        left = worker_of(running.process)
        assert left.pid != worker.pid
        with client.stream(**stream) as answer:
            next(answer.iter_lines())
            running.process.kill()  # it cannot stop its worker, which is amid an answer
        running.process.wait(30)
        left.wait(30)  # no longer its child: psutil looks until it is gone
        assert not left.is_running()


@pytest.mark.slow
def test_a_missing_model_keeps_the_service_up_and_not_ready(tmp_path):
    with (
        run_service(tmp_path, ready="/healthz", SEEDBED_MODEL="path:/nope") as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):
        for answer in (client.post("/v1/chat/completions", json=SHORT), client.get("/readyz")):
            assert answer.status_code == 503 and "/nope" in answer.json()["error"]["message"]
        assert client.get("/v1/models").status_code == 200


def test_errors_keep_their_kind_over_the_wire():
    error = Busy("full", hint="wait", retry_after=3)
    error.details["code"] = "x"
    again = wire.to_error(json.loads(json.dumps(wire.from_error(error))))
    assert type(again) is Busy and str(again) == "full wait"
    assert again.retry_after == 3 and again.details == {"code": "x"}
    unknown = wire.to_error({**wire.from_error(error), "type": "os"})
    assert type(unknown) is SeedbedError


def test_seeds_of_choices_are_independent_and_repeat() -> None:
    seeds = [seed for given in range(11, 21) for seed in choice_seeds(given, 16)]
    assert len(set(seeds)) == 160
    assert choice_seeds(11, 3) == choice_seeds(11, 3)
    assert choice_seeds(-(2**63), 1) == [0] and choice_seeds(None, 2) == [None, None]


def test_schemas_that_are_too_large_are_refused_before_they_are_compiled() -> None:
    check_size({"response_format": {"type": "json_object"}})
    with pytest.raises(BadInput, match="schemas of the request have"):
        check_size({"tools": [{"function": {"parameters": {"enum": ["x" * MAX_SCHEMAS]}}}]})
