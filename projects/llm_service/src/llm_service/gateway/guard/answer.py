"""A whole answer, put together from its events so that rules can look at all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llm_service.gateway.guard.redaction import changed_field, find_all
from llm_service.gateway.guard.terms import Terms
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


class Choice:
    """One choice of an answer. Log probabilities are dropped: they spell out what is removed."""

    def __init__(self, index: int) -> None:
        self.index = index
        self._text = ""
        self._tokens = 0
        self._calls: dict[int, dict[str, Any]] = {}
        self._extra: dict[str, Any] = {}  # an upstream's fields, e.g. a reasoning model's thoughts
        self._finish: Finish | None = None

    def add(self, event: Delta | Finish) -> None:
        if isinstance(event, Finish):
            self._finish = event
            return
        self._text += event.text
        self._tokens += event.tokens
        for name, value in (event.extra or {}).items():
            before = self._extra.get(name)
            both = isinstance(before, str) and isinstance(value, str)
            self._extra[name] = before + value if both else value
        for position, chunk in enumerate(event.tool_calls):
            index = chunk.get("index", position)
            call = self._calls.setdefault(index, {"index": index, "function": {"arguments": ""}})
            function = chunk.get("function") or {}
            arguments = call["function"]["arguments"] + (function.get("arguments") or "")
            call |= {**chunk, "function": {**call["function"], **function, "arguments": arguments}}

    def screened(self, change: Change) -> Iterator[Event]:
        """The choice with each text changed; `content_filter` is its end once a rule blocks it."""
        extra = changed_field(self._extra, change) or None
        text = change(self._text)
        calls = changed_field([*self._calls.values()], change)
        if change.blocked:
            calls = []
        if text or extra or calls or self._tokens:
            yield Delta(text, self.index, self._tokens, calls, (), extra)
        if change.blocked:
            yield Finish("content_filter", self.index)
        elif self._finish is not None:
            yield self._finish
