"""Arithmetic in words: each template is a regular expression beside the expression that it writes.

>>> to_expression("What is 15 % of 240?").text
'240 * 15 / 100'
"""

from __future__ import annotations

import re
from datetime import datetime

from multi_agent.brain import Expression, Refusal

_UNIT = r"(?:€|\$|£|euros?|eur|dollars?|usd|pounds?|kg|g|km|m|hours?|days?)"
_N = rf"([€$£]?\s?\d[\d,]*(?:\.\d+)?(?:\s?{_UNIT}(?![a-z]))?)"  # with its unit
_P = r"(\d+(?:\.\d+)?) ?(?:%|percent|per cent)"
_DATE = r"(\d{1,2} \w+ \d{4}|\d{4}-\d\d-\d\d)"
_LIST = rf"({_N}(?:(?:, | and |, and ){_N})+)"
_ASK = r"(?:what is|what's|how much is|calculate|compute|please calculate)"
_BARE = r"(\d[\d,]*(?:\.\d+)?)"
_SIGNS = {"plus": "+", "+": "+", "minus": "-", "-": "-", "times": "*", "multiplied by": "*"}
_SIGNS |= {"*": "*", "x": "*", "divided by": "/", "/": "/", "to the power of": "**"}
_ADDS = r"(plus|\+|minus|-)"
_MULTIPLIES = r"(times|multiplied by|\*|x|divided by|/|to the power of)"

TEMPLATES = {
    rf"{_ASK} {_P} of {_N}": "{1} * {0} / 100",
    rf"{_ASK} {_N} plus {_P}(?: vat| tax)?": "{0} * (1 + {1} / 100)",
    rf"{_ASK} {_N} minus {_P}": "{0} * (1 - {1} / 100)",
    rf"add {_P} to {_N}": "{1} * (1 + {0} / 100)",
    rf"{_ASK} {_N} after a discount of {_P}": "{0} * (1 - {1} / 100)",
    rf"(?:a|an|the) [a-z]+ costs {_N}\. what is the price after a discount of {_P}": (
        "{0} * (1 - {1} / 100)"
    ),
    rf"{_ASK} {_N} {_ADDS} {_N}": "{0} {1} {2}",
    rf"{_ASK} {_N} {_MULTIPLIES} {_BARE}": "{0} {1} {2}",
    rf"(?:add|sum|{_ASK} the (?:sum|total) of) {_LIST}": "sum({0})",
    rf"{_ASK} the (?:average|mean) of {_LIST}": "average({0})",
    rf"divide {_N} by {_BARE}": "{0} / {1}",
    rf"multiply {_N} by {_BARE}": "{0} * {1}",
    rf"subtract {_N} from {_N}": "{1} - {0}",
    rf"{_N} is what percentage of {_N}": "{0} / {1} * 100",
    rf"how many days are there (?:from|between) {_DATE} (?:to|and) {_DATE}": "days('{0}', '{1}')",
    rf"(?:what|which) date is (\d+) (days|weeks|months|years) after {_DATE}": (
        "shift('{2}', {1}={0})"
    ),
    rf"(?:what|which) date is (\d+) (days|weeks|months|years) before {_DATE}": (
        "shift('{2}', {1}=-{0})"
    ),
}
_PATTERNS = [(re.compile(pattern), expression) for pattern, expression in TEMPLATES.items()]
_CODES = {"€": "EUR", "euro": "EUR", "eur": "EUR", "$": "USD", "dollar": "USD", "usd": "USD"}
_CODES |= {"£": "GBP", "pound": "GBP"}


def to_expression(task: str) -> Expression:
    """The expression that a task asks for. Raises Refusal if none fits, or if units differ."""
    text = _in_digits(task)
    for pattern, expression in _PATTERNS:
        if match := pattern.fullmatch(text):
            parts = [_value(part) for part in match.groups() if part]
            units = {unit for part in match.groups() if part for unit in _units(part)}
            if len(units) > 1:
                raise Refusal(f"The numbers have different units: {', '.join(sorted(units))}.")
            unit = "%" if expression.endswith("* 100") else "".join(units)
            return Expression(expression.format(*parts), "" if "'" in expression else unit)
    raise Refusal("Without a model, I can't read this as arithmetic.")


def _in_digits(task: str) -> str:
    """The task in lower case, with digits for numbers in words, without its final punctuation."""
    from text_to_num import alpha2digit

    text = alpha2digit(" ".join(task.split()), "en", threshold=0)
    return str(text).strip(" .?!").lower().replace("? ", ". ")


def _value(part: str) -> str:
    """A number without its unit, a list of numbers, a sign of arithmetic, or a date."""
    if part in _SIGNS:
        return _SIGNS[part]
    if re.fullmatch(r"\d{1,2} \w+ \d{4}", part):
        for form in ("%d %B %Y", "%d %b %Y"):
            try:
                return datetime.strptime(part, form).date().isoformat()
            except ValueError:
                continue
        raise Refusal(f"{part!r} is not a date.")
    if re.fullmatch(r"\d{4}-\d\d-\d\d|[a-z]+", part):
        return part
    separated = re.sub(r",? and |, ", ";", part)
    return ", ".join(re.sub(r"[^\d.]", "", number).strip(".") for number in separated.split(";"))


def _units(part: str) -> set[str]:
    """The units of the numbers in a part; those of money by their codes."""
    matches = re.findall(rf"([€$£])|(?<=\d)\s?({_UNIT})(?![a-z])", part)
    names = {(sign or unit).removesuffix("s") for sign, unit in matches}
    return {_CODES.get(name, name) for name in names}
