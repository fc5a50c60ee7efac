"""Guardrails around one request: what goes in, and the answer while it streams.

The rules are the table's, the findings are `seedbed.guardrails`'; this decides where they are
looked for and what follows. Personal data is looked for in every message; injection and blocked
terms in what users and tools wrote, as the system prompt is the operator's own.

A streamed answer is screened to exactly what screening the whole answer would give.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llm_service.ask import Ask, Delta, Event, Facts, Finish
from llm_service.holdback import CONTEXT, Holdback, Terms
from seedbed.errors import BadInput
from seedbed.guardrails import Finding, find_pii, read_terms, screen_injection

Change = Callable[[str], str]

_LONG = 50_000  # characters beyond which a request is screened in a thread
_PIECE = 8192

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
        if self._content and sum(map(len, _everything(ask.body))) > _LONG:
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
        for text in _written(body):
            self._check_instructions(text, facts)
        if self.rules.pii_in == "off":
            return ask
        counted = 0

        def change(text: str) -> str:
            nonlocal counted
            found = find_all(text, self.rules.pii_kinds)
            if found and self.rules.pii_in == "block":
                facts.decisions.append("pii_in:blocked")
                kinds = ", ".join(sorted({finding.kind for finding in found}))
                raise Blocked(
                    f"The request holds personal data or secrets ({kinds}).",
                    hint="This service refuses them: leave them out.",
                )
            counted += len(found)
            return replaced(text, found)

        changed = {name: _changed(name, body[name], change) for name in _TEXTS if name in body}
        if not counted:
            return ask
        facts.decisions.append(f"pii_in:redacted:{counted}")
        return replace(ask, body={**body, **changed})

    def _check_sizes(self, ask: Ask, facts: Facts) -> Ask:
        rules, body = self.rules, ask.body
        sent = {
            "max_messages": len(body.get("messages", ())),
            "max_prompt_chars": sum(map(len, _everything(body))) if rules.max_prompt_chars else 0,
        }
        for rule, size in sent.items():
            most = getattr(rules, rule)
            if most is not None and size > most:
                facts.decisions.append(f"{rule}:blocked")
                raise Blocked(f"The request is over {rule}: {size} > {most}.", hint="Send less.")
        if rules.max_tokens is None or ask.kind == "embedding":
            return ask
        names = [n for n in ("max_tokens", "max_completion_tokens") if body.get(n) is not None]
        for name in names:
            if body[name] > rules.max_tokens:
                facts.decisions.append("max_tokens:blocked")
                raise Blocked(
                    f"{name}={body[name]} is over this service's limit.",
                    hint=f"Ask for {rules.max_tokens} at most.",
                )
        # A request that names no limit gets this one.
        return ask if names else replace(ask, body={**body, "max_tokens": rules.max_tokens})

    def _check_instructions(self, text: str, facts: Facts) -> None:
        rules = self.rules
        if self.terms is not None and self.terms.pattern.search(text):
            facts.decisions.append("terms:blocked")
            raise Blocked("The request holds a blocked term.", hint="Say it in other words.")
        if rules.injection == "off":
            return
        found = next(filter(None, map(screen_injection, _windows(text))), None)
        if found is None:
            return
        if rules.injection == "block":
            facts.decisions.append("injection:blocked")
            raise Blocked(
                f"The request {found.reason} (prompt injection, {found.kind}).",
                hint="Leave that passage out.",
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
        return self._screened(events, facts, choices) if self._out else events

    async def _screened(
        self, events: AsyncIterator[Event], facts: Facts, choices: int
    ) -> AsyncIterator[Event]:
        open_choices: dict[int, _Choice] = {}
        count = _Count(facts)
        try:
            async for event in events:
                if not isinstance(event, (Delta, Finish)):
                    yield event
                    continue
                choice = open_choices.get(event.index)
                if choice is None:
                    choice = open_choices[event.index] = _Choice(self, event.index, count)
                if choice.blocked:
                    continue
                parts = choice.delta(event) if isinstance(event, Delta) else choice.finish(event)
                for part in parts:
                    yield part
                if choice.blocked and sum(c.blocked for c in open_choices.values()) >= choices:
                    return
            for choice in open_choices.values():  # an upstream that stopped without a finish
                if not choice.ended:
                    for part in choice.rest():
                        yield part
        finally:
            count.write()
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()

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
        return replaced(text[:stop], found, start), len(found), blocked


def find_all(text: str, kinds: Iterable[str]) -> list[Finding]:
    """`find_pii` of a text of any length, piece by piece: a thread that does this lets others run.

    A regular expression does not, from one match to the next.
    """
    if len(text) <= _LONG:
        return find_pii(text, kinds)
    found: list[Finding] = []
    holdback, place, context = Holdback(), 0, ""
    for start in range(0, len(text) + _PIECE, _PIECE):
        piece = text[start : start + _PIECE]
        segment = holdback.feed(piece) if piece else holdback.rest()
        shift = place - len(context)
        found += [
            replace(f, start=f.start + shift, end=f.end + shift)
            for f in find_pii(context + segment, kinds)
            if f.start >= len(context)
        ]
        place += len(segment)
        context = (context + segment)[-CONTEXT:]
    return found


def _windows(text: str) -> Iterator[str]:
    """The text in overlapping windows, each a thousand characters into the next."""
    for start in range(0, max(1, len(text)), _PIECE):
        begin = max(0, text.rfind(" ", max(0, start - 100), start))
        yield text[(begin or start) if start else 0 : start + _PIECE + 1000]


def replaced(text: str, found: Sequence[Finding], start: int = 0) -> str:
    """`text[start:]` with each finding replaced by its kind, such as `[EMAIL]`."""
    parts, position = [], start
    for finding in found:
        parts += [text[position : finding.start], f"[{finding.kind.upper()}]"]
        position = finding.end
    return "".join(parts) + text[position:]


_TEXTS = ("messages", "prompt", "input", "suffix")


def _changed(name: str, value: Any, change: Change) -> Any:
    """A copy of a body's field with each text in it changed; token ids stay as they are."""
    if name == "messages":
        return [_changed_message(message, change) for message in value]
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [change(item) if isinstance(item, str) else item for item in value]
    return value


