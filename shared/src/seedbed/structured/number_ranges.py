"""Ranges of JSON numbers as grammars over their digits.

    integer_range(3, 57)                        # matches "3", "4", … "57" and nothing else
    decimal_range({"minimum": 0, "maximum": 1})  # "0", "1", "0.0001" … "0.9999"

Integers are exact, and have at most 15 digits, which a double represents exactly. Decimals have up
to four places where they have limits, which must be whole numbers, and up to eight otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor
from typing import Any

from seedbed.structured.grammar import Chars, Lit, Node, Rep, Unsupported, alt, optional, seq

_DIGIT = Chars(((0x30, 0x39),))
_NONZERO = Chars(((0x31, 0x39),))
_MAX_DIGITS = 15
_MAX = 10**_MAX_DIGITS - 1
_MAX_WHOLE = 10**9  # before decimal places; with more digits, a double would round to a limit


def integer_limits(schema: Mapping[str, Any]) -> tuple[int, int]:
    """The least and the greatest integer that a schema allows, of at most 15 digits.

    >>> integer_limits({"exclusiveMinimum": 1, "maximum": 7.5})
    (2, 7)
    """

    def limit(keyword: str, default: int) -> Any:
        return max(-_MAX - 1, min(schema.get(keyword, default), _MAX + 1))  # may be infinite

    low = max(-_MAX, ceil(limit("minimum", -_MAX)), floor(limit("exclusiveMinimum", -_MAX - 1)) + 1)
    high = min(_MAX, floor(limit("maximum", _MAX)), ceil(limit("exclusiveMaximum", _MAX + 1)) - 1)
    return low, high


def integer_range(low: int, high: int) -> Node:
    """The integers from `low` to `high`, both included.

    >>> from seedbed.structured.grammar import Grammar
    >>> grammar = Grammar(integer_range(-5, 120))
    >>> [text for text in ("-6", "-5", "007", "99", "121") if grammar.matches(text)]
    ['-5', '99']
    """
    if low > high:
        raise Unsupported("no number is between its bounds")
    options: list[Node] = []
    if high >= 0:
        options += _by_width(max(low, 0), high)
    if low < 0:
        options.append(seq("-", alt(_by_width(max(-high, 1), -low))))
    return alt(options)


def decimal_range(schema: Mapping[str, Any]) -> Node:
    """The numbers that a schema allows, whole or decimal, without exponent.

    >>> from seedbed.structured.grammar import Grammar
    >>> grammar = Grammar(decimal_range({"exclusiveMinimum": 0, "maximum": 1}))
    >>> [text for text in ("0", "0.0", "0.05", "1", "1.5") if grammar.matches(text)]
    ['0.05', '1']
    """
    # 1. Without limits, any number.
    keywords = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    limits = {keyword: schema[keyword] for keyword in keywords if keyword in schema}
    if not limits:
        whole = alt([Lit("0"), seq(_NONZERO, Rep(_DIGIT, 0, _MAX_DIGITS - 1))])
        return seq(optional("-"), whole, optional(".", Rep(_DIGIT, 1, 8)))
    for keyword, limit in limits.items():
        if limit % 1:
            raise Unsupported(f"{keyword!r} of a number must be a whole number, not {limit}")
    # 2. The integers between them.
    options: list[Node] = []
    low, high = integer_limits(limits)
    if low <= high:
        options.append(integer_range(low, high))
    # 3. The decimals between them, also those next to a limit that is excluded itself. The last
    # place is not 0, so that none of them is an integer.
    low = int(max(-_MAX, limits.get("minimum", -_MAX), limits.get("exclusiveMinimum", -_MAX)))
    high = int(min(_MAX, limits.get("maximum", _MAX), limits.get("exclusiveMaximum", _MAX)))
    places = seq(".", Rep(_DIGIT, 0, 3), _NONZERO)
    for sign, start, end in (("", low, high), ("-", -high, -low)):
        start, end = max(start, 0), min(end - 1, _MAX_WHOLE)
        if start <= end:
            options.append(seq(sign, integer_range(start, end), places))
    if not options:
        raise Unsupported("no number is between its bounds")
    return alt(options)


def _by_width(low: int, high: int) -> list[Node]:
    """One node for each number of digits: 8…120 becomes 8–9, 10–99 and 100–120."""
    options = []
    width = len(str(low))
    while low <= high:
        options.append(_digit_range(str(low), str(min(high, 10**width - 1))))
        low, width = 10**width, width + 1
    return options


def _digit_range(low: str, high: str) -> Node:
    """The digit strings from `low` to `high`, which are equally long."""
    # 1. All digits are free, as in 000…999.
    if set(low) <= {"0"} and set(high) <= {"9"}:
        return Rep(_DIGIT, len(low), len(low))
    # 2. The first digit is fixed, as in 53…57.
    if low[0] == high[0]:
        return seq(low[0], _digit_range(low[1:], high[1:]))
    # 3. Otherwise by the first digit: 53…87 is 53–59, 60–79 and 80–87.
    zeros, nines = "0" * (len(low) - 1), "9" * (len(low) - 1)
    options = [seq(low[0], _digit_range(low[1:], nines))]
    if int(high[0]) - int(low[0]) > 1:
        middle = Chars(((ord(low[0]) + 1, ord(high[0]) - 1),))
        options.append(seq(middle, _digit_range(zeros, nines)))
    options.append(seq(high[0], _digit_range(zeros, high[1:])))
    return alt(options)
