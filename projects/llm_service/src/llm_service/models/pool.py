"""The backends of a table: made, kept over a reload where nothing changed, unloaded when memory is
short. It does not choose between them; `gateway.routing` does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from llm_service.config import Config
from llm_service.models.entry import ModelEntry
from llm_service.models.local.backend import LocalBackend
from llm_service.models.remote.openai import OpenAIBackend
from llm_service.models.table import Table
from llm_service.request import Backend

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)
_RETIRE_SECONDS = 60.0


class Pool:
    """The backends by model."""

    def __init__(self, config: Config, session: aiohttp.ClientSession) -> None:
        self._config = config
        self._session = session
        self._backends: dict[str, tuple[ModelEntry, Backend]] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    def update(self, table: Table) -> Mapping[str, Backend]:
        """The backends of `table`. Those that it no longer has end once they are idle."""
        new = {}
        for name, entry in table.models.items():
            before = self._backends.get(name)
            same = before is not None and before[0] == entry
            new[name] = before if before and same else (entry, self._make(entry))
        for name, previous in self._backends.items():
            if new.get(name) is not previous:
                task = asyncio.create_task(_retire(previous[1]))
                self._retiring.add(task)
                task.add_done_callback(self._retiring.discard)
        self._backends = new
        return {name: backend for name, (_, backend) in new.items()}

    def local(self) -> Iterator[LocalBackend]:
        for _, backend in self._backends.values():
            if isinstance(backend, LocalBackend):
                yield backend

    def memory(self) -> dict[str, int | None]:
        """Bytes in memory of each local model, None while it isn't loaded."""
        local = list(self.local())
        return {b.name: b.process.memory if b.process is not None else None for b in local}

    async def make_room(self) -> None:
        """Unload idle models, least recently used first, while memory is over the limit."""
        limit = self._config.memory_mb * 2**20
        for backend in sorted(self.local(), key=lambda backend: backend.last_used):
            if sum(filter(None, self.memory().values())) <= limit:
                return
            # Checked here, as unloading the others took time; one that is starting will be used.
            if backend.process is None or backend.process.busy or backend.starting:
                continue
            log.info(
                "Unloading %s: local models exceed SERVICE_MEMORY_MB (%d MB)",
                backend.name,
                limit >> 20,
            )
            await backend.unload()
        if (used := sum(filter(None, self.memory().values()))) > limit:
            log.warning(
                "Local models in use take %d MB, more than SERVICE_MEMORY_MB (%d MB)",
                used >> 20,
                limit >> 20,
            )

    async def close(self) -> None:
        for task in self._retiring:
            task.cancel()
        await asyncio.gather(*(backend.close() for _, backend in self._backends.values()))
        if self._retiring:
            await asyncio.wait(self._retiring)

    def _make(self, entry: ModelEntry) -> Backend:
        if entry.backend == "local":
            return LocalBackend(
                entry.name,
                entry,
                max_running=self._config.max_running,
                max_queue=self._config.max_queue,
                make_room=self.make_room,
            )
        if entry.backend == "openai":
            return OpenAIBackend(entry.name, entry, self._session)
        # Imported here, as LangChain takes a second.
        from llm_service.models.remote.langchain import LangChainBackend

        return LangChainBackend(entry.name, entry)


async def _retire(backend: Backend) -> None:
    """Close a backend that no table has any more, once its requests are answered."""
    try:
        async with asyncio.timeout(_RETIRE_SECONDS):
            while backend.load.running or backend.load.waiting:
                await asyncio.sleep(0.1)
    except TimeoutError:
        log.warning(
            "%s still had requests running after %.0f s; stopping it.",
            backend.name,
            _RETIRE_SECONDS,
        )
    finally:
        await backend.close()
