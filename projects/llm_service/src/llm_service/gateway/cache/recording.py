"""The events of an answer as they are kept: whether it is whole, made small, and how large."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from llm_service.request import Delta, Event, Finish


def complete(events: Iterable[Event]) -> bool:
    """Whether every choice that began has ended; an upstream may just stop."""
    begun = {event.index for event in events if isinstance(event, Delta)}
    ended = {event.index for event in events if isinstance(event, Finish)}
    return bool(ended) and begun <= ended


def merge(events: Iterable[Event]) -> list[Event]:
    """The same answer in fewer events: one delta a choice, except where `extra` comes in between.

    Choice by choice, each with its end, and the usage last.
    """
    choices: dict[int, list[Any]] = {}
    usage: list[Event] = []
    for event in events:
        if not isinstance(event, (Delta, Finish)):
            usage.append(event)
            continue
        parts = choices.setdefault(event.index, [])
        if isinstance(event, Finish) or event.extra:
            parts.append(event)
            continue
        if not parts or not isinstance(parts[-1], list):
            parts.append([])
        parts[-1].append(event)
    ordered = [part for index in sorted(choices) for part in choices[index]]
    return [_join(part) if isinstance(part, list) else part for part in ordered] + usage


def _join(deltas: list[Delta]) -> Delta:
    return Delta(
        "".join(delta.text for delta in deltas),
        deltas[0].index,
        sum(delta.tokens for delta in deltas),
        tool_calls=tuple(call for delta in deltas for call in delta.tool_calls),
        logprobs=tuple(entry for delta in deltas for entry in delta.logprobs),
    )


def size_of(value: Any) -> int:
    """Bytes of a value and all it holds."""
    total = sys.getsizeof(value)
    if isinstance(value, Mapping):
        return total + sum(size_of(k) + size_of(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return total + sum(map(size_of, value))
    if isinstance(value, Delta):
        return total + sum(
            map(size_of, (value.text, value.tool_calls, value.logprobs, value.extra or 0))
        )
    return total
