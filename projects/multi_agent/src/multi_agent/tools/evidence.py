"""What a text may claim: quotes that are in their passage, numbers that its sources have.

>>> foreign_numbers("We had 1,204 orders and seven returns.", "1204 orders")
['7']
"""

from __future__ import annotations

import re
from fractions import Fraction

from multi_agent.tools.exact import number_text, numbers_of

_FACTORS = frozenset(map(Fraction, (1, 2, 4, 7, 12, 24, 52, 60, 100, 365, 1000)))
"""Numbers that any expression may contain: percent, days of a week, months of a year …"""
_NUMBER = re.compile(r"(?<![A-Za-z_\d])\d[\d,]*(?:\.\d+)?")  # not the 1 in "s1"


def contains(text: str, quote: str) -> bool:
    """Whether a text contains a quote verbatim, but for white space, case and Markdown's marks.

    >>> contains("Returns are free within  **30 days**.", "within 30 days")
    True
    """
    words = plain(quote)
    return len(words) > 3 and words in plain(text)


def plain(text: str) -> str:
    """The words alone.

    >>> plain("**30**  days")
    '30 days'
    """
    return " ".join(re.sub(r"[*_`]", "", text).replace("|", " ").lower().split())


def numbers_in(text: str, *, least_word: int = 0) -> dict[Fraction, str]:
    """The numbers with their spelling; words count from `least_word` on ("one" is often no count).

    >>> list(numbers_in("The deposit is twenty euros, due in 1,5 days or 14.5."))
    [Fraction(20, 1), Fraction(15, 1), Fraction(29, 2)]
    """
    from text_to_num import alpha2digit

    digits = alpha2digit(text, "en", threshold=least_word)
    spelled = [match.rstrip(",") for match in _NUMBER.findall(digits)]
    return {Fraction(number.replace(",", "")): number for number in spelled}


def foreign_numbers(text: str, facts: str) -> list[str]:
    """The numbers of a text that are not in `facts`, as the text spells them."""
    known = numbers_in(facts)
    return [
        spelled for number, spelled in numbers_in(text, least_word=4).items() if number not in known
    ]


def strange_numbers(expression: str, task: str) -> str:
    """The numbers of an expression that its task does not have, but for common factors.

    >>> strange_numbers("279 * (1 - 20 / 100)", "279 euros, less 20 percent")
    ''
    >>> strange_numbers("7 * 3", "What is 7 times x?")
    '3'
    """
    known = numbers_in(task).keys() | _FACTORS
    return ", ".join(number_text(number) for number in sorted(numbers_of(expression) - known))
