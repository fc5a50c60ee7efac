"""Small grammars: written out for OpenVINO's constrained decoding, and able to finish a text.

A grammar is a finite tree of `Node`s (shared parts are allowed, cycles are not). It knows no JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

TOP = 0x10FFFF
# Each counted round costs the compiler of constrained decoding up to 27 ms, so large counts are
# left open in the EBNF; `Matcher` still counts them.
COUNTED_LOW = 32
COUNTED_HIGH = 16


MOST_SHORTEST = 100_000
MOST_STATES = 500  # of a match: an ambiguous grammar has ever more, of which the first do


class TooLong(ValueError):
    """No text of a length that anybody could wait for matches."""


@dataclass(frozen=True, eq=False)
class Node:
    """A part of a grammar; `shortest` is the shortest text that it matches."""

    @cached_property
    def shortest(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Lit(Node):
    text: str

    @cached_property
    def shortest(self) -> str:
        return self.text


@dataclass(frozen=True, eq=False)
class Chars(Node):
    """One character out of inclusive ranges of code points."""

    ranges: tuple[tuple[int, int], ...]

    @cached_property
    def shortest(self) -> str:
        letter = ord("a")
        return "a" if self.has(letter) else chr(self.ranges[0][0])

    def has(self, code: int) -> bool:
        return any(low <= code <= high for low, high in self.ranges)


@dataclass(frozen=True, eq=False)
class Seq(Node):
    parts: tuple[Node, ...]

    @cached_property
    def shortest(self) -> str:
        return "".join(part.shortest for part in self.parts)


@dataclass(frozen=True, eq=False)
class Alt(Node):
    options: tuple[Node, ...]

    @cached_property
    def shortest(self) -> str:
        return min((option.shortest for option in self.options), key=len)


@dataclass(frozen=True, eq=False)
class Rep(Node):
    """`part` between `low` and `high` times (None: without a limit)."""

    part: Node
    low: int = 0
    high: int | None = None

    @cached_property
    def shortest(self) -> str:
        if len(self.part.shortest) * self.low > MOST_SHORTEST:
            raise TooLong(f"its shortest text has over {MOST_SHORTEST:,} characters")
        return self.part.shortest * self.low


def seq(*parts: Node | str) -> Node:
    nodes = tuple(Lit(part) if isinstance(part, str) else part for part in parts)
    return nodes[0] if len(nodes) == 1 else Seq(nodes)


def alt(options: Sequence[Node]) -> Node:
    return options[0] if len(options) == 1 else Alt(tuple(options))


def optional(*parts: Node | str) -> Node:
    return Rep(seq(*parts), 0, 1)


def one_of(texts: Sequence[str]) -> Node:
    """One of the texts, with what they begin with in common written once.

    The compiler of constrained decoding takes minutes for a thousand that stand side by side.
    """
    beginnings: dict[str, list[str]] = {}
    for text in dict.fromkeys(texts):
        beginnings.setdefault(text[:1], []).append(text)
    return alt([_beginning(together) for together in beginnings.values()])


def _beginning(texts: Sequence[str]) -> Node:
    """One of texts that have their first character in common (or of one alone)."""
    if len(texts) == 1:
        return Lit(texts[0])
    low, high = min(texts), max(texts)
    common = next((n for n, c in enumerate(low) if c != high[n]), len(low))
    return seq(low[:common], one_of([text[common:] for text in texts]))


# A state of a match: what remains to be matched, as a linked list of (node, times, rest), where
# `times` counts the characters of a Lit or the rounds of a Rep that are done.
State = Any


@dataclass(frozen=True)
class Grammar:
    root: Node

    def ebnf(self) -> str:
        """In the form that xgrammar reads, with large counts left open.

        Every Alt, Seq and Rep becomes a rule, so that what is shared is written once.
        """
        rules: dict[Node, tuple[str, str]] = {}
        root = _expression(self.root, rules)
        lines = [f"{name} ::= {body}" for name, body in rules.values()]
        return "\n".join([f"root ::= {root}", *lines])

    def matches(self, text: str) -> bool:
        matcher = Matcher(self)
        return matcher.feed(text) == text and matcher.rest() == ""


class Matcher:
    """Reads a text piece by piece, as far as it follows the grammar, and knows how it may end."""

    def __init__(self, grammar: Grammar) -> None:
        self._states: set[State] = {(grammar.root, 0, None)}
        self.broken = False

    def feed(self, text: str) -> str:
        """The part of `text` that still follows; after less than all of it, `broken` is set."""
        for position, char in enumerate(text):
            states = {s for state in self._states for s in _advance(state, ord(char))}
            if self.broken or not states:
                self.broken = True
                return text[:position]
            if len(states) > MOST_STATES:
                states = set(islice(states, MOST_STATES))
            self._states = states
        return text

    def rest(self) -> str:
        """The shortest text that makes what was read complete; "" when it is already."""
        return min((_rest(state) for state in self._states), key=len)

    def remaining(self) -> Grammar:
        """A grammar of everything that may still follow."""
        options = []
        for state in self._states:
            parts = []
            while state is not None:
                node, times, state = state
                parts.append(_remainder(node, times))
            options.append(seq(*parts) if parts else Lit(""))
        return Grammar(alt(options))


def _remainder(node: Node, times: int) -> Node:
    if isinstance(node, Lit):
        return Lit(node.text[times:])
    if isinstance(node, Rep) and times:
        high = None if node.high is None else node.high - times
        return Rep(node.part, max(0, node.low - times), high)
    return node


def _advance(state: State, code: int) -> Iterator[State]:
    """The states after one more character."""
    stack = [state]
    entered: set[State] = set()  # repetitions of what may be empty: an empty round leads nowhere
    while stack:
        current = stack.pop()
        if current is None:
            continue  # matched to the end, but there is more text
        node, times, rest = current
        if isinstance(node, Chars):
            if node.has(code):
                yield rest
        elif isinstance(node, Lit):
            if times == len(node.text):
                stack.append(rest)
            elif ord(node.text[times]) == code:
                yield (node, times + 1, rest) if times + 1 < len(node.text) else rest
        elif isinstance(node, Seq):
            for part in reversed(node.parts):
                rest = (part, 0, rest)
            stack.append(rest)
        elif isinstance(node, Alt):
            stack += [(option, 0, rest) for option in node.options]
        elif isinstance(node, Rep):
            if not node.part.shortest:
                if (node, rest) in entered:
                    continue
                entered.add((node, rest))
            if times >= node.low or not node.part.shortest:
                stack.append(rest)
            if node.high is None or times < node.high:
                done = min(times + 1, node.low) if node.high is None else times + 1
                stack.append((node.part, 0, (node, done, rest)))


def _rest(state: State) -> str:
    parts = []
    while state is not None:
        node, times, state = state
        if isinstance(node, Lit):
            parts.append(node.text[times:])
        elif isinstance(node, Rep):
            parts.append(node.part.shortest * max(0, node.low - times))
        else:
            parts.append(node.shortest)
    return "".join(parts)


def _expression(node: Node, rules: dict[Node, tuple[str, str]]) -> str:
    if isinstance(node, Lit):
        return '"' + "".join(_escaped(ord(c)) for c in node.text) + '"'
    if isinstance(node, Chars):
        return "[" + "".join(f"{_escaped(a)}-{_escaped(b)}" for a, b in node.ranges) + "]"
    if node not in rules:
        name = f"r{len(rules)}"
        rules[node] = (name, "")
        rules[node] = (name, _body(node, rules))
    return rules[node][0]


def _body(node: Node, rules: dict[Node, tuple[str, str]]) -> str:
    if isinstance(node, Seq):
        return " ".join(_expression(part, rules) for part in node.parts) or '""'
    if isinstance(node, Alt):
        return " | ".join(_expression(option, rules) for option in node.options)
    assert isinstance(node, Rep)
    part, low = _expression(node.part, rules), min(node.low, COUNTED_LOW)
    high = node.high if node.high is not None and node.high <= COUNTED_HIGH else None
    if (low, high) in ((0, None), (1, None), (0, 1)):
        return part + {(0, None): "*", (1, None): "+", (0, 1): "?"}[low, high]
    return f"{part}{{{low},{'' if high is None else high}}}"


def _escaped(code: int) -> str:
    if (chr(code).isascii() and chr(code).isalnum()) or chr(code) in " ,:{}.+":
        return chr(code)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
