"""The contents of JSON strings and numbers as grammars: patterns, formats, ranges of numbers.

Each grammar here matches a part of what is allowed, and never more than that.
"""

from __future__ import annotations

import re
import re._constants as sre  # type: ignore[import-not-found]
import re._parser as sre_parser  # type: ignore[import-not-found]
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

from seedbed.structured.grammar import TOP, Alt, Chars, Lit, Node, Rep, alt, optional, seq

_DATE = r"(19|20)\d\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])"
_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ"
_HOST = r"[a-z][a-z0-9]{0,20}(\.[a-z][a-z0-9]{0,10})?\.(com|org|net|io|edu)"
FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": r"P[1-9]\d{0,2}D|PT[1-9]\d{0,2}[HMS]",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "email": r"[a-z][a-z0-9]{0,15}(\.[a-z0-9]{1,15})?@" + _HOST,
    "uri": f"https://{_HOST}(/[a-z0-9]{{1,20}}){{0,4}}",
    "ipv4": r"([1-9]\d?|1\d\d|2[0-4]\d)(\.([1-9]\d?|1\d\d|2[0-4]\d)){3}",
    "hostname": _HOST,
}
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
# A character of a JSON string that needs no escape: no quote, backslash, control or surrogate.
PLAIN = Chars(((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0xA0, 0xD7FF), (0xE000, TOP)))
CHARACTER = Alt((PLAIN, seq("\\", Chars(tuple((ord(c), ord(c)) for c in '"\\nt')))))
DIGIT = Chars(((0x30, 0x39),))
_ASCII = frozenset(range(0x20, 0x7F))
_DIGITS = 15  # what a double holds exactly


class NotRegular(ValueError):
    """A pattern or a range that cannot be written as a grammar."""


# ── patterns ────────────────────────────────────────────────────────────────────────────────


def pattern(source: str, low: int = 0, high: int | None = None) -> Node:
    """What a regular expression matches, as the inside of a JSON string of `low` to `high`
    characters. Look-around and back-references raise NotRegular."""
    try:
        parsed = list(sre_parser.parse(source))
        width = sre_parser.parse(source).getwidth()
    except (re.error, OverflowError, RecursionError) as error:
        raise NotRegular(str(error)) from None
    if parsed and parsed[0] == (sre.AT, sre.AT_BEGINNING):
        parsed = parsed[1:]
    if parsed and parsed[-1][0] == sre.AT and parsed[-1][1] in (sre.AT_END, sre.AT_END_STRING):
        parsed = parsed[:-1]
    if width[0] < low or (high is not None and width[1] > high):
        parsed = _fit(parsed, low, high)
    return _sequence(parsed)


def _fit(parsed: list[Any], low: int, high: int | None) -> list[Any]:
    """Bound the one part that repeats a single character, so that the length fits."""
    repeats = [n for n, (op, _) in enumerate(parsed) if op in (sre.MAX_REPEAT, sre.MIN_REPEAT)]
    fixed = {sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY}
    if len(repeats) != 1 or any(
        op not in fixed for n, (op, _) in enumerate(parsed) if n != repeats[0]
    ):
        raise NotRegular("its length cannot be bounded")
    at = repeats[0]
    op, (least, most, inner) = parsed[at]
    if len(inner) != 1 or inner[0][0] not in fixed:
        raise NotRegular("its length cannot be bounded")
    others = len(parsed) - 1
    least = max(least, low - others)
    most = most if high is None else min(most, high - others)
    if most < least:
        raise NotRegular("no text of an allowed length matches")
    return [*parsed[:at], (op, (least, most, inner)), *parsed[at + 1 :]]


def _sequence(parsed: Iterable[Any]) -> Node:
    return seq(*[_piece(op, argument) for op, argument in parsed])


def _piece(op: Any, argument: Any) -> Node:
    if op == sre.LITERAL:
        return _one_of({argument})
    if op == sre.NOT_LITERAL:
        return _one_of(_ASCII - {argument})
    if op == sre.ANY:
        return _one_of(_ASCII)
    if op == sre.IN:
        return _one_of(_members(argument))
    if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        low, high, inner = argument
        return Rep(_sequence(inner), low, None if high == sre.MAXREPEAT else high)
    if op == sre.BRANCH:
        return alt([_sequence(branch) for branch in argument[1]])
    if op == sre.SUBPATTERN and not argument[1] and not argument[2]:
        return _sequence(argument[3])
    raise NotRegular(f"{str(op).lower()} is not supported")


def _members(items: Sequence[Any]) -> set[int]:
    members: set[int] = set()
    negated = items[0][0] == sre.NEGATE
    for op, argument in items[1:] if negated else items:
        if op == sre.LITERAL:
            members.add(argument)
        elif op == sre.RANGE:
            members.update(range(argument[0], argument[1] + 1))
        elif op == sre.CATEGORY:
            members.update(_category(argument, negated))
    # A complement stays within ASCII: what else a category may hold depends on the regex engine.
    return set(_ASCII - members) if negated else members


def _category(category: Any, negated: bool) -> set[int]:
    name = str(category).lower().removeprefix("category_")
    kinds = {"digit": r"\d", "word": r"\w", "space": r"[ \t\n\r]" if not negated else r"\s"}
    kind = name.removeprefix("not_")
    if kind not in kinds:
        raise NotRegular(f"{name} is not supported")
    inside = {c for c in range(0x7F) if re.match(kinds[kind], chr(c))}
    return set(range(0x7F)) - inside if name.startswith("not_") else inside


