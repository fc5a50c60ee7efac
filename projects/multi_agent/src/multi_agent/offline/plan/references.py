"""Finds what a calculation takes from elsewhere: "half of that", "15 % of the fines of 2024".

>>> next(calculations("What is 15 % of that amount?", EARLIER))
('that amount', 'What is 15 % of {}?')
>>> next(calculations("What is 15 % of the total fines collected in 2024?", OPERAND))
('the total fines collected in 2024', 'What is 15 % of {}?')
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from multi_agent.offline.arithmetic import looks_like_arithmetic

SOME_NUMBER = "100"
"""In the place of an answer that does not exist yet."""
EARLIER = re.compile(r"\b(?:that|this|it|them|those|these|the (?:result|answer))\b", re.IGNORECASE)
"""How a reference to the answer of the question before begins."""
OPERAND = re.compile(r"\b(?:the|our|all|average|total)\b(?= )", re.IGNORECASE)
"""How an operand begins that is a question of its own."""
_WORD_END = re.compile(r"(?<=\w)(?=\W|$)")


def calculations(text: str, beginning: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """Phrases, the longest first, with the calculation that is left, with `{}` in their place.

    >>> list(calculations("Is it open on Sunday?", EARLIER))
    []
    """
    spans = [
        (start.start(), end.start())
        for start in beginning.finditer(text)
        for end in _WORD_END.finditer(text, start.end())
    ]
    for start, end in sorted(spans, key=lambda span: span[0] - span[1]):
        before, after = text[:start], text[end:]
        if looks_like_arithmetic(f"{before}{SOME_NUMBER}{after}") > 0.5:
            yield text[start:end], f"{before}{{}}{after}"
