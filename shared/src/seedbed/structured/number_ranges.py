"""Ranges of JSON numbers as grammars over their digits.

    integer_range(3, 57)                                 # matches "3", "4", … "57" and nothing else
    decimal_range(Fraction(0), Fraction(1), True, False)  # "1", "0.1" … "1.0", "0.01" …

Integers are exact. Decimals are a subset: only as many decimal places as the range needs, and at
most 12. Integers without a limit have at most 15 digits, which a double represents exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, floor
from typing import Any

from seedbed.structured.grammar import Alt, Chars, Lit, Node, Rep, Unsupported, alt, optional, seq

_DIGIT = Chars(((0x30, 0x39),))
_MAX_DIGITS = 15
_MAX_MULTIPLES = 200  # of `multipleOf`, as each becomes a literal
_EMPTY = "no number is between its bounds"


def numeric_bounds(
    schema: Mapping[str, Any],
) -> tuple[Fraction | None, Fraction | None, bool, bool]:
    """(low, high, low excluded, high excluded) of a numeric schema; None where there is no limit.

    >>> numeric_bounds({"minimum": 0, "exclusiveMinimum": 1, "maximum": 2.5})
    (Fraction(1, 1), Fraction(5, 2), True, False)
    """

    def limit(keyword: str) -> Fraction | None:
        # By way of its decimal form: Fraction(0.1) would be the double nearest to 0.1.
        return Fraction(str(schema[keyword])) if keyword in schema else None

    low, high = limit("minimum"), limit("maximum")
    above, below = limit("exclusiveMinimum"), limit("exclusiveMaximum")
    open_low = above is not None and (low is None or above >= low)
    open_high = below is not None and (high is None or below <= high)
    return above if open_low else low, below if open_high else high, open_low, open_high


def integer_range(low: int | None, high: int | None) -> Node:
    """The integers from `low` to `high`, both included; at most 15 digits where None.

    >>> from seedbed.structured.grammar import Grammar
    >>> grammar = Grammar(integer_range(-5, 120))
    >>> [text for text in ("-6", "-5", "007", "99", "121") if grammar.matches(text)]
    ['-5', '99']
    """
    limit = 10**_MAX_DIGITS - 1
    low = low if low is not None else min(-limit, high if high is not None else 0)
    high = high if high is not None else max(limit, low)
    return _scaled_range(low, high, 0)


def decimal_range(
    low: Fraction | None, high: Fraction | None, open_low: bool, open_high: bool
) -> Node:
    """Decimal numbers between two limits, each excluded where `open_…` is true.

    The integers in the range, and decimals with 1, 2, 4, 8 or 12 places until ten of them fit.
    """
    limit = Fraction(10**9)
    if low is None:
        low, open_low = -limit if high is None else min(-limit, high - 1), False
    if high is None:
        high, open_high = max(limit, low + 1), False
    options = []
    for places in (0, 1, 2, 4, 8, 12):
        scale = 10**places
        first, last = ceil(low * scale), floor(high * scale)
        first += open_low and Fraction(first, scale) == low
        last -= open_high and Fraction(last, scale) == high
        if first <= last:
            options.append(_scaled_range(first, last, places))
        if places and last - first >= 10:
            break
    if not options:
        raise Unsupported(_EMPTY)
    return alt(options)


def any_number() -> Node:
    """A number without limits: up to 15 digits and 8 decimal places, no exponent."""
    nonzero = seq(Chars(((0x31, 0x39),)), Rep(_DIGIT, 0, _MAX_DIGITS - 1))
    return seq(optional("-"), Alt((Lit("0"), nonzero)), optional(".", Rep(_DIGIT, 1, 8)))


def multiples(step: Fraction, low: float | Fraction | None, high: float | Fraction | None) -> Node:
    """The multiples of an integer `step` between two limits, both included, as literals.

    Where there are more than 200, those nearest to `low` (or to `high`, if only that is set).

    >>> multiples(Fraction(5), 1, 20).options
    (Lit(text='5'), Lit(text='10'), Lit(text='15'), Lit(text='20'))
    """
    if step.denominator != 1:
        raise Unsupported(f"'multipleOf' {float(step)} is only supported for integers")
    first = high // step - _MAX_MULTIPLES if high else 0
    if low is not None:
        first = -(-low // step)  # rounded up
    last = first + _MAX_MULTIPLES
    if high is not None:
        last = min(last, high // step)
    values = [n * step for n in range(int(first), int(last) + 1)]
    if not values:
        raise Unsupported("no multiple is between its bounds")
    return alt([Lit(str(value)) for value in values])


def _scaled_range(low: int, high: int, places: int) -> Node:
    """The numbers n / 10^places for low ≤ n ≤ high, with exactly that many decimal places."""
    if low > high:
        raise Unsupported(_EMPTY)
    options: list[Node] = []
    if high >= 0:
        options += _by_width(max(low, 0), high, places)
    if low < 0:
        options.append(seq("-", alt(_by_width(max(-high, 1), -low, places))))
    return alt(options)


def _by_width(low: int, high: int, places: int) -> list[Node]:
    """One node for each number of digits: 8…120 becomes 8–9, 10–99 and 100–120."""
    options = []
    width = max(len(str(low)), places + 1)  # "0.5" has a digit before its point
    while low <= high:
        end = min(high, 10**width - 1)
        options.append(_digit_range(f"{low:0{width}}", f"{end:0{width}}", places))
        low, width = 10**width, width + 1
    return options


def _digit_range(low: str, high: str, places: int) -> Node:
    """The digit strings from `low` to `high`, which are equally long, with the decimal point before
    the last `places` digits."""
    if not low:
        return Lit("")
    point: list[Node | str] = ["."] if places and len(low) == places else []
    # 1. All digits are free, as in 000…999.
    if set(low) == {"0"} and set(high) == {"9"}:
        if len(low) <= places or not places:
            return seq(*point, Rep(_DIGIT, len(low), len(low)))
        whole = len(low) - places
        return seq(Rep(_DIGIT, whole, whole), ".", Rep(_DIGIT, places, places))
    # 2. The first digit is fixed, as in 53…57.
    if low[0] == high[0]:
        return seq(*point, low[0], _digit_range(low[1:], high[1:], places))
    # 3. Otherwise by the first digit: 53…87 is 53–59, 60–79 and 80–87.
    zeros, nines = "0" * (len(low) - 1), "9" * (len(low) - 1)
    options = [seq(low[0], _digit_range(low[1:], nines, places))]
    if int(high[0]) - int(low[0]) > 1:
        middle = Chars(((ord(low[0]) + 1, ord(high[0]) - 1),))
        options.append(seq(middle, _digit_range(zeros, nines, places)))
    options.append(seq(high[0], _digit_range(zeros, high[1:], places)))
    return seq(*point, alt(options))
