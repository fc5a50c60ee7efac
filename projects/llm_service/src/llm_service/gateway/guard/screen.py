"""Guardrails around one request: what goes in, and the answer while it streams.

The rules are the table's, the findings are `seedbed.safety`'s; this decides where they
are looked for and what follows. Personal data is looked for in every message; injection and blocked
terms in what users and tools wrote, as the system prompt is the operator's own.

A streamed answer is screened to exactly what screening the whole answer would give.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from llm_service.gateway.guard.holdback import Terms
from llm_service.gateway.guard.look_alikes import readable
from llm_service.gateway.guard.redaction import (
    LONG,
    TEXTS,
    changed_field,
    everything,
    find_all,
    windows,
    written,
)
from llm_service.gateway.guard.stream import screened
from llm_service.gateway.guard.terms import read_terms
from llm_service.request import Ask, Event, Facts
from seedbed.errors import BadInput
from seedbed.safety.finding import Finding, replace_findings
from seedbed.safety.injection import screen_injection
from seedbed.safety.personal_data import find_pii

# Every pattern of `find_pii` needs one of these; most words have none, and this is 20 times faster.
_SUSPECT = re.compile(r"[\d@:]|-----|\S{12}")


class Blocked(BadInput):
    """A rule of the operator forbids this request; the text names the rule, not the content."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.details["code"] = "content_policy"


class Screen:
    """Rules: `Guardrails` of the table, or anything with its fields."""

    def __init__(self, rules: Any) -> None:
        file = getattr(rules, "blocked_terms_file", None)
        terms = tuple(rules.blocked_terms) or (read_terms(file) if file else ())
        self.rules = rules
        self.terms = Terms(terms) if any(term.strip() for term in terms) else None
        self._sizes = any((rules.max_prompt_chars, rules.max_messages, rules.max_tokens))
        self._content = rules.pii_in != "off" or rules.injection != "off" or bool(self.terms)
        self._out = rules.pii_out != "off" or bool(self.terms)

    async def check(self, ask: Ask, facts: Facts) -> Ask:
        """`check_in`, for a long request in a thread, so that the event loop goes on.

        A megabyte takes about half a second.
        """
        if self._content and sum(map(len, everything(ask.body))) > LONG:
            if self._sizes:
                ask = self._check_sizes(ask, facts)
            return await asyncio.to_thread(self.check_in, ask, facts)
        return self.check_in(ask, facts)

    def check_in(self, ask: Ask, facts: Facts) -> Ask:
        """The request as it may go on: the same, or a copy without personal data.

        Each decision is appended to `facts.decisions`. Raises Blocked.
        """
        if self._sizes:
            ask = self._check_sizes(ask, facts)
        if not self._content:
            return ask
        body = ask.body
        for text in written(body):
            self._check_instructions(text, facts)
        if self.rules.pii_in == "off":
            return ask
        counted = 0

        def change(text: str) -> str:
            nonlocal counted
            plain, place_of = readable(text)
            found = [
                replace(f, start=place_of(f.start), end=place_of(f.end - 1) + 1)
                for f in find_all(plain, self.rules.pii_kinds)
            ]
            if found and self.rules.pii_in == "block":
                facts.decisions.append("pii_in:blocked")
                kinds = ", ".join(sorted({finding.kind for finding in found}))
                raise Blocked(
                    f"The request contains personal data or secrets ({kinds}).",
                    hint="Remove them: this service does not accept them.",
                )
            counted += len(found)
            return replace_findings(text, found)

        changed = {name: changed_field(name, body[name], change) for name in TEXTS if name in body}
        if not counted:
            return ask
        facts.decisions.append(f"pii_in:redacted:{counted}")
        return replace(ask, body={**body, **changed})

    def _check_sizes(self, ask: Ask, facts: Facts) -> Ask:
        rules, body = self.rules, ask.body
        sent = {
            "max_messages": len(body.get("messages", ())),
            "max_prompt_chars": sum(map(len, everything(body))) if rules.max_prompt_chars else 0,
        }
        for rule, size in sent.items():
            most = getattr(rules, rule)
            if most is not None and size > most:
                facts.decisions.append(f"{rule}:blocked")
                raise Blocked(
                    f"The request exceeds {rule}: {size:,} > {most:,}.", hint="Shorten it."
                )
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
        plain, _ = readable(text)
        # Also as it was sent: a term may be Cyrillic, and invisible characters are a finding.
        texts = [plain] if plain == text else [plain, text]
        if self.terms is not None and any(map(self.terms.pattern.search, texts)):
            facts.decisions.append("terms:blocked")
            raise Blocked("The request contains a blocked term.", hint="Rephrase it.")
        if rules.injection == "off":
            return
        every = (window for each in texts for window in windows(each))
        found = next(filter(None, map(screen_injection, every)), None)
        if found is None:
            return
        if rules.injection == "block":
            facts.decisions.append("injection:blocked")
            raise Blocked(
                f"The request {found.reason} (prompt injection, {found.kind}).",
                hint="Remove that passage.",
            )
        if "injection:flagged" not in facts.decisions:
            facts.decisions.append("injection:flagged")

    def out(
        self, events: AsyncIterator[Event], facts: Facts, choices: int = 1
    ) -> AsyncIterator[Event]:
        """The events of an answer, screened; where no rule applies, the same iterator.

        Text is held back while it could become part of a finding, which is about a word. Where a
        rule blocks, the choice ends before the finding with `content_filter`, and once that befell
        all `choices`, the source is closed (no Usage comes then). Arguments of tool calls come
        whole. Log probabilities of a segment that was changed are dropped: they spell it out.
        """
        if not self._out:
            return events
        return screened(events, self.segment, self.terms, facts, choices)

    def segment(self, text: str, start: int = 0) -> tuple[str, int, str]:
        """`text[start:]` as it may go out, the number of findings, and the rule that ends it.

        What stands before `start` went out already: patterns look back at it. A blocked text is
        cut where the finding begins.
        """
        rules = self.rules
        found: list[Finding] = []
        if rules.pii_out != "off" and _SUSPECT.search(text, start):
            found = [f for f in find_pii(text, rules.pii_kinds) if f.start >= start]
        stop, blocked = len(text), ""
        if found and rules.pii_out == "block":
            stop, blocked = found[0].start, "pii_out"
        term = self.terms.pattern.search(text, start) if self.terms else None
        if term is not None and term.start() < stop:
            # A finding that reaches into the term goes with it.
            stop = min([term.start(), *(f.start for f in found if f.end > term.start())])
            blocked = "terms_out"
        if blocked:
            found = [f for f in found if f.end <= stop]
        return replace_findings(text[:stop], found, start), len(found), blocked
