"""Finite grammars: written as EBNF for OpenVINO, and matched here character by character.

    word = Grammar(seq('"', Rep(Chars(((0x61, 0x7A),)), 1, 3), '"'))
    word.ebnf                # for `Sampling(grammar=…)`: constrains what the model generates
    matcher = Matcher(word)
    matcher.feed('"ab')      # the part of the text that follows the grammar: '"ab'
    matcher.rest()           # the shortest completion: '"'

A grammar is a tree of `Node`s. Nodes may be shared, but cycles are not allowed, so every grammar
has a shortest text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

MAX_CODE_POINT = sys.maxunicode
# XGrammar spends up to 27 ms on each counted round when it compiles a repetition. Counts above
# these limits are therefore relaxed in the EBNF; `Matcher` still enforces them exactly.
EBNF_MAX_LOW = 32
EBNF_MAX_HIGH = 16

MAX_SHORTEST = 100_000  # characters, several times a context window of 8,192 tokens
_TOO_LONG = f"its shortest text has over {MAX_SHORTEST:,} characters"
# Parallel states of one match. An ambiguous grammar such as `(a*)*` keeps adding states; the first
# ones suffice to accept its texts.
MAX_STATES = 500


class Unsupported(ValueError):
    """A schema, or a part of it, that cannot be guaranteed; the message gives the reason.

    Where a schema has alternatives, the others may still compile.
    """


@dataclass(frozen=True, eq=False)
class Node:
    """A part of a grammar. Compared by identity, so that shared parts become one EBNF rule.

    `shortest` is the shortest text that it matches.
    """

    @cached_property
    def shortest(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Lit(Node):
    """A literal text."""

    text: str

    @cached_property
    def shortest(self) -> str:
        return self.text


@dataclass(frozen=True, eq=False)
class Chars(Node):
    """One character from a set of inclusive code point ranges."""

    ranges: tuple[tuple[int, int], ...]

    @cached_property
    def shortest(self) -> str:
        return "a" if self.has(ord("a")) else chr(self.ranges[0][0])

    def has(self, code: int) -> bool:
        """Whether the code point is in one of the ranges."""
        return any(low <= code <= high for low, high in self.ranges)


@dataclass(frozen=True, eq=False)
class Seq(Node):
    """All parts, one after the other."""

    parts: tuple[Node, ...]

    @cached_property
    def shortest(self) -> str:
        text = "".join(part.shortest for part in self.parts)
        if len(text) > MAX_SHORTEST:  # shared parts multiply: a billion laughs
            raise Unsupported(_TOO_LONG)
        return text


@dataclass(frozen=True, eq=False)
class Alt(Node):
    """Exactly one of the options."""

    options: tuple[Node, ...]

    @cached_property
    def shortest(self) -> str:
        return min((option.shortest for option in self.options), key=len)


@dataclass(frozen=True, eq=False)
class Rep(Node):
    """`part` repeated `low` to `high` times; `high=None` means without limit."""

    part: Node
    low: int = 0
    high: int | None = None

    @cached_property
    def shortest(self) -> str:
        if len(self.part.shortest) * self.low > MAX_SHORTEST:
            raise Unsupported(_TOO_LONG)
        return self.part.shortest * self.low


def seq(*parts: Node | str) -> Node:
    """The parts in order; strings become literals."""
    nodes = tuple(Lit(part) if isinstance(part, str) else part for part in parts)
    return nodes[0] if len(nodes) == 1 else Seq(nodes)


def alt(options: Sequence[Node]) -> Node:
    return options[0] if len(options) == 1 else Alt(tuple(options))


def optional(*parts: Node | str) -> Node:
    return Rep(seq(*parts), 0, 1)


# A state of a match: what remains to be matched, as a linked list (node, progress, next state).
# `progress` counts the matched characters of a Lit or the completed rounds of a Rep; None is the
# end of the grammar. Tuples, since the set of states must be hashable and cheap to extend.
State = Any


@dataclass(frozen=True)
class Grammar:
    root: Node

    @cached_property
    def ebnf(self) -> str:
        """The grammar in XGrammar's EBNF, with large counts relaxed (see EBNF_MAX_LOW).

        Every Alt, Seq and Rep becomes one rule, so a shared node is written once.

        >>> print(Grammar(seq("a", Rep(Lit("b"), 0, 2))).ebnf)
        root ::= r0
        r0 ::= "a" r1
        r1 ::= "b"{0,2}
        """
        rules: dict[Node, tuple[str, str]] = {}
        root = _ebnf_term(self.root, rules)
        lines = [f"{name} ::= {body}" for name, body in rules.values()]
        return "\n".join([f"root ::= {root}", *lines])

    def matches(self, text: str) -> bool:
        """Whether the whole text follows the grammar, large counts included."""
        matcher = Matcher(self)
        return matcher.feed(text) == text and matcher.rest() == ""

    def complete(self, text: str) -> str:
        """The part of `text` that follows the grammar, with the shortest completion."""
        matcher = Matcher(self)
        return matcher.feed(text) + matcher.rest()


class Matcher:
    """Follows a grammar through a text that arrives in pieces, and can complete it.

    >>> matcher = Matcher(Grammar(seq("[", Rep(Lit("1"), 1, 2), "]")))
    >>> matcher.feed("[1"), matcher.rest()
    ('[1', ']')
    >>> matcher.feed("1x"), matcher.broken
    ('1', True)
    """

    def __init__(self, grammar: Grammar) -> None:
        self._states: set[State] = {(grammar.root, 0, None)}
        self.broken = False
        """True after a character that the grammar does not allow; `feed` then accepts nothing."""

    def feed(self, text: str) -> str:
        """The longest prefix of `text` that follows the grammar; sets `broken` if that is not all
        of it."""
        for position, char in enumerate(text):
            states = {after for state in self._states for after in _advance(state, ord(char))}
            if self.broken or not states:
                self.broken = True
                return text[:position]
            if len(states) > MAX_STATES:
                states = set(islice(states, MAX_STATES))
            self._states = states
        return text

    def rest(self) -> str:
        """The shortest text that completes what was fed; "" if it is complete."""
        rests = ("".join(part.shortest for part in _remaining(state)) for state in self._states)
        return min(rests, key=len)

    def remaining(self) -> Grammar:
        """The grammar of all texts that may follow what was fed."""
        return Grammar(alt([seq(*_remaining(state)) for state in self._states]))


def _remaining(state: State) -> Iterator[Node]:
    """What remains to be matched, in order."""
    while state is not None:
        node, progress, state = state
        if isinstance(node, Lit):
            node = Lit(node.text[progress:])
        elif isinstance(node, Rep) and progress:
            high = None if node.high is None else node.high - progress
            node = Rep(node.part, max(0, node.low - progress), high)
        yield node


def _advance(state: State, code: int) -> Iterator[State]:
    """The states that one more character leads to; none if it is not allowed here.

    Composite nodes are expanded on a stack until a Lit or Chars consumes the character.
    """
    stack = [state]
    visited: set[State] = set()  # repetitions of a part that may be empty would expand forever
    while stack:
        current = stack.pop()
        if current is None:
            continue  # the grammar ends here, but there is one more character
        node, progress, rest = current
        if isinstance(node, Chars):
            if node.has(code):
                yield rest
        elif isinstance(node, Lit):
            if progress == len(node.text):  # the empty literal
                stack.append(rest)
            elif ord(node.text[progress]) == code:
                yield (node, progress + 1, rest) if progress + 1 < len(node.text) else rest
        elif isinstance(node, Seq):
            for part in reversed(node.parts):
                rest = (part, 0, rest)
            stack.append(rest)
        elif isinstance(node, Alt):
            stack += [(option, 0, rest) for option in node.options]
        elif isinstance(node, Rep):
            may_be_empty = not node.part.shortest
            if may_be_empty:
                if (node, rest) in visited:
                    continue
                visited.add((node, rest))
            # 1. Leave the repetition, if there were enough rounds (empty ones count) …
            if progress >= node.low or may_be_empty:
                stack.append(rest)
            # 2. … or enter one more round. Without an upper limit, rounds after `low` are not
            # counted: the states of a long text would all be different.
            if node.high is None or progress < node.high:
                rounds = min(progress + 1, node.low) if node.high is None else progress + 1
                stack.append((node.part, 0, (node, rounds, rest)))


def _ebnf_term(node: Node, rules: dict[Node, tuple[str, str]]) -> str:
    """The node as it appears inside a rule: a literal, a character class or a rule's name."""
    if isinstance(node, Lit):
        return '"' + "".join(_ebnf_char(ord(char)) for char in node.text) + '"'
    if isinstance(node, Chars):
        ranges = (f"{_ebnf_char(low)}-{_ebnf_char(high)}" for low, high in node.ranges)
        return "[" + "".join(ranges) + "]"
    if node not in rules:
        name = f"r{len(rules)}"
        rules[node] = (name, "")  # reserves the name before the parts take theirs
        rules[node] = (name, _ebnf_rule(node, rules))
    return rules[node][0]


def _ebnf_rule(node: Node, rules: dict[Node, tuple[str, str]]) -> str:
    if isinstance(node, Seq):
        return " ".join(_ebnf_term(part, rules) for part in node.parts) or '""'
    if isinstance(node, Alt):
        return " | ".join(_ebnf_term(option, rules) for option in node.options)
    assert isinstance(node, Rep)
    part, low = _ebnf_term(node.part, rules), min(node.low, EBNF_MAX_LOW)
    high = node.high if node.high is not None and node.high <= EBNF_MAX_HIGH else None
    if (low, high) in ((0, None), (1, None), (0, 1)):
        return part + {(0, None): "*", (1, None): "+", (0, 1): "?"}[low, high]
    return f"{part}{{{low},{'' if high is None else high}}}"


def _ebnf_char(code: int) -> str:
    if (chr(code).isascii() and chr(code).isalnum()) or chr(code) in " ,:{}.+":
        return chr(code)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
