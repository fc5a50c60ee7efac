"""Requests written by hand for training, each time with other names and numbers in them.

`requests/` holds them, a file for each tool; a line is {"text", "name", "arguments", "kind"}. What
is to be copied from a request (users, ids, phone numbers, amounts) is replaced by values of the
part; what is said around it stays as it was written. They are split by text: parts share no
request.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from random import Random
from typing import Any

from tools.helpdesk import values
from tools.helpdesk.copied_values import hours, numbers
from tools.helpdesk.grammar import part_of
from tools.helpdesk.noise import MARK, guard

_HELD_OUT = 0.06  # share of dev and test together: these are small, and training wants the rest
_SERIAL = {"ticket": "T", "order": "A"}
_NUMBERS = {"hour": hours, "quantity": numbers, "amount": numbers}


@cache
def written(tool: str, part: str) -> tuple[dict[str, Any], ...]:
    """The requests of one part for a tool."""
    file = resources.files(__package__) / "requests" / f"{tool}.jsonl"
    rows = map(json.loads, file.read_text("utf-8").splitlines())
    return tuple(row for row in rows if part_of(row["text"], held_out=_HELD_OUT) == part)


class Deck:
    """The requests of one part for a tool, dealt at random, each once before any comes again."""

    def __init__(self, tool: str, part: str, rng: Random) -> None:
        self._rows = written(tool, part)
        self._left: list[dict[str, Any]] = []
        self._rng = rng

    def deal(self) -> dict[str, Any] | None:
        """The next one; None where there is none at all."""
        if not self._left:
            self._left = self._rng.sample(self._rows, len(self._rows))
        return self._left.pop() if self._left else None


def rewrite(row: dict[str, Any], rng: Random, part: str) -> tuple[str, dict[str, Any]]:
    """(text, arguments) with fresh values; text that was replaced is marked as to be copied."""
    text, arguments = row["text"], dict(row["arguments"])
    for argument, value in row["arguments"].items():
        fresh = _fresh(argument, value, text, rng, part)
        if fresh is not None:
            old, new, arguments[argument] = fresh
            literal = guard(new).replace("\\", r"\\")
            text = re.sub(old, literal, text, flags=re.IGNORECASE)
    return text, arguments


def _fresh(
    argument: str, value: Any, text: str, rng: Random, part: str
) -> tuple[str, str, Any] | None:
    """(pattern of what to replace, text, value); None for what is said in words of its own."""
    if argument == "user":
        new = values.user(rng, part)[0]
        return rf"(?<![\w.@+-]){re.escape(value)}(?![\w@])", new, new
    if argument in _SERIAL:
        new = values.serial(rng, part, _SERIAL[argument], argument)[0]
        return rf"(?<!\d){value[2:]}(?!\d)", new[2:], new
    if argument == "phone":
        return _phone(value, text, rng)
    if argument == "amount":
        return _amount(value, text, rng, part)
    if argument in _NUMBERS and (said := _in_words(argument, value, text)):
        # Left as it is, and marked, so that no typo makes another word of it.
        return rf"(?<!{MARK})\b{re.escape(said)}\b", said, value
    return None


def _in_words(argument: str, value: float, text: str) -> str | None:
    """How the text says a number in words, if it does."""
    copies = (copy for copy in _NUMBERS[argument](text) if copy.value == f"{value:g}")
    return next((text[c.start : c.end] for c in copies if text[c.start].isalpha()), None)


def _amount(value: float, text: str, rng: Random, part: str) -> tuple[str, str, Any] | None:
    """Another amount in the same form: with cents, whole, or in words."""
    shown = next((s for s in (f"{value:.2f}", f"{value:g}") if _number(s, text)), None)
    said = None if shown else _in_words("amount", value, text)
    if said:
        while not isinstance(amount := values.amount(rng, part)[0], int) or amount >= 100:
            pass  # number_word knows those below
        return rf"\b{re.escape(said)}\b", values.number_word(amount), amount
    if shown is None:
        return None
    cents = "." in shown
    while isinstance(amount := values.amount(rng, part)[0], float) != cents:
        pass  # whole amounts stay whole
    return _number_pattern(shown), f"{amount:.2f}" if cents else str(amount), amount


def _phone(value: str, text: str, rng: Random) -> tuple[str, str, str] | None:
    """The same form with other digits; the first and those of a country stay."""
    inner = r"[ ()./-]*".join(re.escape(c) for c in value)
    found = re.search(rf"(?<!\d){inner}(?!\d)", text)
    if found is None:
        return None
    kept = 3 if value.startswith(("+", "00")) else 1
    digits = [c if i < kept else str(rng.randint(0, 9)) for i, c in enumerate(value)]
    left = iter(digits)
    new = "".join(next(left) if c.isdigit() or c == "+" else c for c in found[0])
    return re.escape(found[0]), new, "".join(digits)


def _number(shown: str, text: str) -> bool:
    return re.search(_number_pattern(shown), text) is not None


def _number_pattern(shown: str) -> str:
    return rf"(?<![\d.,]){re.escape(shown)}(?![\d]|[.,]\d)"
