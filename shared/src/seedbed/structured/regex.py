"""Regular expressions and string formats as grammars of the inside of a JSON string.

    compile_pattern(r"^[A-Z]{2}-\\d+$")             # a `Node` that matches `AB-7`
    compile_pattern(FORMATS["date"], low=10, high=10)

Each grammar matches a subset of what the expression matches, never more: character classes keep to
ASCII, and formats to common forms (an e-mail address ends in .com, .org, …). Ranges of numbers are
in `number_ranges`, and the keywords of a schema in `schema_compiler`.
"""

from __future__ import annotations

import re

# CPython's own parser, a private module: the alternative is a regex parser of our own. Tested with
# CPython 3.11.
import re._constants as sre  # type: ignore[import-not-found]
import re._parser as sre_parser  # type: ignore[import-not-found]
from collections.abc import Iterable, Sequence
from typing import Any

from seedbed.errors import BadInput
from seedbed.safety.patterns import compile_untrusted
from seedbed.structured.grammar import (
    MAX_CODE_POINT,
    Alt,
    Chars,
    Lit,
    Node,
    Rep,
    Unsupported,
    alt,
    seq,
)

# Days end at 28, so that every date exists.
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
"""The `format` names of JSON Schema that are guaranteed, as regular expressions."""

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
PLAIN = Chars(((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0xA0, 0xD7FF), (0xE000, MAX_CODE_POINT)))
"""A character that a JSON string contains unescaped: not a quote, backslash, control character or
surrogate."""
CHARACTER = Alt((PLAIN, seq("\\", Chars(tuple((ord(c), ord(c)) for c in '"\\nt')))))
"""Any one character of a JSON string, escaped where JSON requires it."""
_ASCII = frozenset(range(0x20, 0x7F))


def compile_pattern(source: str, low: int = 0, high: int | None = None) -> Node:
    """The grammar of a regular expression inside a JSON string of `low` to `high` characters.

    Raises Unsupported for flags and what RE2 lacks (look-around, back-references, over 1,000
    repetitions), and where the length limits apply to more than one repetition.

    >>> compile_pattern(r"^\\d{3}-[a-z]+$").shortest
    '000-a'
    >>> compile_pattern("^[a-z]+$", low=4).shortest
    'aaaa'
    """
    # 1. Replies are validated with RE2, so refuse what it does not support.
    try:
        compile_untrusted(source)
    except BadInput as error:
        raise Unsupported(error.message.rstrip(".")) from None
    # 2. Let CPython parse the expression; `getwidth` returns the shortest and longest match.
    try:
        items = list(sre_parser.parse(source))
        shortest, longest = sre_parser.parse(source).getwidth()
    except (re.error, OverflowError, RecursionError) as error:
        raise Unsupported(str(error)) from None
    # 3. Drop the anchors: the grammar always matches a whole string, which is a subset of what an
    # unanchored expression matches.
    if items and items[0] == (sre.AT, sre.AT_BEGINNING):
        items = items[1:]
    if items and items[-1][0] == sre.AT and items[-1][1] in (sre.AT_END, sre.AT_END_STRING):
        items = items[:-1]
    # 4. Apply minLength and maxLength, where the expression allows lengths outside them.
    if shortest < low or (high is not None and longest > high):
        items = _limit_length(items, low, high)
    return _sequence(items)


def _limit_length(items: list[Any], low: int, high: int | None) -> list[Any]:
    """Tighten the one repetition of a single character, so that every match fits the limits."""
    repeats = [n for n, (op, _) in enumerate(items) if op in (sre.MAX_REPEAT, sre.MIN_REPEAT)]
    single = {sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY}
    if len(repeats) != 1 or any(
        op not in single for n, (op, _) in enumerate(items) if n != repeats[0]
    ):
        raise Unsupported("the length of the pattern's matches cannot be limited")
    position = repeats[0]
    op, (least, most, inner) = items[position]
    if len(inner) != 1 or inner[0][0] not in single:
        raise Unsupported("the length of the pattern's matches cannot be limited")
    others = len(items) - 1  # one character each
    least = max(least, low - others)
    most = most if high is None else min(most, high - others)
    if most < least:
        raise Unsupported("no match of the pattern has an allowed length")
    return [*items[:position], (op, (least, most, inner)), *items[position + 1 :]]


def _sequence(items: Iterable[Any]) -> Node:
    return seq(*[_node(op, argument) for op, argument in items])


def _node(op: Any, argument: Any) -> Node:
    """One item of CPython's parse tree, which is a list of (op, argument)."""
    if op == sre.LITERAL:
        return _string_chars({argument})
    if op == sre.NOT_LITERAL:
        return _string_chars(_ASCII - {argument})
    if op == sre.ANY:
        return _string_chars(_ASCII)
    if op == sre.IN:
        return _string_chars(_char_class(argument))
    if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        low, high, inner = argument
        return Rep(_sequence(inner), low, None if high == sre.MAXREPEAT else high)
    if op == sre.BRANCH:
        return alt([_sequence(branch) for branch in argument[1]])
    if op == sre.SUBPATTERN and not argument[1] and not argument[2]:  # without inline flags
        return _sequence(argument[3])
    raise Unsupported(f"{str(op).lower()} is not supported")


def _char_class(items: Sequence[Any]) -> set[int]:
    """The code points of a class such as `[^a-f\\d]`."""
    codes: set[int] = set()
    negated = items[0][0] == sre.NEGATE
    for op, argument in items[1:] if negated else items:
        if op == sre.LITERAL:
            codes.add(argument)
        elif op == sre.RANGE:
            codes.update(range(argument[0], argument[1] + 1))
        elif op == sre.CATEGORY:
            codes.update(_category(argument, negated))
    # A complement keeps to ASCII: outside it, regex engines differ in what \w and \s match.
    return set(_ASCII - codes) if negated else codes


def _category(category: Any, negated: bool) -> set[int]:
    """The ASCII members of `\\d`, `\\w`, `\\s` or their opposites."""
    name = str(category).lower().removeprefix("category_")
    # Python's \s includes control characters that other engines do not: all of them are left out
    # of a complement, and only the common ones are generated.
    sources = {"digit": r"\d", "word": r"\w", "space": r"\s" if negated else r"[ \t\n\r]"}
    kind = name.removeprefix("not_")
    if kind not in sources:
        raise Unsupported(f"{name} is not supported")
    members = {code for code in range(0x7F) if re.match(sources[kind], chr(code))}
    return set(range(0x7F)) - members if name.startswith("not_") else members


def _string_chars(codes: Iterable[int]) -> Node:
    """One of the characters inside a JSON string, escaped where JSON requires it."""
    ordered = sorted(codes)
    escaped: list[Node] = [Lit(_ESCAPES[chr(c)]) for c in ordered if chr(c) in _ESCAPES]
    ranges: list[tuple[int, int]] = []
    for code in ordered:
        if code < 0x20 or chr(code) in _ESCAPES or 0xD800 <= code < 0xE000:
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    options: list[Node] = [Chars(tuple(ranges)), *escaped] if ranges else escaped
    if not options:
        raise Unsupported("a character class of the pattern is empty")
    return alt(options)
