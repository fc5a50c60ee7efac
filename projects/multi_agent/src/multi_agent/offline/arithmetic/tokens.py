"""A task as words and terms: its numbers, amounts and shares are found here.

tokens = tokenize("What is 15% of two thousand?", {"what", "is", "of", "."})
tokens.text                        # 'what is P0 of N1 . '
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field

from multi_agent.brain import Refusal
from multi_agent.offline import english
from multi_agent.offline.arithmetic.terms import PART, PERCENT, Term
from multi_agent.offline.english import CURRENCIES, Token, unit_of

_SIGNS = "+*/^().?:!-"
_WORDS = {"+": "plus", "-": "minus", "*": "times", "/": "over", "^": "power", "%": "percent"}
_WORDS |= {"(": "open", ")": "close", ":": ",", **dict.fromkeys("?!;", ".")}
_SPELLINGS = {
    r"[−–—]": "-",
    r"[×·]|(?<=\d) ?x (?=\d)|\*": " * ",
    r"÷|\bdivided by\b": " / ",
    r"\bmultiplied by\b": " times ",
    r"\bto the power of\b": " ^ ",
    r"\bone (?=[a-z]+ (?:costs|weighs)\b)": "each ",
    r"(?<=[a-z\d%])-(?=[a-z])": " ",
}
_PARTS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4}
_ORDINAL = re.compile(r"(\d+)(?:rd|th)s?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SCALE = re.compile(r"1(?:000)+")
_UNCLEAR = re.compile(r"\d,\d{1,2}(?!\d)")  # 12,5 may be a decimal or two numbers
_NOUNS = re.compile(r"(N\d+) ((?:_\S+ )?_\S*[^\Ws]s|_people|_children) ")
"""A count with one or two nouns: 240 employees."""
_YEAR = re.compile(r"(?:19|20)\d\d")


@dataclass
class Tokens:
    """Words, each followed by a space; names of terms are capitals: "N0", "M1"."""

    text: str = ""
    terms: dict[str, Term] = field(default_factory=dict)

    def add(self, term: Term) -> str:
        """The name of a new term, with a space."""
        name = f"{term.kind}{len(self.terms)}"
        self.terms[name] = term
        return f"{name} "


def tokenize(task: str, vocabulary: Container[str]) -> Tokens:
    """Words that are not in the vocabulary are marked with "_". Raises Refusal.

    >>> tokenize("What is 15% of 240 employees?", {"what", "is", "of", "."}).text
    'what is P0 of G2 . '
    """
    from text_to_num import alpha2digit

    if unclear := _UNCLEAR.search(task):
        raise Refusal(f"Not understood: {unclear[0]!r}.")
    text = task.lower()
    for old, new in _SPELLINGS.items():
        text = re.sub(old, new, text)
    words = english.tokenize(str(alpha2digit(text, "en", threshold=0)), _SIGNS)
    tokens, at = Tokens(), 0
    while at < len(words):
        at += _read_term(words[at:], tokens) or _read_word(words[at], tokens, vocabulary)
    # Names of things after a number, but not after a year: "the sales of 2024".
    for match in _NOUNS.finditer(tokens.text):
        number = tokens.terms[match[1]].text
        if not _YEAR.fullmatch(number):
            name = tokens.add(Term(number, match[2].replace("_", "")))
            tokens.text = tokens.text.replace(match[0], name, 1)
    return tokens


def _read_word(word: Token, tokens: Tokens, vocabulary: Container[str]) -> int:
    text = _WORDS.get(word.text, word.text)
    tokens.text += f"{text} " if text in vocabulary else f"_{text} "
    return 1


def _read_term(words: list[Token], tokens: Tokens) -> int:
    """The number of words of the share or amount that the words begin with."""
    texts = [word.text.replace(",", "") or "," for word in words[:4]] + [""] * 4
    first, second = "a" if texts[0] == "an" else texts[0], texts[1]
    # 1. A share: "half", "a third", "3 quarters"
    is_top = first == "a" or first.isdigit()
    part = second if is_top else first
    ordinal = _ORDINAL.fullmatch(part) if is_top else None
    if part in _PARTS or ordinal:
        top = first if first.isdigit() else "1"
        tokens.text += tokens.add(
            Term(f"({top} / {ordinal[1] if ordinal else _PARTS[part]})", PART)
        )
        return 1 + is_top
    # 2. An amount: its currency is before or after the number, its unit after it
    symbol = CURRENCIES.get(first, "")
    at = int(bool(symbol))
    if not _NUMBER.fullmatch(number := texts[at]):
        return 0
    at += 1
    if _SCALE.fullmatch(texts[at]):
        number, at = f"({number} * {texts[at]})", at + 1
    after = texts[at]
    unit = CURRENCIES.get(after) or (after if unit_of(after) else "")
    if after in ("%", "percent"):
        unit = "" if texts[at + 1].startswith("point") else PERCENT
    if symbol and unit:
        raise Refusal(f"Not understood: {symbol} {number} {after}.")
    tokens.text += tokens.add(Term(number, unit or symbol))
    return at + bool(unit)
