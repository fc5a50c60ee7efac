"""Guardrails around one request: its prompt, and its answer.

The rules apply to all that a client sent, whatever its role: only the prompt of an experiment's
variant is the operator's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from llm_service.gateway.guard.answer import Change, screened
from llm_service.gateway.guard.look_alikes import readable
from llm_service.gateway.guard.redaction import (
    LONG,
    TEXTS,
    changed_field,
    everything,
    find_all,
    windows,
)
from llm_service.gateway.guard.terms import Terms, read_terms
from llm_service.protocol.events import Answer
from llm_service.request import Ask, Event, Events, Facts, Usage
from seedbed.errors import BadInput
from seedbed.safety.injection import screen_injection
from seedbed.safety.secrets import replace_findings


class Blocked(BadInput):
    """A rule of the operator forbids this request; the text names the rule, not the content."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.details["code"] = "content_policy"


class Screen:
    """Rules: `Guardrails` of the table, or anything with its fields."""

    def __init__(self, rules: Any) -> None:
        file = rules.blocked_terms_file
        self.rules = rules
        self.terms = Terms((*rules.blocked_terms, *(read_terms(file) if file else ())))
        self._content = rules.pii_in != "off" or rules.injection != "off" or bool(self.terms)
        self._out = rules.pii_out != "off" or bool(self.terms)

    async def check(self, ask: Ask, facts: Facts, sent: Ask | None = None) -> Ask:
        """The request as it may go on: the same, or a copy without personal data.

        `sent` is the client's request, where an experiment changed it. Each decision is appended
        to `facts.decisions`. Raises Blocked.
        """
        ask = self._limited(ask, facts)
        if not self._content:
            return ask
        if sum(map(len, everything(ask.body))) > LONG:  # a megabyte takes about half a second
            return await asyncio.to_thread(self._check_content, ask, facts, sent or ask)
        return self._check_content(ask, facts, sent or ask)

    def _check_content(self, ask: Ask, facts: Facts, sent: Ask) -> Ask:
        body = ask.body
        for text in everything(sent.body):
            self._check_instructions(text, facts)
        if self.rules.pii_in == "off":
            return ask
        redactions = 0

        def change(text: str) -> str:
            nonlocal redactions
            hits = find_all(text, self.rules.pii_kinds)
            if hits and self.rules.pii_in == "block":
                facts.decisions.append("pii_in:blocked")
                kinds = ", ".join(sorted({finding.kind for finding in hits}))
                raise Blocked(
                    f"The request contains personal data or secrets ({kinds}).",
                    hint="Remove them: this service does not accept them.",
                )
            redactions += len(hits)
            return replace_findings(text, hits)

        changed = {name: changed_field(body[name], change) for name in TEXTS if name in body}
        if not redactions:
            return ask
        facts.decisions.append(f"pii_in:redacted:{redactions}")
        return replace(ask, body={**body, **changed})

    def _limited(self, ask: Ask, facts: Facts) -> Ask:
        rules, body = self.rules, ask.body
        if rules.max_tokens is None or ask.kind == "embedding":
            return ask
        names = [n for n in ("max_tokens", "max_completion_tokens") if body.get(n) is not None]
        for name in names:
            if body[name] > rules.max_tokens:
                facts.decisions.append("max_tokens:blocked")
                raise Blocked(
                    f"{name}={body[name]} is above the limit of this service.",
                    hint=f"Use at most {rules.max_tokens}.",
                )
        # A request that names no limit gets this one.
        return ask if names else replace(ask, body={**body, "max_tokens": rules.max_tokens})

    def _check_instructions(self, text: str, facts: Facts) -> None:
        rules = self.rules
        if self.terms.search(text) is not None:
            facts.decisions.append("terms:blocked")
            raise Blocked("The request contains a blocked term.", hint="Rephrase it.")
        if rules.injection == "off":
            return
        plain, _ = readable(text)
        # Also as it was sent, because invisible characters are a finding.
        passages = (window for each in {plain: 0, text: 0} for window in windows(each))
        finding = next(filter(None, map(screen_injection, passages)), None)
        if finding is None:
            return
        if rules.injection == "block":
            facts.decisions.append("injection:blocked")
            raise Blocked(
                f"The request {finding.reason} (prompt injection, {finding.kind}).",
                hint="Remove that passage.",
            )
        if "injection:flagged" not in facts.decisions:
            facts.decisions.append("injection:flagged")

    def out(self, events: Events, facts: Facts) -> Events:
        """The events of an answer, screened; where no rule applies, the same iterator.

        The rules need the whole answer: it is sent when it is complete. Where a rule blocks, a
        choice ends before the finding with `content_filter`.
        """
        return self._screened(events, facts) if self._out else events

    async def _screened(self, events: Events, facts: Facts) -> AsyncGenerator[Event, None]:
        choices: dict[int, Answer] = {}
        usage: list[Event] = []
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Usage):
                    usage.append(event)
                else:
                    choices.setdefault(event.index, Answer()).add(event)
        for event in await asyncio.to_thread(self._screen_all, choices, facts):
            yield event
        for event in usage:
            yield event

    def _screen_all(self, choices: Mapping[int, Answer], facts: Facts) -> list[Event]:
        events: list[Event] = []
        redacted, blocked = 0, set[str]()
        for index, answer in choices.items():
            change = Change(self.rules, self.terms)
            events += screened(index, answer, change)
            redacted += change.redacted
            blocked |= {change.blocked} - {""}
        facts.decisions += [f"pii_out:redacted:{redacted}"] if redacted else []
        facts.decisions += [f"{rule}:blocked" for rule in sorted(blocked)]
        return events
