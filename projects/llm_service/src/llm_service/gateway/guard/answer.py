"""The rules for answers, which look at all of one, put together from its events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llm_service.gateway.guard.redaction import changed_field, find_all
from llm_service.gateway.guard.terms import Terms
from llm_service.protocol.events import Answer
from llm_service.request import Delta, Event, Finish
from seedbed.safety.secrets import Finding, replace_findings


class Change:
    """Applies the rules to each text of one choice; `blocked` is the rule that ended it."""

    def __init__(self, rules: Any, terms: Terms) -> None:
        self._rules, self._terms = rules, terms
        self.redacted = 0
        self.blocked = ""

    def __call__(self, text: str) -> str:
        if self.blocked:
            return ""
        stop, hits = len(text), list[Finding]()
        if self._rules.pii_out != "off":
            hits = find_all(text, self._rules.pii_kinds)
        if hits and self._rules.pii_out == "block":
            stop, self.blocked = hits[0].start, "pii_out"
        term = self._terms.search(text)
        if term is not None and term < stop:
            # A finding that reaches into the term goes with it.
            stop, self.blocked = min([term, *(f.start for f in hits if f.end > term)]), "terms_out"
        hits = [finding for finding in hits if finding.end <= stop]
        self.redacted += len(hits)
        return replace_findings(text[:stop], hits)


def screened(index: int, answer: Answer, change: Change) -> Iterator[Event]:
    """Events of choice `index` with each text changed; a blocked one ends with `content_filter`.

    Log probabilities are dropped: they spell out what is removed.
    """
    # With an upstream's fields, e.g. a reasoning model's thoughts.
    extra = changed_field(answer.extra, change) or None
    text = change(answer.text)
    calls = [{"index": at, **call} for at, call in sorted(answer.tool_calls.items())]
    calls = changed_field(calls, change)
    if change.blocked:
        calls = []
    if text or extra or calls or answer.tokens:
        yield Delta(text, index, answer.tokens, calls, (), extra)
    if change.blocked:
        yield Finish("content_filter", index)
    elif answer.reason is not None:
        yield Finish(answer.reason, index)
