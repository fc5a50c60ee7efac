"""One request from admission to accounting: the order in which the parts of the service act.

    experiment → admission → guardrails → cache → routing → backend → guardrails → accounting

HTTP is handled in `web`, and the rules of each part in its own package.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

from llm_service.config import Config
from llm_service.gateway.cache.answer_cache import AnswerCache
from llm_service.gateway.call import Call
from llm_service.gateway.experiments import Experiments
from llm_service.gateway.guard.screen import Screen
from llm_service.gateway.limits.admission import Admission
from llm_service.gateway.routing.router import Router
from llm_service.models.entry import Route
from llm_service.models.local.backend import LocalBackend
from llm_service.models.pool import Pool
from llm_service.models.remote.upstream import open_session
from llm_service.models.table import Table
from llm_service.observe.metrics import Metrics
from llm_service.request import (
    ANSWER_ON_A_BUDGET,
    Ask,
    Embedded,
    Usage,
    estimate_tokens,
    most_tokens,
)
from llm_service.store.accounting import Accounting
from llm_service.store.database import Database
from llm_service.store.keys import Key
from seedbed.errors import SeedbedError, Unavailable
from seedbed.settings import Settings

log = logging.getLogger(__name__)


class Gateway:
    """Call `start` first, then `answer` and `embed`, and `close` at the end.

    The models file is read again by `reload`; an invalid one leaves the old table in effect.
    """

    def __init__(
        self,
        config: Config,
        settings: Settings,
        database: Database,
        metrics: Metrics,
        *,
        make_pool: Callable[..., Pool] = Pool,
    ) -> None:
        self.config = config
        self.settings = settings
        self.database = database
        self.metrics = metrics
        self.accounting = Accounting(database, keep_content=config.keep_content)
        redis = config.redis_url
        self.admission = Admission(database, redis.get_secret_value() if redis else None)
        self.router: Router
        self.pool: Pool
        self._make_pool = make_pool
        self._loading: set[asyncio.Task[None]] = set()
        self.started = int(time.time())
        self._checked = self._load()  # fail on an invalid table before anything starts
        self.table = self._checked[0]

    async def start(self) -> None:
        """Open connections, start accounting, and begin to load the models to preload."""
        self._session = open_session()
        self.pool = self._make_pool(self.config, self._session)
        self.router = Router({})
        await self.accounting.start()
        self._take(*self._checked)
        self._loop = asyncio.get_running_loop()
        self._preload()

    async def close(self) -> None:
        for task in self._loading:
            task.cancel()
        await self.pool.close()
        await self._session.close()
        await self.admission.close()
        await self.accounting.stop()

    async def reload(self) -> Table:
        """Read the table again, and use it if it is valid.

        Raises ConfigError and leaves everything as it was. Running requests are not touched.
        """
        table, screen, experiments = await asyncio.to_thread(self._load)
        self._take(table, screen, experiments)
        for backend in self.pool.local():
            # The service stays ready: requests wait for a model that was added or changed.
            idle = backend.process is None and not backend.starting
            backend.resting = idle and backend.failure is None
        self._preload()
        log.info("Models file loaded: %s", ", ".join(table.names()))
        return table

    def _load(self) -> tuple[Table, Screen, Experiments]:
        """The table, and the guardrails and experiments that it configures. Raises ConfigError."""
        table = Table.load(self.config.models, self.settings)
        return table, Screen(table.guardrails), Experiments(table.experiments.values())

    def _take(self, table: Table, screen: Screen, experiments: Experiments) -> None:
        backends = self.pool.update(table)  # which may fail, with nothing taken
        self.table, self.screen, self.experiments = table, screen, experiments
        self.router = Router(backends, table.models, previous=self.router)
        self.metrics.set_models(table.names())
        self.cache = AnswerCache(
            self.config.cache_mb, self.config.cache_seconds, table.cache.shared
        )

    # ── one request ─────────────────────────────────────────────────────────────────────────

    async def answer(
        self, ask: Ask, key: Key, response_id: str, *, store: bool = True, lookup: bool = True
    ) -> Call:
        """The events of an answer; the first has arrived. The caller reads the rest and closes it.

        `store` and `lookup` control the cache. Raises the error of any step that fails.
        """
        call = Call(self, ask, key, response_id)
        deadline = time.monotonic() + self.config.timeout
        try:
            # 1. Resolve the model's name, apply the user's variant of an experiment and the model's
            #    defaults, and admit the request: permissions, rates, budget.
            route = await self._admit(call, "chat")
            # 2. Check the prompt against the guardrails, which may redact it.
            call.ask = await self.screen.check(call.ask, call.facts, call.original)
            # 3. Take the answer from the cache, or let one of the route's targets generate it.
            run = self.router.generate(route, call.ask, call.facts, deadline)
            events = self.cache.answer(
                call.ask, key.id, run, call.facts, store=store, lookup=lookup
            )
            # 4. Apply the guardrails to the answer.
            events = self.screen.out(events, call.facts)
            # 5. Wait for the first event. The caller reads the rest; the end is recorded.
            await call.begin(events)
        except BaseException as error:
            call.end(error)
            raise
        return call

    async def embed(self, ask: Ask, key: Key, response_id: str) -> tuple[Embedded, Call]:
        """The embeddings of a request's inputs, and the record of the request."""
        call = Call(self, ask, key, response_id)
        deadline = time.monotonic() + self.config.timeout
        try:
            route = await self._admit(call, "embedding")
            call.ask = await self.screen.check(call.ask, call.facts)
            embedded = await self.router.embed(route, call.ask, call.facts, deadline)
            call.facts.usage = Usage(embedded.prompt_tokens)
        except BaseException as error:
            call.end(error)
            raise
        call.end()
        return embedded, call

    async def _admit(self, call: Call, kind: Literal["chat", "embedding"]) -> Route:
        if self.accounting.full:
            raise Unavailable(
                "Usage cannot be recorded: the database rejects writes.",
                hint="Try again later.",
            )
        table = self.table
        default = table.default if kind == "chat" else table.default_embedding or table.default
        name = call.ask.model or default
        route = table.resolve(name, kind)
        call.resolved = route.name
        call.ask = call.original = replace(call.ask, model=name)
        if kind == "chat":
            route = self._apply_variant(call, route)
        max_cost = 0.0
        if call.key.has_budget:
            max_cost = _bound(call, table, route)
        scope = "chat" if kind == "chat" else "embeddings"
        prompt = estimate_tokens(call.ask)
        call.ticket = await self.admission.enter(
            call.key, name, prompt_tokens=prompt, cost_usd=max_cost, scope=scope
        )
        return route

    def _apply_variant(self, call: Call, route: Route) -> Route:
        """Apply the user's variant to the request; returns the route of the variant's model.

        It also gets the defaults of its model, so that they are part of the cache key. With several
        targets each has its own; those are left to the backends.
        """
        ask = self.experiments.assign(call.ask, call.key, call.facts)
        if ask.model != call.ask.model:
            route = self.table.resolve(ask.model, "chat")
        if len(route.targets) == 1:
            defaults = self.table.models[route.targets[0].model].defaults
            missing = {name: value for name, value in defaults.items() if name not in ask.body}
            ask = replace(ask, body={**ask.body, **missing}) if missing else ask
        call.ask = ask
        return route

    # ── readiness ───────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        """Raise Unavailable while the default model can't answer.

        A local one has generated a token by then. One that has died is started again.
        """
        route = self.table.resolve(self.table.default)
        local = [backend for backend in self.pool.local() if backend.name in route.models]
        if any(b.process is not None or (b.resting and b.failure is None) for b in local):
            return
        remote = {*route.models} - {backend.name for backend in local}
        replicas = (replica for replica in self.router.replicas() if replica.model in remote)
        if any(replica.breaker.state != "open" for replica in replicas):
            return
        for backend in local:
            if backend.may_start:
                self._load_soon(backend)
        if local:
            name, failure = local[0].name, local[0].failure or "loading"
            raise Unavailable(f"{name} is not loaded: {failure}")
        raise Unavailable(f"Circuit open for {', '.join(route.models)} after repeated failures.")

    def _preload(self) -> None:
        for backend in self.pool.local():
            needed = backend.entry.preload or backend.name == self.table.default
            if needed and backend.process is None:
                self._load_soon(backend)

    def _load_soon(self, backend: LocalBackend) -> None:
        def start() -> None:
            task = asyncio.ensure_future(_quietly(backend.check()))
            self._loading.add(task)
            task.add_done_callback(self._loading.discard)

        self._loop.call_soon_threadsafe(start)


async def _quietly(loading: Awaitable[object]) -> None:
    """Errors are logged; `check` and the next request raise them again."""
    try:
        await loading
    except SeedbedError as error:
        log.error("%s", error)


def _bound(call: Call, table: Table, route: Route) -> float:
    """Upper bound of the request's cost in USD, whichever model answers; sets a missing max_tokens.

    Raises Unavailable if a model that may answer has no known price: it would count as free.
    """
    body, most = call.ask.body, 0.0
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if call.ask.kind == "chat" and not limit:
        body = {**body, "max_tokens": ANSWER_ON_A_BUDGET}
        call.ask = replace(call.ask, body=body)
    for model in map(table.models.__getitem__, route.models):
        if model.name in table.unpriced:
            raise Unavailable(
                f"The price of {model.name!r} is unknown, so no budget in USD can be kept.",
                hint=f"The operator sets price_in and price_out of [models.{model.name}].",
            )
        prompt, answer = most_tokens({**model.defaults, **body})
        call.most_prompt = max(call.most_prompt, prompt)
        most = max(most, table.cost(model.name, prompt, answer))
    return most
