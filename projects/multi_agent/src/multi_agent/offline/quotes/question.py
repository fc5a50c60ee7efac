"""What a question asks for: the kind of its answer, its terms, and candidates for it in a text.

    question = Question.of("How long is the warranty?")
    question.kind                                        # 'duration'
    question.candidates("2 years from delivery")         # [(0, 7)]

The kinds are in `kinds.toml`. Which candidate is the answer is left to `quoter`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from multi_agent.documents.index import stems
from multi_agent.offline.quotes.words import DATA, content

SENTENCE = "sentence"  # the kind whose answer is a whole sentence or cell
_WH = r"\b(?:wh(?:at|en|ere|ich|o|om|ose|y)|how)\b"
_ASKS = re.compile(rf"{_WH}|\?$", re.IGNORECASE)
_YES_NO = re.compile(
    r"(?:is|are|was|were|do|does|did|can|could|will|may|must|should|has|have|am)\b", re.IGNORECASE
)
# Two questions, or one about "them" of another sentence; "how long does it take" is neither.
_UNCLEAR = re.compile(
    rf"{_WH}.*(?:,|\band) {_WH}|\?.*\?|\b(?:they|them|he|she|him|her)\b"
    r"|\b(?:for|of|in|on|to|with|by|at|from) (?:it|that|this|those|these)\b"
    r"|\b(?:do|does|did|is|are|was|has|can|will) it\b(?! (?:take|cost|possible|allowed))",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"\b(?:not?(?! (?:more|less|later|longer|earlier|older) than)|never|neither|nor|none|without"
    r"|except|excluding|excluded|unless|cannot|prohibited|forbidden|banned)\b|n't\b",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"\bhow many (?:more |full |of the )?([\w-]+(?: [\w-]+)?)", re.IGNORECASE)
_NAME = re.compile(r"(?<=[a-z,] )[A-Z]\w*")
_NEXT_WORDS = re.compile(r"(?:[ -][^\W\d_]+){1,3}")


@dataclass(frozen=True)
class Question:
    """A question about documents."""

    text: str
    kind: str
    """A name in `kinds.toml`, or SENTENCE."""
    terms: frozenset[str]
    """What the passage with the answer must contain."""
    unit: frozenset[str]
    """Terms of what is counted: of "days" in "how many days"."""

    @classmethod
    def of(cls, text: str) -> Question | None:
        """Read a question; None for an order, and one that is unclear, asks for yes or has "not".

        >>> Question.of("How many days of leave do I get?").kind
        'duration'
        >>> Question.of("Delete all orders.")
        """
        text = " ".join(text.split())
        asking = next(filter(_ASKS.search, reversed(re.split(r"(?<=[.?!])\s+", text))), "")
        unclear = _UNCLEAR.search(asking) or _NEGATION.search(text) or _YES_NO.match(asking)
        if not asking or unclear:
            return None
        kind = next((name for name, (asks, _) in kinds().items() if asks.search(asking)), SENTENCE)
        counted = _COUNTED.search(asking)
        unit = content(counted[1]) if counted else frozenset[str]()
        terms = content(text) - implied(kind) - (unit if kind != "count" else frozenset())
        return cls(asking, kind, terms, unit)

    @property
    def names(self) -> frozenset[str]:
        """The terms that are names or numbers."""
        return content(" ".join(_NAME.findall(self.text))) | {t for t in self.terms if t[0] < "a"}

    def matched(self, terms: frozenset[str]) -> frozenset[str]:
        """The question's terms that are among those of a text."""
        return self.terms & terms

    def candidates(self, text: str, header: str = "") -> list[tuple[int, int]]:
        """Start and end of all texts of the question's kind; none beside a "not".

        >>> question = Question.of("How many days do I have?")
        >>> question.candidates("Wait 5 minutes, within 14 days.")
        [(23, 30)]
        """
        if _NEGATION.search(text):
            return []
        if self.kind == SENTENCE:
            return [(0, len(text))]
        spans = [match.span() for match in kinds()[self.kind][1].finditer(text)]
        return [(a, b) for a, b in spans if self._fits(text[a:b], text[b:] or f" {header}")]

    def _fits(self, candidate: str, after: str) -> bool:
        """Whether a candidate is not the question's own, and in the unit that it asks for."""
        terms = content(candidate)
        if terms and terms <= self.terms:
            return False
        following = (_NEXT_WORDS.match(after) or [""])[0]
        # "4 beds are on this floor and 2 in the attic"
        is_bare = self.kind == "count" and not content(" ".join(following.split()[:1]))
        return not self.unit or is_bare or bool(self.unit & (terms | content(following)))


def implied(kind: str) -> frozenset[str]:
    """Terms that an answer of a kind makes superfluous: "cost" beside "€5"."""
    return frozenset(stems(DATA["kinds"].get(kind, {}).get("implied", "")))


@cache
def kinds() -> dict[str, tuple[re.Pattern[str], re.Pattern[str]]]:
    """How each kind is asked for, and how it looks."""

    def compiled(pattern: str) -> re.Pattern[str]:
        while re.search(r"\{[a-z]", pattern):
            pattern = re.sub(r"\{([a-z]+)\}", lambda match: DATA["parts"][match[1]], pattern)
        return re.compile(pattern, re.IGNORECASE)

    return {n: (compiled(k["asks"]), compiled(k["shows"])) for n, k in DATA["kinds"].items()}