def _changed_message(message: Mapping[str, Any], change: Change) -> dict[str, Any]:
    copy = dict(message)
    content = copy.get("content")
    if isinstance(content, str):
        copy["content"] = change(content)
    elif isinstance(content, list):
        copy["content"] = [
            {**part, "text": change(part["text"])} if isinstance(part.get("text"), str) else part
            for part in content
        ]
    if copy.get("tool_calls"):
        copy["tool_calls"] = [_changed_call(call, change) for call in copy["tool_calls"]]
    return copy


def _changed_call(call: Mapping[str, Any], change: Change) -> dict[str, Any]:
    function = call.get("function") or {}
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        return dict(call)
    return {**call, "function": {**function, "arguments": changed_json(arguments, change)}}


def changed_json(text: str, change: Change) -> str:
    """JSON text with each text and number in it changed; still JSON. Other text: as text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return change(text)
    changed = changed_value(value, change)
    return text if changed == value else json.dumps(changed, ensure_ascii=False)


def changed_value(value: Any, change: Change) -> Any:
    """A JSON value with each text, name and long number in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(k): changed_value(v, change) for k, v in value.items()}
    if isinstance(value, list):
        return [changed_value(item, change) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and value > 10**9:
        changed = change(str(value))  # a card's number may stand there without quotes
        return value if changed == str(value) else changed
    return value


def _message_text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(p["text"] for p in content if isinstance(p.get("text"), str))
    return content if isinstance(content, str) else ""


def _prompts(body: Mapping[str, Any]) -> Iterator[str]:
    for name in _TEXTS[1:]:
        value = body.get(name)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                yield text


def _written(body: Mapping[str, Any]) -> Iterator[str]:
    """What users and tools wrote."""
    for message in body.get("messages", ()):
        if message.get("role") in ("user", "tool", "function"):
            yield _message_text(message)
    yield from _prompts(body)


def _everything(body: Mapping[str, Any]) -> Iterator[str]:
    for message in body.get("messages", ()):
        yield _message_text(message)
        for call in message.get("tool_calls") or ():
            yield str((call.get("function") or {}).get("arguments") or "")
    yield from _prompts(body)


@dataclass
class _Count:
    """Findings of one answer, over all its choices."""

    facts: Facts
    redacted: int = 0
    blocked: str = ""

    def write(self) -> None:
        if self.redacted:
            self.facts.decisions.append(f"pii_out:redacted:{self.redacted}")
        if self.blocked:
            self.facts.decisions.append(f"{self.blocked}:blocked")


class _Text:
    """One text of a choice: what is held of it, and the end of what went out."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.holdback = Holdback(screen.terms)
        self.context = ""

    def feed(self, piece: str | None) -> tuple[str, int, str, int]:
        """After a piece (None: the end): text, findings, blocked, and characters dealt with."""
        raw = self.holdback.rest() if piece is None else self.holdback.feed(piece)
        if not raw:
            return "", 0, "", 0
        text = self.context + raw
        out, found, blocked = self.screen.segment(text, len(self.context))
        self.context = text[-CONTEXT:]
        return out, found, blocked, len(raw)


class _Choice:
    """One choice of an answer while it is screened."""

    def __init__(self, screen: Screen, index: int, count: _Count) -> None:
        self.screen, self.index, self.count = screen, index, count
        self.text = _Text(screen)
        self.extras: dict[str, _Text] = {}
        self.calls: dict[int, list[str]] = {}
        self.tokens = 0  # of deltas that are held back
        self.held = 0  # characters of text
        self.logprobs: deque[tuple[int, Sequence[dict[str, Any]]]] = deque()  # of held text
        self.blocked = False
        self.ended = False

    def delta(self, delta: Delta) -> Iterable[Event]:
        plain = delta.text and not (delta.tool_calls or delta.logprobs or delta.extra)
        if not plain or self.logprobs:
            return self._delta(delta)
        # The usual case, with nothing to do for anything but the text.
        self.tokens += delta.tokens
        out, found, blocked, taken = self.text.feed(delta.text)
        self.held += len(delta.text) - taken
        if blocked:
            self._note(found, blocked)
            return self._emitted(out, (), None, (), quiet=True)
        self.count.redacted += found
        if not out:
            return ()
        tokens, self.tokens = self.tokens, 0
        return (Delta(out, self.index, tokens),)

    def _delta(self, delta: Delta) -> Iterator[Event]:
        self.tokens += delta.tokens
        if delta.logprobs and not self.logprobs and self.held:
            self.logprobs.append((self.held, ()))
        if delta.logprobs or self.logprobs:
            self.logprobs.append((len(delta.text), delta.logprobs))
        self.held += len(delta.text)
        calls = self._calls(delta.tool_calls) if delta.tool_calls else ()
        extra = self._extra(delta.extra) if delta.extra else None
        held = bool(delta.text or delta.tool_calls or delta.logprobs or delta.extra)
        yield from self._emit(delta.text, calls, extra, quiet=held)

    def finish(self, finish: Finish) -> Iterator[Event]:
        yield from self.rest()
        self.ended = True
        if not self.blocked:
            yield finish

    def rest(self) -> Iterator[Event]:
        extra = {name: self._screen(text, None) for name, text in self.extras.items()}
        calls = [self._whole(index) for index in list(self.calls)]
        extra = {name: text for name, text in extra.items() if text}
        yield from self._emit(None, calls, extra or None, quiet=True)

    def _emit(
        self,
        piece: str | None,
        calls: Sequence[dict[str, Any]],
        extra: Mapping[str, Any] | None,
        quiet: bool,
    ) -> Iterator[Event]:
        out, found, blocked, taken = "", 0, "", 0
        if piece != "" and not self.blocked:
            out, found, blocked, taken = self.text.feed(piece)
        self._note(found, blocked)
        logprobs = self._logprobs(taken, piece is None, drop=bool(found or self.blocked))
        return self._emitted(out, calls, extra, logprobs, quiet)

    def _emitted(
        self,
        out: str,
        calls: Sequence[dict[str, Any]],
        extra: Mapping[str, Any] | None,
        logprobs: tuple[dict[str, Any], ...],
        quiet: bool,
    ) -> Iterator[Event]:
        if out or calls or extra or logprobs or not quiet:
            tokens, self.tokens = self.tokens, 0
            yield Delta(out, self.index, tokens, tuple(calls), logprobs, extra)
        if self.blocked and not self.ended:
            self.ended = True
            yield Finish("content_filter", self.index)

    def _note(self, found: int, blocked: str) -> None:
        self.count.redacted += found
        if blocked and not self.blocked:
            self.blocked = True
            self.count.blocked = blocked

    def _logprobs(self, taken: int, ended: bool, *, drop: bool) -> tuple[dict[str, Any], ...]:
        """Those whose text has gone out; the last one waits while its text is cut in two."""
        self.held -= taken
        going: list[dict[str, Any]] = []
        # Those without text of their own wait for the text that comes next.
        while self.logprobs and (ended or max(1, self.logprobs[0][0]) <= taken):
            length, entries = self.logprobs.popleft()
            taken -= length
            going += entries
        if self.logprobs and taken:
            length, entries = self.logprobs[0]
            self.logprobs[0] = (length - taken, () if drop else entries)
        return () if drop else tuple(going)

    def _screen(self, text: _Text, piece: str | None) -> str:
        out, found, blocked, _ = text.feed(piece)
        self._note(found, blocked)
        return out

    def _extra(self, extra: Mapping[str, Any]) -> dict[str, Any] | None:
        """Fields of an upstream's delta: texts (a reasoning model's thoughts) stream as well."""
        out: dict[str, Any] = {}
        for name, value in extra.items():
            if isinstance(value, str):
                text = self.extras.setdefault(name, _Text(self.screen))
                if part := self._screen(text, value):
                    out[name] = part
            else:
                out[name] = changed_value(value, self._change)
        return out or None

    def _change(self, text: str) -> str:
        out, found, blocked = self.screen.segment(text)
        self._note(found, blocked)
        return out

    def _calls(self, chunks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The chunks without their arguments, which come whole when the choice ends."""
        out: list[dict[str, Any]] = []
        for position, chunk in enumerate(chunks):
            index = chunk.get("index", position)
            function = chunk.get("function") or {}
            self.calls.setdefault(index, []).append(function.get("arguments") or "")
            if chunk.get("id") or function.get("name"):
                out.append({**chunk, "function": {**function, "arguments": ""}})
        return out

    def _whole(self, index: int) -> dict[str, Any]:
        arguments = changed_json("".join(self.calls.pop(index)), self._change)
        return {"index": index, "function": {"arguments": "" if self.blocked else arguments}}
