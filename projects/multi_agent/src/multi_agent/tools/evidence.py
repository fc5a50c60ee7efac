"""Checks what a text claims: quotes against their passage, numbers against its sources.

>>> foreign_numbers("We had 1,204 orders and seven returns.", "1204 orders")
['7']
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from multi_agent.runs.state import Result
from multi_agent.tools.exact import number_text, numbers_of

_FACTORS = frozenset(map(Fraction, (1, 2, 4, 7, 12, 24, 52, 60, 100, 365, 1000)))
"""Numbers that any expression may contain: percent, days of a week, months of a year …"""
_NUMBER = re.compile(r"(?<![A-Za-z_\d])\d[\d,]*(?:\.\d+)?")  # not the 1 in "s1"
_LINK = re.compile(r"\w+://\S+|\bwww\.\S+|\b[\w-]+(?:\.[a-z]{2,})+\b", re.IGNORECASE)
_NEGATION = re.compile(
    r"\b(?:no|not|never|none|nor|neither|nothing|without|cannot|except|unless|only|but|until|if"
    r"|nicht|nie|kein\w*|ohne|außer|nur|pas|sans|jamais)\b|\w+n['’]t\b",
    re.IGNORECASE,
)


def facts_of(task: str, results: Mapping[str, Result]) -> str:
    """What a text about results may repeat: the task, the results, and how they were understood."""
    return " ".join([task, *(f"{one.reading} {one.answer}" for one in results.values())])


def contains(text: str, quote: str) -> bool:
    """Whether a text contains a quote verbatim, but for white space, case and Markdown's marks."""
    words = plain(quote)
    return len(words) > 3 and words in plain(text)


def is_span(answer: str, quote: str) -> bool:
    """Whether an answer is a part of its quote that leaves no negation or condition out.

    For a statement, those of its sentence count; for a value, those beside it.

    >>> is_span("10 days", "An order that has not been paid within 10 days is cancelled.")
    True
    >>> is_span("follows redirects", "HTTPX follows redirects only if asked.")
    False
    """
    words, whole = plain(answer).strip(" ."), plain(quote)
    match = re.search(rf"(?<!\w){re.escape(words)}(?!\w)", whole) if words else None
    if match is None:
        return False
    before = re.split(r"[.!?:]\s", whole[: match.start()])[-1]  # the rest of the sentence
    after = re.split(r"[.!?](?:\s|$)", whole[match.end() :])[0]
    if re.search(r"\d", words):
        before, after = " ".join(before.split()[-2:]), " ".join(after.split()[:1])
    return not negations(f"{before} {after}")


def negations(text: str) -> list[str]:
    return [word.lower() for word in _NEGATION.findall(text)]


def links(text: str) -> set[str]:
    return {link.lower().rstrip(".,;)") for link in _LINK.findall(text)}


def plain(text: str) -> str:
    """The words alone, without Markdown's marks."""
    return " ".join(re.sub(r"[*_`]", "", text).replace("|", " ").lower().split())


def numbers_in(text: str, *, least_word: int = 0) -> dict[Fraction, str]:
    """Numbers as spelled. Isolated words below `least_word`, such as "one", are skipped."""
    from text_to_num import alpha2digit

    digits = alpha2digit(text, "en", threshold=least_word)
    spelled = [match.rstrip(",") for match in _NUMBER.findall(digits)]
    return {Fraction(number.replace(",", "")): number for number in spelled}


def foreign_numbers(text: str, facts: str) -> list[str]:
    """The numbers of a text that are not in `facts`, as the text spells them."""
    allowed = numbers_in(facts)
    numbers = numbers_in(text, least_word=4)
    return [spelled for number, spelled in numbers.items() if number not in allowed]


def strange_numbers(expression: str, task: str) -> str:
    """The numbers of an expression that its task does not contain, except common factors.

    A percentage may be written as a share, added to 1 or taken from it.

    >>> strange_numbers("279 * 0.8", "279 euros, less 20 percent")
    ''
    >>> strange_numbers("7 * 3", "What is 7 times x?")
    '3'
    """
    numbers = numbers_in(task).keys()
    shares = {number / 100 for number in numbers}
    allowed = numbers | _FACTORS | shares | {1 + x for x in shares} | {1 - x for x in shares}
    return ", ".join(number_text(number) for number in sorted(numbers_of(expression) - allowed))
