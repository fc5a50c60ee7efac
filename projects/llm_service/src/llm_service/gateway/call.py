"""One request on its way through the gateway: its events as they pass, and its record.

When it ends (answered, failed, or the client disconnected), the ticket is settled, and the record
goes to accounting and to the metrics, once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llm_service.gateway.limits.admission import OverBudget, Ticket
from llm_service.observe.spans import trace
from llm_service.request import Ask, Delta, Event, Events, Facts, Usage, estimate_tokens
from llm_service.store.accounting import Record
from llm_service.store.keys import Key
from seedbed.errors import Busy, SeedbedError, Unavailable
from seedbed.observe.telemetry import error_kind

if TYPE_CHECKING:
    from llm_service.gateway.gateway import Gateway


class Call:
    """An async iterator of events; close it with `aclose` when it is not read to its end."""

    def __init__(self, gateway: Gateway, ask: Ask, key: Key, response_id: str) -> None:
        self.ask = ask
        self.original = ask
        self.key = key
        self.facts = Facts()
        self.resolved = ""  # the model or route that the requested name stands for
        self.ticket: Ticket | None = None
        self.most_prompt = 0  # tokens of the prompt at most, for a key with a budget
        self.response_id = response_id
        self._gateway = gateway
        self._keeps_content = gateway.config.keep_content != "none"
        self._started = time.perf_counter()
        self._at = datetime.now(UTC)
        self._first: float | None = None
        self._first_tokens = 0  # tokens of the first event
        self._text: list[str] = []
        self._events: Events | None = None
        self._held: Event | None = None
        self._ended = False

    async def begin(self, events: Events) -> None:
        """Take the events, and wait for the first one."""
        self._events = events
        try:
            self._held = await anext(events)
        except StopAsyncIteration:
            raise Unavailable("The model returned an empty answer.", hint="Try again.") from None
        self._first = time.perf_counter() - self._started
        self._first_tokens = self.facts.generated

    def __aiter__(self) -> Call:
        return self

    async def __anext__(self) -> Event:
        held, self._held = self._held, None
        try:
            if held is None:
                assert self._events is not None
                held = await anext(self._events)
        except StopAsyncIteration:
            self.end()
            raise
        except BaseException as error:
            self.end(error)
            raise
        if self._keeps_content and isinstance(held, Delta) and held.text and not held.index:
            self._text.append(held.text)
        return held

    async def aclose(self) -> None:
        """Stop if the request has not ended: the client has disconnected."""
        if self._events is not None:
            await self._events.aclose()
        self.end(GeneratorExit())

    @property
    def cost_usd(self) -> float:
        """What it cost so far; a cached answer costs nothing."""
        if self.facts.cache == "hit":
            return 0.0
        model, used = self.facts.model_used, self._used()
        return self._gateway.table.cost(model, used.prompt_tokens, used.completion_tokens)

    @property
    def _overhead(self) -> float:
        """Seconds in the service itself, until the first event or a whole embedding."""
        until = time.perf_counter() - self._started if self._first is None else self._first
        return max(0.0, until - self.facts.waited)

    def headers(self, *, final: bool = False) -> dict[str, str]:
        """The headers of the answer; `final` once the answer is complete."""
        facts = self.facts
        values = dict(self.ticket.headers) if self.ticket is not None else {}
        if facts.model_used:
            values["x-model-used"] = facts.model_used
        if facts.cache:
            values["x-cache"] = facts.cache
        if facts.decisions:
            values["x-guardrails"] = ",".join(facts.decisions)
        if facts.variant:
            values["x-experiment"] = f"{facts.experiment}:{facts.variant}"
        values["x-overhead-ms"] = f"{self._overhead * 1000:.2f}"
        if final:
            values["x-cost-usd"] = f"{self.cost_usd:.8f}"
        return values

    def end(self, error: BaseException | None = None) -> None:
        """Record how it ended; later calls have no effect."""
        if self._ended:
            return
        self._ended = True
        used, cost = self._used(), self.cost_usd
        if self.ticket is not None:
            self.ticket.settle(used.prompt_tokens, used.completion_tokens, cost)
        outcome = "ok" if error is None else error_kind(error)
        record = self._record(used, cost, outcome)
        self._gateway.accounting.add(record)
        trace(record)
        limit = _limit(error) if isinstance(error, Busy | OverBudget) else None
        metrics = self._gateway.metrics
        metrics.record(record, self.facts, self._overhead, limit)
        tokens = self.facts.generated - self._first_tokens
        if self.ask.stream and self._first is not None and tokens > 0:
            # Once per answer: an observation per token took a quarter of the gateway's time.
            metrics.time_per_token(self.facts.model_used, (record.seconds - self._first) / tokens)

    def _used(self) -> Usage:
        """The usage as reported; without a report (cut off), as counted and estimated.

        For a key with a budget, the prompt counts at its upper bound: otherwise a client that
        always disconnects would spend more than it is charged.
        """
        facts = self.facts
        if facts.usage is not None:
            return facts.usage
        if self._first is None and not facts.generated:
            return Usage(0)
        return Usage(self.most_prompt or estimate_tokens(self.ask), facts.generated)

    def _record(self, used: Usage, cost: float, outcome: str) -> Record:
        facts, ask = self.facts, self.ask
        # A request that was not admitted does not count for a variant.
        variant = facts if self.ticket is not None else Facts()
        keeps_content = self._keeps_content and outcome == "ok"
        return Record(
            request_id=ask.request_id,
            response_id=self.response_id,
            at=self._at,
            key_id=self.key.id,
            key_name=self.key.name,
            team=self.key.team,
            user=ask.user,
            model=self.original.model or ask.model,
            model_used=facts.model_used or self.resolved,
            backend=facts.backend,
            kind=ask.kind,
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
            cached_tokens=used.cached_tokens,
            cost_usd=cost,
            seconds=time.perf_counter() - self._started,
            first_token=self._first,
            outcome=outcome,
            stream=ask.stream,
            cache=facts.cache,
            experiment=variant.experiment,
            variant=variant.variant,
            prompt=variant.prompt,
            decisions=",".join(facts.decisions),
            messages=_content(ask.body) if keeps_content else None,
            answer="".join(self._text) if keeps_content else None,
        )


def _limit(error: SeedbedError) -> str:
    if isinstance(error, OverBudget):
        return "budget"
    return error.details.get("limit", "queue")


def _content(body: Mapping[str, Any]) -> str | None:
    messages = body.get("messages")
    return json.dumps(messages, ensure_ascii=False) if messages is not None else None
