"""What a question asks for: the kinds of its answer, its terms, and candidates for it in a text.

    Question.of("How long is the warranty?").kinds                     # ('duration',)
    Question.of("How long is it?").matches("2 years from delivery")    # [(0, 7, 1.0)]

The patterns are in `answers.toml`. Which candidate is the answer is left to `span`.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

from multi_agent.offline.quotes.words import WEAK, Token, is_in, term, tokens, weights

SCENARIO = 0.5  # weight of a term outside the clause that asks
_ASKING = re.compile(r"\b(?:wh(?:at|en|ere|ich|o|om|ose|y)|how)\b|\?$", re.I)
_PARTS = re.compile(
    r"(?<=[.?!])\s+|(?:,|:|,? and)\s+(?=(?:what|how)\b)|, and (?=wh(?:en|ere|o|ich)\b)", re.I
)
_PAST = re.compile(r"when (?:was|were|did)\b|(?:in )?(?:which|what) year\b", re.I)
_ASIDE = re.compile(r"\((?:not|except|without)\b[^)]*\)", re.I)
BREAK = re.compile(r"[;,():]|\.\s|\b(?:but|while|whereas|otherwise)\b| - | – ")
_YES_NO = re.compile(
    r"(?:is|are|was|do|does|did|can|could|will|would|may|must|should|shall|has|have|am)\b", re.I
)
_WHOLE = re.compile(r"\b(?:why|how (?:do|can|should|to|is|are|does)|what happens|what if)\b", re.I)
_NOT_A_NUMBER = re.compile(r"(?:\w+ )?(?:who|whom|where|which \w+)\b(?=.)", re.I)
_COUNTED = re.compile(
    r"\b(?:how many (?:of the |full |more )?(?P<many>(?:[a-z-]+ )?[a-z-]+)|(?:which|what)"
    r" (?P<label>(?:room|floor|storey|level|page|line|platform|bus|gate|form|section)s?)\b"
    r"|(?:which|what) (?P<noun>\w+))",
    re.I,
)
_NAME = re.compile(
    r"(?:(?:Mr|Ms|Mrs|Dr|Prof)\.? )?[A-Z][\w'-]+(?: (?:de |van |von )?[A-Z][\w'-]+)+"
    r"|(?:Mr|Ms|Mrs|Dr|Prof)\.? [A-Z]\w+|(?<=[\"“'*`])[A-Z][\w -]{1,30}(?=[\"”'*`])"
)


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
    focus: frozenset[str]
    """Terms of the noun in "which hotel"."""
    excluded: frozenset[str] = frozenset()
    """Terms that the answer is not about: of "auction" in "(not at an auction)"."""
    whole: str = ""
    """The question with its scenario; `text` is the clause that asks."""

    @classmethod
    def of(cls, text: str) -> Question:
        """Read a question.

        >>> Question.of("How many days of leave do I get?").kinds[0]
        'duration'
        """
        excluded = frozenset().union(*(weights(aside) for aside in _ASIDE.findall(text)))
        text = " ".join((text.lower() if text.isupper() else _ASIDE.sub("", text)).split())
        whole, parts = text, [part for part in _PARTS.split(text) if _ASKING.search(part)]
        text = parts[-1] if parts else whole
        asked = _NOT_A_NUMBER.match(text)  # "which fee" asks for a sum, "where can I pay" does not
        wording = asked[0] if asked else text
        kinds = [name for name, (asks, _) in _patterns()[0].items() if asks.search(wording)]
        if _YES_NO.match(text) and " or " not in text:
            kinds = ["yes"]
        elif not kinds or _WHOLE.search(text):
            kinds += ["sentence" if _WHOLE.search(text) else "phrase"]
        terms = {t: max(w, 0.6) if kinds == ["yes"] else w for t, w in weights(text).items()}
        per = re.search(r"\b(?:per|each|an?) (hour|day|night|week|month|year)\b", text, re.I)
        terms |= {term(per[1].lower()): 1.0} if per else {}
        for one, weight in weights(whole).items():
            terms.setdefault(one, weight if one[0].isdigit() else SCENARIO * weight)
        for unit in re.findall(r"\d (pounds?|euros?|dollars?|francs?)\b", whole):  # often a sign
            terms[term(unit)] = SCENARIO * WEAK
        names = {t.term for t in tokens(text)[1:] if not t.word.islower() and t.term in terms}
        names |= {"second", "third", "fourth"} & terms.keys()
        counted = _COUNTED.search(text)
        nouns = counted.groupdict("") if counted else {"many": "", "label": "", "noun": ""}
        units = {token.term for token in tokens(nouns["many"] or nouns["label"])}
        focus = {token.term for token in tokens(nouns["noun"] or nouns["label"])} & terms.keys()
        return cls(
            text,
            tuple(kinds),
            terms,
            frozenset(names),
            frozenset(units),
            frozenset(focus),
            excluded,
            whole,
        )

    def tokens(self, text: str) -> list[Token]:
        """The words of a text, and the numbers and weekdays of the question that it covers.

        >>> Question.of("What about 3 years?").tokens("2 to 5")[-1]
        Token(word='2 to 5', term='3', start=0, end=6)
        """
        return tokens(text) + self._covered(text)

    def _covered(self, text: str) -> list[Token]:
        numbers = {t: float(t.replace(",", ".")) for t in self.weights if t[0].isdigit()}
        words = {token.term for token in tokens(text)}
        for number, unit in re.findall(r"(\d+)[ -](minute|hour|day|week|month)s?\b", self.whole):
            if len(words) > 6 and term(unit) not in words:  # "under 16" people are no days
                numbers.pop(number, None)
        days = {term(day): n for n, day in enumerate(DAYS) if term(day) in self.weights}
        best: dict[tuple[str, str], tuple[float, Token]] = {}  # of several, the narrowest range
        pairs = [match.span() for match in _patterns()[1]["between"].finditer(text)]
        for name, pattern in _patterns()[1].items() if numbers or days else ():
            for match in pattern.finditer(text):
                low, high = _limits(name, [group for group in match.groups() if group])
                if name != "between" and any(a <= match.start() < b for a, b in pairs):
                    continue
                width = -low if high == math.inf else high if low == -math.inf else high - low
                for one, value in (days if name == "days" else numbers).items():
                    if low <= value <= high and width < best.get((one, name), (math.inf,))[0]:
                        best[one, name] = width, Token(match[0], one, *match.span())
        return [token for _, token in best.values()]

    def matches(self, text: str) -> list[tuple[int, int, float]]:
        """Start, end and quality (0 to 1) of all candidates of the question's kinds in a text."""
        if self.kinds[0] in ("yes", "sentence"):
            return [(0, len(text), 1.0)]
        covered = self._covered(text)
        spans = [
            (match.start(), match.end(), self._quality(text, match, name) - 0.1 * rank)
            for rank, name in enumerate(self.kinds)
            if name in _patterns()[0]
            for match in _patterns()[0][name][1].finditer(text)
            if not any(t.start < match.end() and match.start() < t.end for t in covered)
            and not all(t.term in self.weights or is_in("stop", t.word) for t in tokens(match[0]))
        ]
        spans += self._phrases(text) if "phrase" in self.kinds else ()
        return [span for span in spans if span[2] > 0]

    def fit(self, cell: str, head: str) -> float:
        """The quality of a table's cell below a header."""
        if {"yes", "sentence", "phrase"} & set(self.kinds):
            return 0.8
        headed = [q for start, _, q in self.matches(f"{cell} {head}") if start < len(cell)]
        return max([q for _, _, q in self.matches(cell)] + headed, default=0.0)

    def worded(self, text: str, before: str = "", rule: str = "") -> str:
        """The final answer of a candidate; `before` it may be the unit that it leaves out.

        Yes turns into no where a number of the question does not meet the limit of the rule.

        >>> Question.of("How often is B done?").worded("every two", "A every six months, B ")
        'every two months'
        >>> Question.of("Is it €5 after 4 days?").worded("Fee", "", "€5 after more than 5 days")
        'No: Fee'
        """
        text = " ".join(text.split())
        unit = re.findall(r"\b(?:every|for) \S+ ([a-z]+s)\b", before)
        text += f" {unit[-1]}" if unit and re.fullmatch(r"(?:every|for) [\w.]+", text) else ""
        main, _, exception = text.partition(" (")  # "10 minutes (15 in the final)"
        if exception and self.kinds[0] not in ("yes", "sentence"):
            is_asked = any(t.term in self.weights for t in tokens(exception))
            text = exception.rstrip(")") if is_asked else main
        if self.kinds[0] == "yes":
            denied = any(is_in("negative", t.word) for t in tokens(text)) or text in ("-", "–")
            denied ^= self._misses_limit(rule)
            return f"{'No' if denied else 'Yes'}: {text}"
        ends = re.split(r"\s*[-–]\s*|\s(?:to|and|until)\s", text)
        if self.kinds[0] == "clock" and len(ends) == 2 and "hours" not in self.text:
            is_end = re.search(r"\b(?:clos|end|until|till|finish)", self.text, re.I)
            is_start = re.search(r"\b(?:open|start|begin|from)", self.text, re.I)
            return ends[1] if is_end else ends[0] if is_start else text
        return text

    def _misses_limit(self, rule: str) -> bool:
        """Whether the question has a number beyond the only limit of a rule, "more than 5 days"."""
        patterns = _patterns()[1]
        limits = [(n, m) for n in ("above", "below") for m in patterns[n].finditer(rule)]
        if len(limits) != 1:
            return False
        ((name, match),) = limits
        low, high = _limits(name, [group for group in match.groups() if group])
        digits = [token for token in tokens(match[0]) if token.term[0].isdigit()]
        unit = _counted(rule, digits[-1], match.start()) if digits else ""
        numbers = [
            float(token.term)
            for token in tokens(self.whole)
            if re.fullmatch(r"\d+(?:\.\d+)?", token.term) and _counted(self.whole, token) == unit
        ]
        if len(numbers) != 1:
            return False
        is_strict = re.match(r"(?i)more|over|above|exceed|less|under|below", match[0])
        value = numbers[0]
        return not (low < value < high if is_strict else low <= value <= high)

    def _phrases(self, text: str) -> Iterator[tuple[int, int, float]]:
        """Names for "who", and runs of words that are not in the question."""
        is_who = re.search(r"\bwho(?:m|se)?\b", self.text, re.I)
        if is_who or re.search(r"\b(?:names?|called)\b", self.text, re.I):
            yield from ((m.start(), m.end(), 1.0) for m in _NAME.finditer(text))
        if is_who and re.search(r"\bnames?\b", self.text, re.I):
            return
        words, run = tokens(text), list[int]()
        covered = {n for t in self._covered(text) for n in range(t.start, t.end)}
        for n in range(len(words) + 1):
            ends = n == len(words) or words[n].term in self.weights or words[n].start in covered
            if run and (ends or BREAK.search(text[words[n - 1].end : words[n].start])):
                content = [m for m in run if not is_in("stop", words[m].word)]
                if content:
                    beside = {
                        w.term for w in (*words[max(0, run[0] - 1) : run[0]], *words[n : n + 1])
                    }
                    span = words[content[0]].start, words[content[-1]].end
                    is_plain = self.focus and text[span[0] : span[1]].islower()
                    if not is_who or _is_person(text, *span):
                        yield *span, 0.9 if beside & self.focus else 0.2 if is_plain else 0.5
                run = []
            run += [] if ends else [n]

    def _quality(self, text: str, match: re.Match[str], name: str) -> float:
        """Lower for a number that counts something else than what the question asks for."""
        following = tokens(text[match.start() : match.end() + 40])
        near = {token.term for token in following[: len(tokens(match[0])) + 2]}
        if _PAST.match(self.text) and not re.search(r"\b\d{4}\b", match[0]):
            return 0.0
        if not self.units or near & self.units:
            return 1.0
        if name == "number" and re.search(r"[€$£]\s?$|\b[A-Z]{3} $", text[: match.start()]):
            return 0.0
        other_noun = name == "number" and re.match(r"\s?[a-z]{3}", text[match.end() :])
        return 0.0 if other_noun or name in ("money", "percent") else 0.6


