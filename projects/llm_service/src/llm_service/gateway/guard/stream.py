"""A streamed answer, screened choice by choice: text, thoughts, tool calls, log probabilities.

Each text of a choice has a `Window`, which finds and screens; this splits deltas into their texts
and puts together what may be sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_service.gateway.guard.redaction import changed_json, changed_value
from llm_service.gateway.guard.window import Screened, Window
from llm_service.request import Delta, Event, Events, Facts, Finish

NewWindow = Callable[[], Window]


async def screened(
    events: Events, new_window: NewWindow, facts: Facts, choices: int
) -> AsyncGenerator[Event, None]:
    """What `Screen.out` describes, by the rules behind the windows."""
    open_choices: dict[int, _Choice] = {}
    count = _Count(facts)
    try:
        async for event in events:
            if not isinstance(event, (Delta, Finish)):
                yield event
                continue
            choice = open_choices.get(event.index)
            if choice is None:
                choice = open_choices[event.index] = _Choice(new_window, event.index, count)
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
        await events.aclose()


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


class _Choice:
    """One choice of an answer while it is screened."""

    def __init__(self, new_window: NewWindow, index: int, count: _Count) -> None:
        self.new_window, self.index, self.count = new_window, index, count
        self.text = new_window()
        self.extras: dict[str, Window] = {}
        self.calls: dict[int, list[str]] = {}
        self.tokens = 0  # of deltas that are held back
        self.held = 0  # characters of text
        self.logprobs: deque[tuple[int, Sequence[dict[str, Any]]]] = deque()  # of text not sent yet
        self.blocked = False
        self.ended = False

    def delta(self, delta: Delta) -> Iterable[Event]:
        plain = delta.text and not (delta.tool_calls or delta.logprobs or delta.extra)
        if not plain or self.logprobs:
            return self._delta(delta)
        # The usual case, with nothing to do for anything but the text.
        self.tokens += delta.tokens
        out, hits, blocked, consumed = self.text.feed(delta.text)
        self.held += len(delta.text) - consumed
        if blocked:
            self._note(hits, blocked)
            return self._emitted(out, (), None, (), quiet=True)
        self.count.redacted += hits
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
        out, hits, blocked, consumed = Screened()
        if piece != "" and not self.blocked:
            out, hits, blocked, consumed = (
                self.text.rest() if piece is None else self.text.feed(piece)
            )
        self._note(hits, blocked)
        logprobs = self._logprobs(consumed, piece is None, drop=bool(hits or self.blocked))
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

    def _note(self, hits: int, blocked: str) -> None:
        self.count.redacted += hits
        if blocked and not self.blocked:
            self.blocked = True
            self.count.blocked = blocked

    def _logprobs(self, consumed: int, ended: bool, *, drop: bool) -> tuple[dict[str, Any], ...]:
        """Those whose text has gone out; the last one waits while its text is cut in two."""
        self.held -= consumed
        going: list[dict[str, Any]] = []
        # Those without text of their own wait for the text that comes next.
        while self.logprobs and (ended or max(1, self.logprobs[0][0]) <= consumed):
            length, entries = self.logprobs.popleft()
            consumed -= length
            going += entries
        if self.logprobs and consumed:
            length, entries = self.logprobs[0]
            self.logprobs[0] = (length - consumed, () if drop else entries)
        return () if drop else tuple(going)

    def _screen(self, window: Window, piece: str | None) -> str:
        out, hits, blocked, _ = window.rest() if piece is None else window.feed(piece)
        self._note(hits, blocked)
        return out

    def _extra(self, extra: Mapping[str, Any]) -> dict[str, Any] | None:
        """Fields of an upstream's delta: texts (a reasoning model's thoughts) stream as well."""
        out: dict[str, Any] = {}
        for name, value in extra.items():
            if isinstance(value, str):
                text = self.extras.setdefault(name, self.new_window())
                if part := self._screen(text, value):
                    out[name] = part
            else:
                out[name] = changed_value(value, self._change)
        return out or None

    def _change(self, text: str) -> str:
        window = self.new_window()
        return self._screen(window, text) + self._screen(window, None)

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
