"""The short answer to a question, inside a verbatim quote, without a language model.

    span = answer_span("How long is the warranty on kettles?", index.search(question))
    span.answer, span.quote, span.source      # '2 years', '| Kettle | 2 years |', 'warranty.md:7'

Every text of the expected kind in every sentence and row is a candidate, and is scored by how much
of the question is near it. Where a name, a number or much else is nowhere near, there is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from multi_agent.documents.read import SEPARATOR, Passage, cells
from multi_agent.offline.quotes.question import Question
from multi_agent.offline.quotes.words import tokens

THRESHOLD = 0.33  # confidence
IN_PASSAGE, IN_HEADING, OTHER_COLUMN = 0.6, 0.75, 0.2  # how near a term is; 1 beside the candidate
MISSING = 0.3  # a term that is less near counts as missing
NAME, COMMON = 5.0, 0.5  # weight of a missing number, or of a name that is rarer: no answer
_SENTENCE_END = re.compile(
    r"(?<![ (][A-Z])(?<!\b(?:Dr|Mr|Ms|No|St))(?<!\b(?:Mrs|e\.g|i\.e))(?<!Prof)[.!?]+[\"')]*\s+"
    r"(?=[\"'(]?[A-Z0-9])|\n(?=[^\n]{1,40}: )"
)
_CLAUSE = re.compile(r"[;,()]|\b(?:and|but|while|whereas|otherwise)\b| - | – ")
_COPULA = re.compile(r"[\s,:(–-]*(?:(?:is|are|was|as|the|our|an?|called)\b[\s,:(]*)*", re.I)
_MARKUP = re.compile(r"\*+|`|(?<!\w)_+|_+(?!\w)|\[|\]\([^)]*\)|\]")

Rarity = Callable[[str], float]
_Candidate = tuple[int, int, float, dict[str, float]]  # start, end, quality, how near each term is


@dataclass(frozen=True)
class Span:
    """An answer of a few words, and the verbatim quote that contains it."""

    answer: str
    quote: str
    source: str
    """The document with its lines, "returns.md:12-14"."""
    confidence: float

    @property
    def number(self) -> float | None:
        """The only number of the answer; None if it has none or several."""
        numbers = re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", self.answer)
        return float(numbers[0].replace(",", "")) if len(numbers) == 1 else None


def answer_span(
    question: str, passages: Sequence[Passage], rarity: Rarity = lambda _: 1.0
) -> Span | None:
    """The best short answer in the passages of a search; None if they do not contain it.

    `rarity` is how rare a term is in the documents, 0 to 1.
    """
    spans = [pair for pair in _spans(question, passages, rarity) if pair[1].confidence >= THRESHOLD]
    spans.sort(key=lambda pair: -pair[0])
    for (score, best), (other_score, other) in pairwise(spans[:2]):
        is_tie = other.quote == best.quote and score - other_score < 0.005
        is_number = best.number is not None and best.number != other.number
        if is_tie and (is_number or len(cells(best.quote)) > 1):
            return None  # two columns or numbers fit equally well
    return spans[0][1] if spans else None


def _spans(text: str, passages: Sequence[Passage], rarity: Rarity) -> Iterator[tuple[float, Span]]:
    """All candidates with their scores."""
    question = Question.of(text)
    for passage in passages:
        plain, offsets = _plain(passage.text)
        for first, last in _units(plain):
            unit = plain[first:last]
            if any(token.term in question.excluded for token in tokens(unit)):
                continue
            for start, end, quality, near in _candidates(question, unit, passage, plain):
                coverage, missing = _coverage(question, near, rarity)
                confidence = (
                    0.7 * coverage + 0.6 * passage.score - 0.3 * missing - 0.4 * (1 - quality)
                )
                quote = passage.text[offsets[first] : offsets[last - 1] + 1]
                answer = question.worded(unit[start:end], unit[:start], unit)
                score = coverage + 0.5 * passage.score + 0.2 * quality - 0.1 * min(1.0, missing)
                yield score, Span(answer, quote, passage.place, round(min(1.0, confidence), 3))


def _plain(text: str) -> tuple[str, list[int]]:
    """A text without inline markup, and the place of each of its characters in the original."""
    markup = {n for match in _MARKUP.finditer(text) for n in range(*match.span())}
    offsets = [n for n in range(len(text)) if n not in markup]
    return "".join(text[n] for n in offsets), offsets


def _units(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence that is not a question, or of the row."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)] if len(cells(text)) < 2 else []
    for start, end in zip([0, *ends], [*ends, len(text)], strict=True):
        part = text[start:end].rstrip()
        if part and not part.endswith("?"):
            yield start, start + len(part)


def _coverage(question: Question, near: dict[str, float], rarity: Rarity) -> tuple[float, float]:
    """The share of the question's terms near a candidate, and the weight of those missing."""
    total = matched = missing = absent = 0.0
    for term, weight in question.weights.items():
        rare, level = rarity(term), near.get(term, 0.0)
        weight *= 0.3 + 0.7 * rare
        if (
            term[0].isdigit() and term not in question.names
        ):  # of the scenario: 20 in "30 to 8 days"
            weight *= 2.0 if level >= MISSING else 0.5
        total, matched = total + weight, matched + weight * level
        is_name = term in question.names and (rare > COMMON or term[0].isdigit())
        missing += NAME if is_name and level < MISSING else 0.0
        absent += weight if level < MISSING else 0.0
    missing += min(absent, 2 * absent / (total or 1.0))  # long questions tell more than they ask
    return (matched / total if total else 0.0), missing


