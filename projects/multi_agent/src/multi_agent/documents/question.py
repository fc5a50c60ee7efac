"""What a question asks for: the kinds of its answer, its terms, and candidates for it in a text.

    Question.of("How long is the warranty?").kinds                     # ('duration',)
    Question.of("How long is it?").matches("2 years from delivery")    # [(0, 7, 1.0)]

The patterns are in `answers.toml`. Which candidate is the answer is left to `span`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

from multi_agent.documents.words import Token, is_negative, is_stop, term, tokens, weights

_YES_NO = re.compile(
    r"(?:is|are|was|do|does|did|can|could|will|would|may|must|should|shall|has|have|am)\b", re.I
)
_WHOLE = re.compile(r"\b(?:why|how (?:do|can|should|to|is|are|does)|what happens|what if)\b", re.I)
_UNIT = re.compile(
    r"\b(?:how many (?:of the |full |more )?((?:[a-z-]+ )?[a-z-]+)|(?:which|what) (room|floor|storey|level|page|line|platform|bus|gate|form|section)s?)", re.I
)
_NAME = re.compile(
    r"(?:(?:Mr|Ms|Mrs|Dr|Prof)\.? )?[A-Z][\w'-]+(?: (?:de |van |von )?[A-Z][\w'-]+)+"
    r"|(?:Mr|Ms|Mrs|Dr|Prof)\.? [A-Z]\w+|(?<=[\"“'*`])[A-Z][\w -]{1,30}(?=[\"”'*`])"
)
_BREAK = re.compile(r"[;,():.]|\b(?:but|while|whereas|otherwise)\b| - | – ")
_N = r"[€$£]?(\d[\d,.]*)"
_RANGES = (  # (pattern of a limit, whether it is the lower one, whether it is included)
    (re.compile(rf"\b(?:less than|under|below) {_N}", re.I), False, False),
    (re.compile(rf"\b(?:up to|at most|until) {_N}", re.I), False, True),
    (re.compile(rf"\b(?:more than|over|above|exceeding) {_N}", re.I), True, False),
    (re.compile(rf"\b(?:from|at least) {_N}(?! ?(?:to|-|–|until))", re.I), True, True),
    (
        re.compile(rf"{_N}\+?(?: \w+)? ?(?:and|or) (?:more|over|older|above|longer)", re.I),
        True,
        True,
    ),
)
_BETWEEN = re.compile(rf"{_N}(?: [a-z]+)? ?(?:to|-|–|and) ?{_N}", re.I)
_DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_DAY_RANGE = re.compile(rf"\b({'|'.join(_DAYS)})s? ?(?:to|-|–) ?({'|'.join(_DAYS)})s?", re.I)


@dataclass(frozen=True)
class Question:
    """A question about documents."""

    text: str
    kinds: tuple[str, ...]
    """Names in `answers.toml`, the likeliest first; else "yes", "sentence" or "phrase"."""
    weights: dict[str, float]
    """The terms that the answer must be about."""
    names: frozenset[str]
    """Those that are names or numbers: without them there is no answer."""
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
        terms = {t: w if kinds != ["yes"] else max(w, 0.6) for t, w in weights(text).items()}
        names = {t.term for t in tokens(text)[1:] if not t.word.islower() and t.term in terms}
        match = _UNIT.search(text)
        units = (
            frozenset(token.term for token in tokens(match[1] or match[2]))
            if match
            else frozenset()
        )
        return cls(text, tuple(kinds), terms, frozenset(names), units)

    def tokens(self, text: str) -> list[Token]:
        """The words of a text, and those of the question that a range in it covers.

        >>> Question.of("What about 3 years?").tokens("2 to 5")[-1]
        Token(word='2 to 5', term='3', start=0, end=6)
        """
        return tokens(text) + self._covered(text)

    def _covered(self, text: str) -> list[Token]:
        numbers = {t: float(t.replace(",", ".")) for t in self.names if t[0].isdigit()}
        days = {term(day): n for n, day in enumerate(_DAYS) if term(day) in self.weights}
        limits = [
            *(((a, b), span, numbers) for (a, b), span in (ranges(text) if numbers else ())),
            *((limit, span, days) for limit, span in (_day_ranges(text) if days else ())),
        ]
        return [
            Token(text[start:end], name, start, end)
            for (low, high), (start, end), values in limits
            for name, value in values.items()
            if low <= value <= high
        ]

    def matches(self, text: str) -> list[tuple[int, int, float]]:
        """Start, end and quality (0 to 1) of all candidates of the question's kinds in a text."""
        if self.kinds[0] in ("yes", "sentence"):
            return [(0, len(text), 1.0)]
        covered = self._covered(text)
        spans = [
            (match.start(), match.end(), self._quality(text, match, name) - 0.1 * rank)
            for rank, name in enumerate(self.kinds)
            if name in _kinds()
            for match in _kinds()[name][1].finditer(text)
            if not any(t.start < match.end() and match.start() < t.end for t in covered)
            and not all(t.term in self.weights or is_stop(t.word) for t in tokens(match[0]))
        ]
        spans = [span for span in spans if span[2] > 0]
        return spans + (list(self._phrases(text)) if "phrase" in self.kinds else [])

    def fit(self, cell: str, head: str) -> float:
        """The quality of a table's cell below a header."""
        if {"yes", "sentence", "phrase"} & set(self.kinds):
            return 0.8
        best = max((quality for _, _, quality in self.matches(cell)), default=0.0)
        headed = [q for start, _, q in self.matches(f"{cell} {head}") if start < len(cell)]
        return max(best, max(headed, default=0.0))

    def worded(self, text: str) -> str:
        """The final answer of a candidate."""
        text = " ".join(text.split())
        if self.kinds[0] == "yes":
            denied = any(is_negative(t.word) for t in tokens(text)) or text in ("-", "–")
            return f"{'No' if denied else 'Yes'}: {text}"
        ends = re.split(r"\s*[-–]\s*|\s(?:to|and|until)\s", text)
        if self.kinds[0] == "clock" and len(ends) == 2 and "hours" not in self.text:
            if re.search(r"\b(?:clos|end|until|till|finish)", self.text, re.I):
                return ends[1]
            if re.search(r"\b(?:open|start|begin|from)", self.text, re.I):
                return ends[0]
        return text

    def _phrases(self, text: str) -> Iterator[tuple[int, int, float]]:
        """Names for "who", and runs of words that are not in the question."""
        if re.search(r"\b(?:who|whom|whose|names?|called)\b", self.text, re.I):
            yield from ((m.start(), m.end(), 1.0) for m in _NAME.finditer(text))
        words = tokens(text)
        run: list[int] = []
        for n in range(len(words) + 1):
            ends = n == len(words) or words[n].term in self.weights
            if run and (ends or _BREAK.search(text[words[n - 1].end : words[n].start])):
                while run and is_stop(words[run[-1]].word):
                    run.pop()
                while run and is_stop(words[run[0]].word):
                    run.pop(0)
                if run:
                    yield words[run[0]].start, words[run[-1]].end, 0.7
                run = []
            if not ends:
                run.append(n)

    def _quality(self, text: str, match: re.Match[str], name: str) -> float:
        """Lower for a number that counts something else than what the question asks for."""
        if not self.units:
            return 1.0
        following = tokens(text[match.start() : match.end() + 40])
        near = {token.term for token in following[: len(tokens(match[0])) + 2]}
        if near & self.units:
            return 1.0
        counts_other = re.match(r"\s?[a-z]{3}", text[match.end() :]) and name == "number"
        return 0.0 if counts_other or name in ("money", "percent") else 0.6