def _counted(text: str, number: Token, offset: int = 0) -> str:
    """What a number counts: the term after it, or its currency."""
    start, end = offset + number.start, offset + number.end
    if text[:start].rstrip()[-1:] in "€$£" and start:
        return text[:start].rstrip()[-1]
    return next((t.term for t in tokens(text[end : end + 40])), "")


def _is_person(text: str, start: int, end: int) -> bool:
    """Whether words may be a person or an office: a name, after an article, or all of a cell."""
    name = re.search(r"(?<!^)\b[A-Z]", text[start:end]) or (start and text[start].isupper())
    article = r"(?:\b(?:the|an?|our|your|by|only) |: ?)$"
    return bool(name or re.search(article, text[:start], re.I) or end - start == len(text))


Pattern = re.Pattern[str]
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_DAY_WORDS = {"weekday": (0, 4), "weekend": (5, 6), "daily": (0, 6), "every day": (0, 6)}


def _limits(name: str, groups: list[str]) -> tuple[float, float]:
    if name == "days":
        ends = [DAYS.index(group.lower()) for group in groups if group.lower() in DAYS]
        return (ends[0], ends[1]) if ends else _DAY_WORDS[groups[0].lower()]
    numbers = sorted(float(re.sub(r",(?=\d{3}\b)|[.,]$", "", g).replace(",", ".")) for g in groups)
    if name == "between":
        return numbers[0], numbers[1]
    return (-math.inf, numbers[0]) if name == "below" else (numbers[0], math.inf)


@cache
def _patterns() -> tuple[
    dict[str, tuple[re.Pattern[str], re.Pattern[str]]], dict[str, re.Pattern[str]]
]:
    """(how each kind is asked for and how it looks, ranges)."""
    text = resources.files(__package__).joinpath("answers.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)

    def compiled(pattern: str) -> re.Pattern[str]:
        while re.search(r"\{[a-z]", pattern):
            pattern = re.sub(r"\{([a-z]+)\}", lambda match: data["parts"][match[1]], pattern)
        return re.compile(pattern, re.IGNORECASE)

    kinds = {n: (compiled(k["asks"]), compiled(k["shows"])) for n, k in data["kinds"].items()}
    return kinds, {name: compiled(pattern) for name, pattern in data["ranges"].items()}
