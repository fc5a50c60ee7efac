"""Computes tasks in words: phrases become values until one is left, or a little story fits.

    calculate("What is 15 % of 240?").text         # "36"

Nothing is guessed: a number or a word that no phrase accounts for raises BadInput, and so do two
stories with different results. The phrases are in phrases.toml.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import permutations
from typing import Any

from multi_agent.tools.arithmetic.phrases import NEUTRAL, Frame, frames, rules, slot_class
from multi_agent.tools.arithmetic.tokens import Token, Tokens, tokenize
from multi_agent.tools.arithmetic.values import evaluate, kind, quantity, text_of
from seedbed.errors import BadInput, TooLarge

MAX_TASK = 1_000  # characters
_MAX_THINGS = 9  # unknown words in a little story
_OPERATORS = {"times": "*", "multiplied": "*", "slash": "/", "divided": "/", "plus": "+", "minus": "-"}
_NUMBERS = re.compile(r"(?i)\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|half|hundred|dozen)\b")
_OPERATIONS = re.compile(
    r"(?i)[-+*/%^=]|percent|plus|minus|times|divided|sum|average|total|each|per\b|how (?:many|much|long|far)"
)
_VALUE = re.compile(r"[A-TV-Z]\d+")


@dataclass(frozen=True)
class Calculation:
    """A result, exactly and as text, with what was computed."""

    value: Fraction | Decimal | date | str
    number: float | None
    """The value in the unit of `text`; None for dates and names."""
    text: str
    """Rounded results begin with ≈."""
    expression: str
    reading: str


@lru_cache(1000)
def calculate(task: str) -> Calculation:
    """The result of one task. Raises BadInput, which names what was not understood.

    >>> calculate("A coat of €80 is reduced by a quarter. What does it cost now?").text
    '€60.00'
    """
    if len(task) > MAX_TASK:
        raise TooLarge(f"The task has {len(task):,} characters; the limit is {MAX_TASK:,}.")
    tokens = tokenize(task)
    while _reduce(tokens):
        pass
    name, token = _single(tokens) or _story(tokens)
    return _calculation(token, name)


def looks_like_arithmetic(task: str) -> float:
    """How likely a task is arithmetic, 0 to 1, without computing it.

    >>> looks_like_arithmetic("What is 15 % of 240?") > looks_like_arithmetic("Who is our CEO?")
    True
    """
    if len(task) > MAX_TASK or not _NUMBERS.search(task):
        return 0.0
    try:
        calculate(task)
        return 0.95
    except BadInput:
        return 0.4 if _OPERATIONS.search(task) and len(_NUMBERS.findall(task)) > 1 else 0.1


def evaluate_expression(expression: str) -> Calculation:
    """The result of a plain expression such as "240 * 0.15", from a model."""
    return _calculation(Token(evaluate(expression, {}), expression), "")


def _calculation(token: Token, name: str) -> Calculation:
    value, text = token.value, text_of(token.value)
    number = float(value.m) if hasattr(value, "m") else None
    reading = f"{f'{name}: ' if name else ''}{token.expression} = {text}".replace("= ≈", "≈")
    plain = value.m if hasattr(value, "m") else value if isinstance(value, date) else str(text)
    return Calculation(plain, number, text, token.expression, reading)


# ── phrases ──


def _reduce(tokens: Tokens) -> bool:
    """Replace the first phrase that fits by its value."""
    for pattern, expression in rules():
        if match := pattern.search(tokens.text):
            names = dict(zip("abcdef", (slot for slot in match.groups() if slot), strict=False))
            word = next((w for w in match.group().split() if w in _OPERATORS), "")
            token = _compute(expression.replace("op", _OPERATORS.get(word, "op")), names, tokens)
            name = tokens.add(token.value, token.expression)
            tokens.text = f"{tokens.text[: match.start()]}{name} {tokens.text[match.end() :]}"
            tokens.computed = True
            return True
    return False


def _compute(expression: str, slots: Mapping[str, str], tokens: Tokens) -> Token:
    """The value of an expression over slots, and how it reads."""
    values: dict[str, Any] = {
        "today": date.today(), "year": quantity(1, "year"), "pi": quantity(Fraction(math.pi)),
    }
    texts = {"today": "today", "year": "1 year", "pi": "pi"}
    for slot, words in slots.items():
        names = re.findall(r"[A-Z]\d+", words)
        parts = [tokens.names[name].value for name in names]
        # A percentage enters an expression as a plain number.
        parts = [part.to("") if kind(part) == "P" and "percent(a op" not in expression else part for part in parts]
        is_list = len(names) > 1
        values[slot] = parts if is_list else parts[0]
        inner = [tokens.names[name].expression for name in names]
        texts[slot] = ", ".join(inner) if is_list else f"({inner[0]})" if re.search(r"[-+*/,]\s", inner[0]) else inner[0]
    text = re.sub(r"\b(?:[a-f]|today|year|pi)\b", lambda match: texts[match.group()], expression)
    return Token(evaluate(expression, values), text)


def _single(tokens: Tokens) -> tuple[str, Token] | None:
    """The only value left, if the words around it are neutral."""
    words = tokens.text.split()
    names = [word for word in words if _VALUE.fullmatch(word)]
    if len(names) != 1 or not tokens.computed:
        return None
    while words[-1] in ".?":
        words.pop()
    # At most two words for the things may follow: "15 % of 240 employees".
    last = words.index(names[0])
    things = words[last + 1 :]
    if len(things) <= 2 and all(word.startswith("_") for word in things):
        words = words[: last + 1]
    if all(word in NEUTRAL or word == names[0] for word in words):
        return "", tokens.names[names[0]]
    return None


# ── little stories ──


def _story(tokens: Tokens) -> tuple[str, Token]:
    results, problem = {}, f"Not understood: {_leftover(tokens)}."
    for frame in frames():
        for expression, slots in _fitting(frame, tokens.text):
            try:
                token = _in_unit(_compute(expression, slots, tokens), tokens)
                results[text_of(token.value)] = (frame.name, token)
            except BadInput as error:
                problem = error.message
    if len(results) > 1:
        raise BadInput(f"Ambiguous: {' or '.join(name for name, _ in results.values())}?")
    if not results:
        raise BadInput(problem)
    return next(iter(results.values()))


def _fitting(frame: Frame, text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The expression of a frame with its slots, if the text is such a story."""
    words = text.split()
    values = [word for word in words if _VALUE.fullmatch(word)]
    others = {word for word in words if word.islower() and not word.startswith("_")}
    things = [word for word in words if word.startswith("_")]
    if len(values) != len(frame.slots) or not others <= NEUTRAL | frame.words:
        return
    if len(things) > _MAX_THINGS or not frame.needs.search(text):
        return
    if frame.forbids and frame.forbids.search(text):
        return
    if len(re.findall(r"(?<!many )(?<!in )(?<!into )(?<!to )(?<!per )(?<!a )(?<!each )(?<!every )U\d+", text)):
        return
    for order in permutations(values):
        if all(re.match(slot_class(s), v) for s, v in zip(frame.slots, order, strict=True)):
            for pattern, expression in frame.answers:
                if pattern.search(text):
                    yield expression, dict(zip("abcdef", order, strict=False))
                    return
            return


def _in_unit(token: Token, tokens: Tokens) -> Token:
    """The value in the unit that the question asks for."""
    value, text = token.value, token.expression
    for word, name in re.findall(r"(many|in|into|to|per|a|each|every) (U\d+)", tokens.text):
        target = tokens.names[name]
        function = "convert" if word in ("many", "in", "into", "to") else "apply"
        value = evaluate(f"{function}(a, b)", {"a": value, "b": target.value})
        text = f"{text} {'in' if function == 'convert' else 'per'} {target.expression}"
    return Token(value, text)


def _leftover(tokens: Tokens) -> str:
    words = [w.lstrip("_") for w in tokens.text.split() if w not in NEUTRAL and not _VALUE.fullmatch(w)]
    words = [tokens.names[w].expression if w in tokens.names else w for w in words]
    return ", ".join(repr(word) for word in dict.fromkeys(words[:6])) or "no calculation in it"
