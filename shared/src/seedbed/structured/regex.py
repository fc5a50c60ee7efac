"""Regular expressions as grammars of the inside of a JSON string.

    compile_pattern(r"^[A-Z]{2}-\\d+$")    # a `Node` that matches `AB-7`

A grammar matches a subset of what the expression matches, never more: it matches a whole string,
and character classes keep to ASCII, as engines differ in what \\w and \\s match outside it.
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

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
PLAIN = Chars(((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0xA0, 0xD7FF), (0xE000, MAX_CODE_POINT)))
"""A character that a JSON string contains unescaped: not a quote, backslash, control character or
surrogate."""
CHARACTER = Alt((PLAIN, seq("\\", Chars(tuple((ord(c), ord(c)) for c in '"\\nt')))))
"""Any one character of a JSON string, escaped where JSON requires it."""
_ASCII = frozenset(range(0x20, 0x7F))


def compile_pattern(source: str) -> Node:
    """The grammar of a regular expression inside a JSON string.

    Raises Unsupported for flags and what RE2 lacks (look-around, back-references, over 1,000
    repetitions).

    >>> compile_pattern(r"^\\d{3}-[a-z]+$").shortest
    '000-a'
    """
    # 1. Replies are validated with RE2, so refuse what it does not support.
    try:
        compile_untrusted(source)
        items = list(sre_parser.parse(source))
    except BadInput as error:
        raise Unsupported(error.message.rstrip(".")) from None
    except (re.error, OverflowError, RecursionError) as error:
        raise Unsupported(str(error)) from None
    # 2. Drop the anchors: the grammar always matches a whole string.
    if items and items[0] == (sre.AT, sre.AT_BEGINNING):
        items = items[1:]
    if items and items[-1][0] == sre.AT and items[-1][1] in (sre.AT_END, sre.AT_END_STRING):
        items = items[:-1]
    return _sequence(items)


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
        elif op == sre.CATEGORY:  # CATEGORY_DIGIT, CATEGORY_NOT_DIGIT …
            name = str(argument).lower().removeprefix("category_")
            letter = name.removeprefix("not_")[0]
            pattern = re.compile("\\" + (letter.upper() if name.startswith("not_") else letter))
            codes.update(code for code in range(0x7F) if pattern.match(chr(code)))
    return set(_ASCII - codes) if negated else codes


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
