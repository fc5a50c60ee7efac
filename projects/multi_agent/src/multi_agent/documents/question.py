"""What a question asks for: the kinds of its answer, its terms, and candidates for it in a text.

    Question.of("How long is the warranty?").kinds      # ('duration', …)
    Question.of("How long is it?").matches("2 years from delivery")   # [(0, 7, 1.0)]

The patterns are in `answers.toml`. Which candidate is the answer is left to `span`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from multi_agent.documents.words import term, tokens, weights

_YES_NO = re.compile(
    r"(?:is|are|was|do|does|did|can|could|will|would|may|must|should|shall|has|have|am)\b", re.I
)
_WHOLE = re.compile(r"\b(?:why|how (?:do|can|should|to|is|are|does)|what happens|what if)\b", re.I)
_UNIT = re.compile(r"\bhow many (?:of the |full |more )?((?:[a-z-]+ )?[a-z-]+)", re.I)


@dataclass(frozen=True)
class Question:
    """A question about documents."""

    text: str
    kinds: tuple[str, ...]
    """Names in `answers.toml`, the likeliest first; else "yes", "sentence" or "phrase"."""
    weights: dict[str, float]
    """The terms that the answer must be about."""
    units: frozenset[str]
    """Terms of what is counted: of "days" in "how many days"."""

    @classmethod
    def of(cls, text: str) -> Question:
        """Read a question.

        >>> Question.of("How many days of leave do I get?").kinds[0]
        'duration'
        """
        text = " ".join(text.split())
        kinds = [name for name, (asks, _) in _kinds().items() if asks.search(text)]
        if _YES_NO.match(text) and " or " not in text:
            kinds = ["yes"]
        elif not kinds or _WHOLE.search(text):
            kinds += ["sentence" if _WHOLE.search(text) else "phrase"]
        match = _UNIT.search(text)
        units = frozenset(token.term for token in tokens(match[1])) if match else frozenset()
        return cls(text, tuple(kinds), weights(text), units)

    def matches(self, text: str) -> list[tuple[int, int, float]]:
        """Start, end and quality (0 to 1) of all candidates of the question's kinds in a text."""
        return [
            (match.start(), match.end(), self._quality(text, match, name) - 0.1 * rank)
            for rank, name in enumerate(self.kinds)
            if name in _kinds()
            for match in _kinds()[name][1].finditer(text)
            if match[0].strip()
        ]

    def _quality(self, text: str, match: re.Match[str], name: str) -> float:
        """Lower for a number that counts something else than what the question asks for."""
        if not self.units or name == "money":
            return 1.0
        following = tokens(text[match.start() : match.end() + 40])
        near = {token.term for token in following[: len(tokens(match[0])) + 2]}
        if near & self.units:
            return 1.0
        return 0.3 if name == "number" and re.match(r"\s?[a-z]{3}", text[match.end() :]) else 0.6


@cache
def _kinds() -> dict[str, tuple[re.Pattern[str], re.Pattern[str]]]:
    """(how it is asked for, how it looks) by kind."""
    text = resources.files(__package__).joinpath("answers.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    number = rf"(?:{data['numbers']['digits']}|\b{data['numbers']['word']}\b)"
    months = "january february march april may june july august september october november december"
    parts = {
        **data["units"],
        "n": rf"{number}(?:(?:\s?[-–]\s?|\s(?:to|and|or)\s){number})?",
        "month": rf"(?:{'|'.join(months.split())}|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.?",
    }

    def compiled(pattern: str) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{([a-z]+)\}", lambda m: parts[m[1]], pattern), re.IGNORECASE)

    return {n: (compiled(k["asks"]), compiled(k["shows"])) for n, k in data["kinds"].items()}