def _candidates(
    question: Question, unit: str, passage: Passage, plain: str
) -> Iterator[_Candidate]:
    if len(cells(unit)) > 1:
        yield from _cells(question, unit, passage.heading)
        return
    is_definition = re.match(r"(?i)who(?:'s| is| are)\b", question.text)
    around = {t.term: IN_PASSAGE for t in tokens("" if is_definition else plain)}
    around |= {t.term: IN_HEADING for t in tokens(passage.heading)}
    words, matches = question.tokens(unit), question.matches(unit)
    for start, end, quality in matches:
        if is_definition and not _is_beside(question, unit, start, end):
            continue
        near = dict(around)
        for token in words:
            left, right = min(token.end, end), max(token.start, start)
            distance = min(6, sum(left <= other.start < right for other in words))
            clauses = len(_CLAUSE.findall(unit[left:right]))
            clauses = min(2, clauses + sum(left < a and b < right for a, b, _ in matches))
            # An earlier clause often has the subject: "The fee is €35; for scans €80."
            step, gap = (
                (0.005, 0.02) if left < start and ")" not in unit[left:right] else (0.01, 0.15)
            )
            level = 1.0 - step * distance - gap * clauses
            near[token.term] = max(near.get(token.term, 0.0), level)
        yield start, end, quality, near


def _is_beside(question: Question, unit: str, start: int, end: int) -> bool:
    """Whether only "is" and the like are between a candidate and what the question defines."""
    words = [token for token in tokens(unit) if token.term in question.weights]
    before = [token for token in words if token.end <= start][-1:]
    gaps = [unit[token.end : start] for token in before]
    after = [token for token in words if token.start >= end][:1]
    gaps += [unit[end : token.start] for token in after if not before or len(gaps[0]) > 3]
    is_object = words and re.search(r"\b(?:for|to|with|by|from) (?:\w+ )?$", unit[: words[0].start])
    is_name = not unit[start:end].islower()  # in a list of offices a comma separates
    gaps = [gap for gap in gaps if ("," in gap and is_name) or not ("," in gap or is_object)]
    return any(_COPULA.fullmatch(gap) for gap in gaps)


def _cells(question: Question, row: str, heading: str) -> Iterator[_Candidate]:
    """Each cell of the expected kind; near it are the header of its column and its row."""
    path, _, header = heading.rpartition(SEPARATOR)
    heads = [text for text, _ in cells(header)]
    path, heads = (path, heads) if len(heads) > 1 else (heading, [])
    parts = cells(row)
    for number, (cell, start) in enumerate(parts):
        head = heads[number] if number < len(heads) else ""
        first = 1.0 if number == 0 else 0.8  # how near the other cells are, but for the first
        others = [(text, first if n else 1.0) for n, (text, _) in enumerate(parts) if n != number]
        levels = [(path, IN_HEADING), *((one, OTHER_COLUMN) for one in heads)]
        levels += [(one, IN_HEADING) for one in heads[:1]] + [*others, (head, 1.0)]
        near = {t.term: level for text, level in levels for t in question.tokens(text)}
        near |= {t.term: 0.9 for t in tokens(cell) if t.term in question.units}
        quality = question.fit(cell, head) - 0.3 * (number == 0)
        if cell and quality > 0:
            yield start, start + len(cell), quality, near
