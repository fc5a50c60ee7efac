"""Computes tasks in words: phrases become values until one is left, or a little story fits.

    calculate("What is 15 % of 240?").text         # "36"

Nothing is guessed: a number or a word that no phrase accounts for raises BadInput, and so do two
stories with different results. The phrases and stories are in phrases.toml.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import lru_cache
from itertools import permutations

from multi_agent.brain import Expression, Refusal
from multi_agent.offline.arithmetic.phrases import NEUTRAL, Frame, frames, rules, slot_class
from multi_agent.offline.arithmetic.stories import best
from multi_agent.offline.arithmetic.tokens import Token, Tokens, tokenize
from multi_agent.offline.arithmetic.values import evaluate, text_of
from seedbed.errors import BadInput, TooLarge

MAX_TASK = 1_000  # characters
_MAX_THINGS = 9  # unknown words in a little story
_OPERATORS = {"times": "*", "multiplied": "*", "slash": "/", "divided": "/"}
_OPERATORS |= {"plus": "+", "minus": "-"}
_DIGITS = re.compile(r"(?i)\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|half|dozen)\b")
_OPERATIONS = re.compile(r"(?i)[-+*/%^=]|percent|times|sum|average|total|each|per\b|how (?:m|l|f)")
_VALUE = re.compile(r"[A-TV-Z]\d+")
_FREE_UNIT = re.compile(r"(?<!many )(?<!in )(?<!to )(?<!per )(?<!a )(?<!each )(?<!every )U\d")


@dataclass(frozen=True)
class Calculation:
    """A result, exactly and as text, with what was computed."""

    value: Fraction | date | str
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
    # 1. Phrases that leave one value and no other word.
    tokens, problem = tokenize(task), BadInput("")
    try:
        while _reduce(tokens, "rates", "rules"):
            pass
        if token := _single(tokens):
            return _calculation(token)
    except BadInput as error:
        problem = error
    # 2. Stories in any words, or else those in few words.
    try:
        name, token = _free_story(task)
    except BadInput as other:
        if other.message.startswith("Amb") or problem.message:
            raise (problem if problem.message else other) from None
        name, token = _story(tokens)
    return _calculation(token, f"{name}: ")


def _free_story(task: str) -> tuple[str, Token]:
    """The name and the result of the formula that fits a story in any words."""
    tokens = tokenize(task)
    tables = ("rates",) if "percent" in tokens.text else ("rates", "story")
    while _reduce(tokens, *tables):
        pass
    return best(tokens)


def looks_like_arithmetic(task: str) -> float:
    """How likely the calculator can do a task, 0 to 1.

    >>> looks_like_arithmetic("What is 15 % of 240?"), looks_like_arithmetic("Who is our CEO?")
    (0.95, 0.0)
    """
    if len(task) > MAX_TASK or not _DIGITS.search(task):
        return 0.0
    try:
        calculate(task)
        return 0.95
    except BadInput:
        return 0.4 if _OPERATIONS.search(task) and len(_DIGITS.findall(task)) > 1 else 0.1


def to_expression(task: str) -> Expression:
    """The expression of one task. Raises Refusal, which names what was not understood."""
    try:
        calculation = calculate(task)
    except BadInput as error:
        raise Refusal(error.message) from None
    return Expression(calculation.expression, "", calculation.reading)


def _calculation(token: Token, name: str = "") -> Calculation:
    value, text = token.value, text_of(token.value)
    reading = f"{name}{token.expression} = {text}".replace("= ≈", "≈")
    if hasattr(value, "m"):
        return Calculation(value.m, float(value.m), text, token.expression, reading)
    plain = value if isinstance(value, date) else text
    return Calculation(plain, None, text, token.expression, reading)


def _reduce(tokens: Tokens, *tables: str) -> bool:
    """Replace the first phrase that fits by its value."""
    for pattern, expression in rules(*tables):
        if match := pattern.search(tokens.text):
            operators = [_OPERATORS[word] for word in match[0].split() if word in _OPERATORS]
            expression = expression.replace(" op ", f" {''.join(operators[:1])} ")
            token = tokens.compute(expression, [slot for slot in match.groups() if slot])
            name = tokens.add(token.value, token.expression)
            if expression == "rate(a, b)" and "rules" not in tables:  # of what: 150 chairs a day
                name = " ".join([name, *re.findall(r"_\S+", match[0])])
            tokens.text = f"{tokens.text[: match.start()]}{name} {tokens.text[match.end() :]}"
            tokens.computed = True
            return True
    return False


def _single(tokens: Tokens) -> Token | None:
    """The only value left, if the words around it are neutral."""
    words = tokens.text.split()
    names = [word for word in words if _VALUE.fullmatch(word)]
    if len(names) != 1 or not tokens.computed:
        return None
    # At most two words for the things may follow: "15 % of 240 employees".
    end = re.search(rf"{names[0]} ((?:_\S+ ){{1,2}})[. ]*$", tokens.text)
    things = end[1].split() if end else []
    neutral = all(word in NEUTRAL or word in (names[0], *things) for word in words)
    return tokens.names[names[0]] if neutral else None


def _story(tokens: Tokens) -> tuple[str, Token]:
    """The name and the result of the story that fits."""
    results, problem = {}, f"Not understood: {_leftover(tokens)}."
    for frame in frames():
        if slots := _slots(frame, tokens.text):
            try:
                expression = next(e for ask, e in frame.answers if ask.search(tokens.text))
                token = _in_unit(tokens.compute(expression, slots), tokens)
                results[text_of(token.value)] = (frame.name, token)
            except BadInput as error:
                problem = error.message
            except StopIteration:  # another question
                continue
    if len(results) > 1:
        raise BadInput(f"Ambiguous: {' or '.join(name for name, _ in results.values())}?")
    if not results:
        raise BadInput(problem)
    return next(iter(results.values()))


def _slots(frame: Frame, text: str) -> tuple[str, ...]:
    """The values of a frame in the order of its slots, if the text is such a story."""
    words = text.split()
    values = [word for word in words if _VALUE.fullmatch(word)]
    known = {word for word in words if word.islower() and not word.startswith("_")}
    things = sum(word.startswith("_") for word in words)
    if len(values) != len(frame.slots) or not known <= frame.words | NEUTRAL:
        return ()
    if things > _MAX_THINGS or not frame.needs.search(text) or _FREE_UNIT.search(text):
        return ()
    if frame.forbids and frame.forbids.search(text):
        return ()
    classes = [slot_class(slot) for slot in frame.slots]
    for order in permutations(values):
        if all(re.match(one, value) for one, value in zip(classes, order, strict=True)):
            return order
    return ()


def _in_unit(token: Token, tokens: Tokens) -> Token:
    """The value in the unit that the question asks for."""
    value, text = token.value, token.expression
    for word, name in re.findall(r"(many|in|into|to|per|a|each|every) (U\d+)", tokens.text):
        target = tokens.names[name]
        is_rate = word in ("per", "a", "each", "every")
        function = "apply(a, b)" if is_rate else "convert(a, b)"
        value = evaluate(function, {"a": value, "b": target.value})
        text = f"{text} {'per' if is_rate else 'in'} {target.expression}"
    return Token(value, text)


def _leftover(tokens: Tokens) -> str:
    """The words that no phrase accounts for, for the message."""
    words = [w for w in tokens.text.split() if w not in NEUTRAL and not _VALUE.fullmatch(w)]
    names = [tokens.names[w].expression if w in tokens.names else w.lstrip("_") for w in words]
    return ", ".join(map(repr, dict.fromkeys(names[:6]))) or "there is no calculation in it"
