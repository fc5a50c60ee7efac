"""What runs in the processes that Ray Serve starts: the gateway, and the replicas of the models.

Where they run, and their number, is decided in `app`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from llm_service.config import Config
from llm_service.models.entry import ModelEntry
from llm_service.on_ray.backend import RayBackend
from llm_service.request import Ask, Backend, Embedded, Event
from seedbed.settings import Settings

# A replica of a model starts without what only the gateway needs.
if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from llm_service.models.local.backend import LocalBackend

log = logging.getLogger(__name__)

MakeBackend = Callable[[], "LocalBackend"]
MakeApp = Callable[[Mapping[str, Backend]], "ASGIApp"]


class Gateway:
    """The whole service but its local models; `serve.ingress` makes it a deployment."""

    def __init__(self, make_app: MakeApp, handles: Mapping[str, Any]) -> None:
        self._make_app = make_app
        self._backends = {name: RayBackend(name, handle) for name, handle in handles.items()}

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self._make_app(self._backends)


class Model:
    """One replica of a model. What its backend raises reaches the gateway as it is."""

    async def __init__(self, make_backend: MakeBackend) -> None:  # type: ignore[misc]
        # Serve awaits it.
        self._backend = make_backend()
        await self._backend.check()  # loads it: no request comes before this has returned

    async def generate(self, ask: Ask) -> AsyncGenerator[list[Event], None]:
        """The events in batches, for each of Ray's messages costs as much as many events."""
        async with aclosing(batched(self._backend.generate(ask))) as batches:
            async for batch in batches:
                yield batch

    async def embed(self, ask: Ask) -> Embedded:
        return await self._backend.embed(ask)

    async def check_health(self) -> None:
        """Serve replaces the replica when this has failed three times."""
        await self._backend.check()

    async def __del__(self) -> None:  # how Serve announces the end of a replica
        await self._backend.close()


async def batched(events: AsyncIterator[Event]) -> AsyncGenerator[list[Event], None]:
    """What is there already goes together; nothing waits for what is not."""
    queue: asyncio.Queue[Event | None] = asyncio.Queue()

    async def read() -> None:
        try:
            async for event in events:
                queue.put_nowait(event)
        finally:
            queue.put_nowait(None)

    reading = asyncio.create_task(read())
    try:
        event = await queue.get()
        while event is not None:
            batch = [event]
            while not queue.empty() and (event := queue.get_nowait()) is not None:
                batch.append(event)
            yield batch
            if event is not None:
                event = await queue.get()
        await reading  # raises what the reading raised
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def local_backend(entry: ModelEntry, config: Config) -> LocalBackend:
    """What a replica runs: one process with the model, as in `serve`."""
    from llm_service.models.local.backend import LocalBackend

    return LocalBackend(
        entry.name, entry, max_running=config.max_running, max_queue=config.max_queue
    )


def service(
    config: Config, settings: Settings, local: bool, replicated: Mapping[str, Backend]
) -> ASGIApp:
    """The application that `serve` runs, with `replicated` in place of its local models.

    Raises ConfigError where everyone could call it, unless it is `local` to this machine.
    """
    from llm_service.web.app import create
    from seedbed.server.service import require_keys

    app = create(config, settings, make_pool=partial(_pool, replicated))
    if not local:
        require_keys(app.state.keys, settings, "Ray's nodes")
    app.state.access.local_only = local and not settings.open
    app.add_middleware(OneRequestId)
    return app


def _pool(replicated: Mapping[str, Backend], *args: Any) -> Any:
    """The gateway's backends: for a model that has replicas on Ray, these."""
    from llm_service.models.pool import Pool

    class RayPool(Pool):
        def _make(self, entry: ModelEntry) -> list[Backend]:
            if entry.backend != "local":
                return super()._make(entry)
            if (backend := replicated.get(entry.name)) is not None:
                return [backend]
            log.warning(
                "%s was added by a reload: it runs on the gateway's node without further replicas",
                entry.name,
            )
            return super()._make(entry)

    return RayPool(*args)


class OneRequestId:
    """Leaves out the response's x-request-id, which Serve's proxy writes as well (the same)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_rest(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                message["headers"] = [pair for pair in headers if pair[0] != b"x-request-id"]
            await send(message)

        await self._app(scope, receive, send_rest)
