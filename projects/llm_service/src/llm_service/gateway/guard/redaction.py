"""Changing every text in a request or a JSON value, and finding personal data in long ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from llm_service.gateway.guard.look_alikes import readable
from seedbed.safety.personal_data import find_pii
from seedbed.safety.secrets import Finding

Change = Callable[[str], str]

LONG = 50_000  # characters beyond which a text is read piece by piece
_PIECE = 8192
_OVERLAP = 300
_CONTEXT = 16  # characters that patterns look back at: "version " is the longest


def find(text: str, kinds: Iterable[str]) -> list[Finding]:
    """`find_pii` that sees through invisible characters and look-alike letters.

    >>> [(f.kind, f.start, f.end) for f in find("to bob@\u0435xample.org", ["email"])]
    [('email', 3, 18)]
    """
    plain, place_of = readable(text)
    findings = find_pii(plain, kinds)
    if plain is text:
        return findings
    return [replace(f, start=place_of(f.start), end=place_of(f.end - 1) + 1) for f in findings]


def find_all(text: str, kinds: Iterable[str]) -> list[Finding]:
    """`find` in a text of any length, piece by piece: a regular expression holds Python's lock.

    Other threads run between two pieces.
    """
    findings: list[Finding] = []
    start, size = 0, LONG if len(text) <= LONG else _PIECE
    while start < len(text):
        low = max(0, start - _CONTEXT)
        part = text[low : start + size + _OVERLAP]
        hits = [replace(f, start=f.start + low, end=f.end + low) for f in find(part, kinds)]
        hits = [f for f in hits if start <= f.start < start + size]
        if hits and hits[-1].end == low + len(part) < len(text):
            size *= 2  # the finding may go on behind this piece
            continue
        findings += hits
        start = max(start + size, hits[-1].end if hits else 0)
        size = _PIECE
    return findings


def windows(text: str) -> Iterator[str]:
    """The text in overlapping windows, each a thousand characters into the next."""
    for start in range(0, max(1, len(text)), _PIECE):
        begin = max(0, text.rfind(" ", max(0, start - 100), start))
        yield text[(begin or start) if start else 0 : start + _PIECE + 1000]


TEXTS = ("messages", "tools", "response_format", "input")
_NO_TEXT = {"role", "type", "id", "tool_call_id", "url"}  # a picture's URL may be its data


def changed_field(value: Any, change: Change, name: str = "") -> Any:
    """A copy of a body's field with each text in it changed; names and token ids stay as they are.

    Arguments of tool calls stay JSON.
    """
    if isinstance(value, str):
        if name in _NO_TEXT:
            return value
        return changed_json(value, change) if name == "arguments" else change(value)
    if isinstance(value, list):
        return [changed_field(item, change, name) for item in value]
    if isinstance(value, dict):
        return {key: changed_field(item, change, key) for key, item in value.items()}
    return value


def changed_json(text: str, change: Change) -> str:
    """JSON with each string and long number in it changed; other text is changed as a whole."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return change(text)
    changed = _changed_value(value, change)
    return text if changed == value else json.dumps(changed, ensure_ascii=False)


def _changed_value(value: Any, change: Change) -> Any:
    """A JSON value with each text, name and long number in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(k): _changed_value(v, change) for k, v in value.items()}
    if isinstance(value, list):
        return [_changed_value(item, change) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and value > 10**9:
        changed = change(str(value))  # a card number may come without quotes
        return value if changed == str(value) else changed
    return value


def everything(body: Mapping[str, Any]) -> Iterator[str]:
    """All texts that a client sent: each message as one, as a phrase may go over its parts."""
    for message in body.get("messages", ()):
        yield "\n".join(_texts(message))
    for name in TEXTS[1:]:
        yield from _texts(body.get(name))


def _texts(value: Any) -> list[str]:
    texts: list[str] = []

    def note(text: str) -> str:
        texts.append(text)
        return text

    changed_field(value, note)
    return texts
