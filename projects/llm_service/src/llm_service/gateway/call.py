"""One request on its way through the gateway: its events as they pass, and what is noted of it.

At its end, however it comes (answered, failed, the client gone), the ticket is settled, the record
goes to accounting and the metrics are told, once.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from llm_service.gateway.limits.admission import OverBudget, Ticket
from llm_service.models.remote.upstream import prompt_chars
from llm_service.observe.spans import trace
from llm_service.request import Ask, Delta, Embedded, Event, Facts, Usage
from llm_service.store.accounting import Record
from llm_service.store.keys import Key
from seedbed.errors import Busy, SeedbedError, Unavailable
from seedbed.observe.telemetry import error_kind

if TYPE_CHECKING:
    from llm_service.gateway.gateway import Gateway

DEFAULT_ANSWER = 512  # tokens reserved for an answer that names no limit
_CHARS_A_TOKEN = 3  # an upper estimate: English has four or more, and a token has a byte at least


def estimate_tokens(ask: Ask) -> tuple[int, int]:
    """What a request reads and writes at most, about: prompt and answer tokens."""
    body = ask.body
    chars = prompt_chars(body, bytes_of_others=True)
    if ask.kind == "embedding":
        return chars // _CHARS_A_TOKEN + 1, 0
    asked = body.get("max_completion_tokens") or body.get("max_tokens") or DEFAULT_ANSWER
    return chars // _CHARS_A_TOKEN + 8, asked * int(body.get("n", 1))


class Call:
    """An async iterator of events; close it with `aclose` when it is not read to its end."""

    def __init__(self, gateway: Gateway, ask: Ask, key: Key, response_id: str) -> None:
        self.ask = ask
        self.asked = ask
        self.key = key
        self.facts = Facts()
        self.ticket: Ticket | None = None
        self.response_id = response_id
        self.usage: Usage | None = None
        self._gateway = gateway
        self._started = time.perf_counter()
        self._at = datetime.now(UTC)
        self._first: float | None = None
        self._last = self._started
        self._text: list[str] = []
        self._tokens = 0
        self._events: AsyncIterator[Event] | None = None
        self._held: Event | None = None
        self._overhead = 0.0
        self._ended = False
        self._keep = gateway.config.keep_content != "none"

    async def begin(self, events: AsyncIterator[Event]) -> None:
        """Take the events, and wait for the first one."""
        self._events = events
        try:
            self._held = await anext(events)
        except StopAsyncIteration:
            raise Unavailable("The model returned an empty answer.", hint="Try again.") from None
        now = time.perf_counter()
        self._overhead = now - self._started - self.facts.waited
        self._first, self._last = now - self._started, now
        if self.ask.stream:
            self._gateway.metrics.first_token(self.facts.model_used, self._first)

    def __aiter__(self) -> Call:
        return self

    async def __anext__(self) -> Event:
        held, self._held = self._held, None
        try:
            if held is None:
                assert self._events is not None
                held = await anext(self._events)
                self._gap(held)
        except StopAsyncIteration:
            self.end()
            raise
        except BaseException as error:
            self.end(error)
            raise
        if isinstance(held, Delta):
            self._tokens += held.tokens
            if self._keep and held.text and not held.index:
                self._text.append(held.text)
        elif isinstance(held, Usage):
            self.usage = held
        return held

    def _gap(self, event: Event) -> None:
        if self.ask.stream and isinstance(event, Delta) and event.tokens:
            now = time.perf_counter()
            self._gateway.metrics.chunk_gap(self.facts.model_used, now - self._last, event.tokens)
            self._last = now

    def embedded(self, embedded: Embedded) -> None:
        self.usage = Usage(embedded.prompt_tokens)
        self._overhead = time.perf_counter() - self._started - self.facts.waited

    async def aclose(self) -> None:
        """Stop, if it is not at its end: the client has gone."""
        if self._events is not None:
            close = getattr(self._events, "aclose", None)
            if close is not None:
                await close()
        self.end(GeneratorExit())

    @property
    def cost_usd(self) -> float:
        """What it cost so far; a cached answer costs nothing."""
        if self.facts.cache in ("hit", "shared"):
            return 0.0
        used = self._used()
        return self._gateway.table.cost(
            self.facts.model_used, used.prompt_tokens, used.completion_tokens
        )

    def headers(self, *, final: bool = False) -> dict[str, str]:
        """What the client is told beside the answer; `final` once the answer is whole."""
        facts = self.facts
        found = dict(self.ticket.headers) if self.ticket is not None else {}
        if facts.model_used:
            found["x-model-used"] = facts.model_used
        if facts.cache:
            found["x-cache"] = facts.cache
        if facts.decisions:
            found["x-guardrails"] = ",".join(facts.decisions)
        if facts.variant:
            found["x-experiment"] = f"{facts.experiment}:{facts.variant}"
        found["x-overhead-ms"] = f"{max(0.0, self._overhead) * 1000:.2f}"
        if final:
            found["x-cost-usd"] = f"{self.cost_usd:.8f}"
        return found

    def end(self, error: BaseException | None = None) -> None:
        """Note how it ended; only the first time counts."""
        if self._ended:
            return
        self._ended = True
        used, cost = self._used(), self.cost_usd
        if self.ticket is not None:
            if self._first is not None or self.usage is not None:
                self.ticket.settle(used.prompt_tokens, used.completion_tokens, cost)
            self.ticket.close()
        outcome = "ok" if error is None else error_kind(error)
        record = self._record(used, cost, outcome)
        self._gateway.accounting.add(record)
        trace(record)
        self._tell(record, error)

    def _used(self) -> Usage:
        """The usage as reported; without a report (cut off), as counted and estimated."""
        if self.usage is not None:
            return self.usage
        if self._first is None:
            return Usage(0)
        return Usage(estimate_tokens(self.ask)[0], self._tokens)

    def _record(self, used: Usage, cost: float, outcome: str) -> Record:
        facts, ask = self.facts, self.ask
        return Record(
            request_id=ask.request_id,
            response_id=self.response_id,
            at=self._at,
            key_id=self.key.id,
            key_name=self.key.name,
            team=self.key.team,
            user=ask.user,
            model=self.asked.model or ask.model,
            model_used=facts.model_used,
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
            experiment=facts.experiment,
            variant=facts.variant,
            prompt=facts.prompt,
            decisions=",".join(facts.decisions),
            messages=_content(ask.body) if self._keep and outcome == "ok" else None,
            answer="".join(self._text) if self._keep and outcome == "ok" else None,
        )

    def _tell(self, record: Record, error: BaseException | None) -> None:
        metrics, facts = self._gateway.metrics, self.facts
        ours = error if isinstance(error, SeedbedError) else None
        rejected = ours is not None and ours.status < 500
        metrics.request(record, str(ours or ""), rejected=rejected)
        if self._first is not None:
            metrics.overhead(max(0.0, self._overhead))
        for decision in facts.decisions:
            metrics.decision(":".join(decision.split(":")[:2]))
        self._tell_attempts(record, rejected=rejected)
        if isinstance(error, Busy | OverBudget):
            metrics.refused(_reason(error))

    def _tell_attempts(self, record: Record, *, rejected: bool) -> None:
        metrics, facts = self._gateway.metrics, self.facts
        for model, kind in facts.failed:
            metrics.attempt(model, kind)
        if facts.attempts > len(facts.failed):
            model = facts.model_used or record.model
            metrics.attempt(model, record.outcome, rejected=rejected)
        for (before, _), (model, _) in pairwise([*facts.failed, (facts.model_used, "")]):
            if before == model:
                metrics.retry(model)
            elif model:
                metrics.fallback(before, model)


def _reason(error: SeedbedError) -> str:
    if isinstance(error, OverBudget):
        return "budget"
    return error.details.get("limit", "queue")


def _content(body: Mapping[str, Any]) -> str | None:
    messages = body.get("messages")
    return json.dumps(messages, ensure_ascii=False) if messages is not None else None
