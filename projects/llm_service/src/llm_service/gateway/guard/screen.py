"""Guardrails around one request: what goes in, and the answer while it streams.

The rules are the table's, the findings are `seedbed.safety`'s; this decides what follows. They are
looked for in all that a client sent, whatever its role: only the prompt of an experiment's variant
is the operator's own.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

from llm_service.gateway.guard.look_alikes import readable
from llm_service.gateway.guard.redaction import (
    LONG,
    TEXTS,
    changed_field,
    everything,
    find,
    find_all,
    windows,
)
from llm_service.gateway.guard.stream import screened
from llm_service.gateway.guard.terms import Terms, read_terms
from llm_service.gateway.guard.window import Screened, Window
from llm_service.request import Ask, Events, Facts
from seedbed.errors import BadInput
from seedbed.safety.injection import screen_injection
from seedbed.safety.secrets import Finding, replace_findings

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

    async def check(self, ask: Ask, facts: Facts, sent: Ask | None = None) -> Ask:
        """`check_in`, for a long request in a thread, so that the event loop goes on.

        A megabyte takes about half a second.
        """
        if self._content and sum(map(len, everything(ask.body))) > LONG:
            if self._sizes:
                ask = self._check_sizes(ask, facts)
            return await asyncio.to_thread(self.check_in, ask, facts, sent)
        return self.check_in(ask, facts, sent)

    def check_in(self, ask: Ask, facts: Facts, sent: Ask | None = None) -> Ask:
        """The request as it may go on: the same, or a copy without personal data.

        `sent` is the client's request, where an experiment changed it. Each decision is appended
        to `facts.decisions`. Raises Blocked.
        """
        if self._sizes:
            ask = self._check_sizes(ask, facts)
        if not self._content:
            return ask
        body = ask.body
        for text in everything((sent or ask).body):
            self._check_instructions(text, facts)
        if self.rules.pii_in == "off":
            return ask
        counted = 0

        def change(text: str) -> str:
            nonlocal counted
            hits = find_all(text, self.rules.pii_kinds)
            if hits and self.rules.pii_in == "block":
                facts.decisions.append("pii_in:blocked")
                kinds = ", ".join(sorted({finding.kind for finding in hits}))
                raise Blocked(
                    f"The request contains personal data or secrets ({kinds}).",
                    hint="Remove them: this service does not accept them.",
                )
            counted += len(hits)
            return replace_findings(text, hits)

        changed = {name: changed_field(body[name], change) for name in TEXTS if name in body}
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
        if self.terms is not None and self.terms.search(text):
            facts.decisions.append("terms:blocked")
            raise Blocked("The request contains a blocked term.", hint="Rephrase it.")
        if rules.injection == "off":
            return
        plain, _ = readable(text)
        # Also as it was sent, because invisible characters are a finding.
        every = (window for each in {plain: 0, text: 0} for window in windows(each))
        hits = next(filter(None, map(screen_injection, every)), None)
        if hits is None:
            return
        if rules.injection == "block":
            facts.decisions.append("injection:blocked")
            raise Blocked(
                f"The request {hits.reason} (prompt injection, {hits.kind}).",
                hint="Remove that passage.",
            )
        if "injection:flagged" not in facts.decisions:
            facts.decisions.append("injection:flagged")

    def out(self, events: Events, facts: Facts, choices: int = 1) -> Events:
        """The events of an answer, screened; where no rule applies, the same iterator.

        Some 100 characters of text are held back, because they may become part of a finding. Where
        a rule blocks, the choice ends before the finding with `content_filter`, and once that
        happened to all `choices`, the source is closed (no Usage comes then). Arguments of tool
        calls come whole. Log probabilities of a text that was changed are dropped: they spell it
        out.
        """
        if not self._out:
            return events
        hold = self.terms.longest if self.terms else 0
        return screened(events, lambda: Window(self.find, self.screen, hold), facts, choices)

    def find(self, text: str) -> list[Finding]:
        """The personal data in a text of an answer."""
        if self.rules.pii_out == "off" or not _SUSPECT.search(text):
            return []
        return find(text, self.rules.pii_kinds)

    def screen(self, text: str, start: int, end: int, findings: list[Finding]) -> Screened:
        """`text[start:end]` as it may be sent; a blocked text is cut where the finding begins.

        Patterns look at what is before `start`, which was sent already, and behind `end`.
        """
        hits = [f for f in findings if start <= f.start and f.end <= end]
        stop, blocked = end, ""
        if hits and self.rules.pii_out == "block":
            stop, blocked = hits[0].start, "pii_out"
        term = self.terms.search(text, start) if self.terms else None
        if term is not None and term[0] < stop:
            # A finding that reaches into the term goes with it.
            stop = min([term[0], *(f.start for f in hits if f.end > term[0])])
            blocked = "terms_out"
        if blocked:
            hits = [f for f in hits if f.end <= stop]
        return Screened(replace_findings(text[:stop], hits, start), len(hits), blocked, end - start)
