"""Ranges of JSON integers as grammars over their digits.

integer_range(3, 57)    # matches "3", "4", … "57" and nothing else

Integers have at most 15 digits, which a double represents exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor
from typing import Any

from seedbed.structured.grammar import Chars, Node, Rep, Unsupported, alt, seq

DIGIT = Chars(((0x30, 0x39),))
MAX = 10**15 - 1


def integer_limits(schema: Mapping[str, Any]) -> tuple[int, int]:
    """The least and the greatest integer that a schema allows, of at most 15 digits.

    >>> integer_limits({"exclusiveMinimum": 1, "maximum": 7.5})
    (2, 7)
    """

    def limit(keyword: str, default: int) -> Any:
        return max(-MAX - 1, min(schema.get(keyword, default), MAX + 1))  # may be infinite

    low = max(-MAX, ceil(limit("minimum", -MAX)), floor(limit("exclusiveMinimum", -MAX - 1)) + 1)
    high = min(MAX, floor(limit("maximum", MAX)), ceil(limit("exclusiveMaximum", MAX + 1)) - 1)
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
        return Rep(DIGIT, len(low), len(low))
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
