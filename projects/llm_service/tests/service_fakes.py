"""Stand-ins that tests inject: a backend that says what it is told, and the whole app around it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from stub_upstream import Stub

from llm_service.config import Config
from llm_service.gateway.gateway import Gateway
from llm_service.models.entry import ModelEntry
from llm_service.models.pool import Pool
from llm_service.observe.metrics import Metrics
from llm_service.request import Ask, Delta, Embedded, Event, Finish, Load, Usage, several
from llm_service.store.database import open_database
from llm_service.store.keys import KeyStore
from llm_service.web.openai_api import create_app
from seedbed.server.keys import Keys
from seedbed.settings import Settings
from seedbed.testing.launch import free_port, run_server

TABLE = """
[models.echo]
backend = "openai"
base_url = "http://127.0.0.1:1/v1"
price_in = 1.0
price_out = 2.0
[models.vectors]
backend = "openai"
base_url = "http://127.0.0.1:1/v1"
kind = "embedding"
"""


@dataclass
class FakeBackend:
    """Says the words of `text` one by one, or raises `error`; notes what it was asked."""

    name: str = "echo"
    text: str = "one two three"
    pause: float = 0.0
    error: BaseException | None = None
    load: Load = field(default_factory=Load)
    asked: list[Ask] = field(default_factory=list)

    async def generate(self, ask: Ask) -> AsyncIterator[Event]:
        self.asked.append(ask)
        if self.error is not None:
            raise self.error
        words = self.text.split(" ")
        for n, word in enumerate(words):
            await asyncio.sleep(self.pause)
            yield Delta(word if n == 0 else f" {word}")
        yield Finish("stop")
        yield Usage(7, len(words))

    async def embed(self, ask: Ask) -> Embedded:
        self.asked.append(ask)
        texts = several(ask.body["input"])
        return Embedded([[float(len(text)), 1.0] for text in texts], 3)

    async def close(self) -> None:
        pass


async def source(events: Iterable[Event | Exception]) -> AsyncIterator[Event]:
    """The events of an answer, until one is an error."""
    for event in events:
        if isinstance(event, Exception):
            raise event
        yield event


def fake_pool(backends: dict[str, Any]) -> type[Pool]:
    """A pool that gives each model of the table the backend that the test made for it."""

    class FakePool(Pool):
        def _make(self, entry: ModelEntry) -> Any:
            return backends.setdefault(entry.name, FakeBackend(entry.name))

    return FakePool


@dataclass
class Served:
    """An app that runs, with a client to ask it and all that a test may look at."""

    app: FastAPI
    gateway: Gateway
    keys: KeyStore
    client: httpx.AsyncClient
    echo: FakeBackend
    models: Path
    registry: CollectorRegistry

    async def chat(self, content: str = "hello", key: str = "", **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        message = {"role": "user", "content": content}
        return await self.client.post(
            "/v1/chat/completions", json={"messages": [message], **body}, headers=headers
        )


@contextmanager
def app_over_fakes(
    data_dir: Path,
    table: str = TABLE,
    backends: dict[str, Any] | None = None,
    settings: Settings | None = None,
    **config: Any,
) -> Iterator[Served]:
    """The whole app over fake backends; `table` is the text of its TOML file."""
    data_dir.mkdir(parents=True, exist_ok=True)
    models = data_dir / "models.toml"
    models.write_text(table, encoding="utf-8")
    made = backends if backends is not None else {}
    echo = made.setdefault("echo", FakeBackend())
    settings = settings or Settings(_env_file=None)
    options = Config(data_dir=data_dir, models=models, _env_file=None, **config)
    database, registry = open_database(options), CollectorRegistry()
    keys = KeyStore(database, Keys.parse(settings.api_keys.get_secret_value()))
    metrics = Metrics(registry)
    gateway = Gateway(options, settings, database, metrics, make_pool=fake_pool(made))
    app = create_app(gateway, keys)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
    try:
        yield Served(app, gateway, keys, client, echo, models, registry)
    finally:
        database.close()


@asynccontextmanager
async def serving(data_dir: Path, *arguments: Any, **config: Any) -> AsyncIterator[Served]:
    """The same app as it runs, in this process."""
    with app_over_fakes(data_dir, *arguments, **config) as served:
        async with served.app.router.lifespan_context(served.app), served.client:
            yield served


@dataclass
class Running:
    """`llm-service serve` as a process of its own."""

    url: str
    port: int
    process: subprocess.Popen[bytes]


@contextmanager
def run_service(
    folder: Path,
    table: str = "",
    *,
    wrapper: Sequence[str] = (),
    ready: str = "/readyz",
    **env: str,
) -> Iterator[Running]:
    """The service in a process of its own, over the table's models (default: the local one) and
    the data in `folder`; `wrapper` is a command that runs it, `env` further settings.
    It has started once GET `ready` succeeds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, models = free_port(), folder / "models.toml"
    if table:
        models.write_text(table, encoding="utf-8")
    env = {"SERVICE_DATA_DIR": str(folder), "SEEDBED_LOG_LEVEL": "WARNING", **env}
    command = [*wrapper, sys.executable, "-m", "llm_service", "serve", "--port", str(port)]
    command += ["--models", str(models)] if table else []
    with run_server(command, port, ready, timeout=120, env=env) as process:
        yield Running(f"http://127.0.0.1:{port}", port, process)


@contextmanager
def run_stubs(*stubs: Stub) -> Iterator[list[str]]:
    """The base URLs of stub upstreams, each on a port of its own, all in one thread."""

    async def serve(stub: Stub) -> str:
        runner = web.AppRunner(stub.app(), handler_cancellation=True, shutdown_timeout=0.1)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/v1"

    loop, stack = asyncio.new_event_loop(), AsyncExitStack()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield [asyncio.run_coroutine_threadsafe(serve(stub), loop).result() for stub in stubs]
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