def ranges(text: str) -> Iterator[tuple[tuple[float, float], tuple[int, int]]]:
    """Lower and upper limit of each range in a text, with its place.

    >>> list(ranges("2 to 5 years, over 10 kg"))
    [((2.0, 5.0), (0, 6)), ((10.001, inf), (14, 21))]
    """
    infinity, tiny = float("inf"), 0.001
    for match in _BETWEEN.finditer(text):
        low, high = sorted((_number(match[1]), _number(match[2])))
        yield (low, high), match.span()
    for pattern, is_lower, is_included in _RANGES:
        for match in pattern.finditer(text):
            limit = _number(match[1])
            if is_lower:
                yield (limit if is_included else limit + tiny, infinity), match.span()
            else:
                yield (-infinity, limit if is_included else limit - tiny), match.span()


def _day_ranges(text: str) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for match in _DAY_RANGE.finditer(text):
        yield (_DAYS.index(match[1].lower()), _DAYS.index(match[2].lower())), match.span()
    for word, limits in (("weekday", (0, 4)), ("weekend", (5, 6)), ("daily|every day", (0, 6))):
        for match in re.finditer(word, text, re.I):
            yield limits, match.span()


def _number(text: str) -> float:
    return float(re.sub(r",(?=\d{3}\b)", "", text).rstrip(".,").replace(",", ".") or 0)


@cache
def _kinds() -> dict[str, tuple[re.Pattern[str], re.Pattern[str]]]:
    """(how it is asked for, how it looks) by kind."""
    text = resources.files(__package__).joinpath("answers.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    number = rf"(?:{data['numbers']['digits']}|\b{data['numbers']['word']}\b)"
    months = "january february march april may june july august september october november december"
    parts = {
        **data["units"],
        **data["numbers"],
        "n": rf"{number}(?:(?:\s?[-–]\s?|\s(?:to|and|or)\s){number})?",
        "month": rf"(?:{'|'.join(months.split())}|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.?",
    }

    def compiled(pattern: str) -> re.Pattern[str]:
        while "{" in re.sub(r"\{\d", "", pattern):
            pattern = re.sub(r"\{([a-z]+)\}", lambda m: parts[m[1]], pattern)
        return re.compile(pattern, re.IGNORECASE)

    return {n: (compiled(k["asks"]), compiled(k["shows"])) for n, k in data["kinds"].items()}