def _one_of(members: Iterable[int]) -> Node:
    """One character inside a JSON string, escaped where it must be."""
    codes = sorted(members)
    escaped: list[Node] = [Lit(_ESCAPES[chr(c)]) for c in codes if chr(c) in _ESCAPES]
    plain = [c for c in codes if c >= 0x20 and chr(c) not in _ESCAPES and not 0xD800 <= c < 0xE000]
    ranges: list[tuple[int, int]] = []
    for code in plain:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    options: list[Node] = [Chars(tuple(ranges)), *escaped] if ranges else escaped
    if not options:
        raise NotRegular("a class of characters is empty")
    return alt(options)


# ── numbers ─────────────────────────────────────────────────────────────────────────────────


def integers(low: int | None, high: int | None) -> Node:
    """The integers from `low` to `high`, both included, of at most 15 digits where open."""
    limit = 10**_DIGITS - 1
    low = low if low is not None else min(-limit, high if high is not None else 0)
    high = high if high is not None else max(limit, low)
    return _scaled(low, high, 0)


def numbers(low: Fraction | None, high: Fraction | None, open_low: bool, open_high: bool) -> Node:
    """Decimal numbers in a range: the integers in it, and as many decimals as it needs."""
    limit = Fraction(10**9)
    if low is None:
        low, open_low = -limit if high is None else min(-limit, high - 1), False
    if high is None:
        high, open_high = max(limit, low + 1), False
    options = []
    for decimals in (0, 1, 2, 4, 8, 12):
        scale = 10**decimals
        first, last = ceil(low * scale), floor(high * scale)
        first += open_low and Fraction(first, scale) == low
        last -= open_high and Fraction(last, scale) == high
        if first <= last:
            options.append(_scaled(first, last, decimals))
        if decimals and last - first >= 10:
            break
    if not options:
        raise NotRegular("no number is between its bounds")
    return alt(options)


def _scaled(low: int, high: int, decimals: int) -> Node:
    """The numbers n / 10^decimals for low ≤ n ≤ high, with exactly that many decimals."""
    if low > high:
        raise NotRegular("no number is between its bounds")
    options: list[Node] = []
    if high >= 0:
        options += _lengths(max(low, 0), high, decimals)
    if low < 0:
        options.append(seq("-", alt(_lengths(max(-high, 1), -low, decimals))))
    return alt(options)


def _lengths(low: int, high: int, decimals: int) -> list[Node]:
    options = []
    width = max(len(str(low)), decimals + 1)
    while low <= high:
        end = min(high, 10**width - 1)
        options.append(_digits(f"{low:0{width}}", f"{end:0{width}}", decimals))
        low, width = 10**width, width + 1
    return options


def _digits(low: str, high: str, decimals: int) -> Node:
    """The digit strings from `low` to `high`, of equal length, with the point put in."""
    if not low:
        return Lit("")
    point: list[Node | str] = ["."] if decimals and len(low) == decimals else []
    if set(low) == {"0"} and set(high) == {"9"}:
        if len(low) <= decimals or not decimals:
            return seq(*point, Rep(DIGIT, len(low), len(low)))
        whole = len(low) - decimals
        return seq(Rep(DIGIT, whole, whole), ".", Rep(DIGIT, decimals, decimals))
    first, last = int(low[0]), int(high[0])
    if first == last:
        return seq(*point, low[0], _digits(low[1:], high[1:], decimals))
    rest = len(low) - 1
    options = [seq(low[0], _digits(low[1:], "9" * rest, decimals))]
    if last - first > 1:
        middle = Chars(((ord(low[0]) + 1, ord(high[0]) - 1),))
        options.append(seq(middle, _digits("0" * rest, "9" * rest, decimals)))
    options.append(seq(high[0], _digits("0" * rest, high[1:], decimals)))
    return seq(*point, alt(options))


def any_number() -> Node:
    whole = seq(optional("-"), Alt((Lit("0"), seq(Chars(((0x31, 0x39),)), Rep(DIGIT, 0, 14)))))
    return seq(whole, optional(".", Rep(DIGIT, 1, 8)))


def bounds(schema: dict[str, Any]) -> tuple[Fraction | None, Fraction | None, bool, bool]:
    """(low, high, whether low itself is excluded, whether high is) of a numeric schema."""

    def fraction(keyword: str) -> Fraction | None:
        return Fraction(str(schema[keyword])) if keyword in schema else None

    low, high = fraction("minimum"), fraction("maximum")
    above, below = fraction("exclusiveMinimum"), fraction("exclusiveMaximum")
    open_low = above is not None and (low is None or above >= low)
    open_high = below is not None and (high is None or below <= high)
    return above if open_low else low, below if open_high else high, open_low, open_high


def multiples(step: Fraction, low: float | Fraction | None, high: float | Fraction | None) -> Node:
    if step.denominator != 1:
        raise NotRegular(f"'multipleOf' {float(step)} is only supported for integers")
    first = -(-low // step) if low is not None else (high // step - 200 if high else 0)
    last = high // step if high is not None else first + 200
    values = [n * step for n in range(int(first), int(min(last, first + 200)) + 1)]
    if not values:
        raise NotRegular("no multiple is between its bounds")
    return alt([Lit(str(value)) for value in values])
