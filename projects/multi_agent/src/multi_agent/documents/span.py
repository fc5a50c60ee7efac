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

from multi_agent.documents.question import Question
from multi_agent.documents.read import SEPARATOR, Passage, cells
from multi_agent.documents.words import tokens

THRESHOLD = 0.33  # confidence
IN_PASSAGE, IN_HEADING, OTHER_COLUMN = 0.6, 0.75, 0.2  # against 1 next to the candidate
_SENTENCE_END = re.compile(
    r"(?<![ (][A-Z])(?<!\b(?:Dr|Mr|Ms|No|St))(?<!\b(?:Mrs|e\.g|i\.e))[.!?]+[\"')]*\s+(?=[\"'(]?[A-Z0-9])"
    r"|\n(?=[^\n]{1,40}: )"
)
_CLAUSE = re.compile(r"[;,()]|\b(?:and|but|while|whereas|otherwise)\b| - | – ")
_MARKUP = re.compile(r"\*+|`|(?<!\w)_+|_+(?!\w)|\[|\]\([^)]*\)|\]")


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


@dataclass(frozen=True)
class _Candidate:
    start: int
    end: int
    quality: float
    near: dict[str, float]  # terms around it, with how near they are, 0 to 1


def answer_span(
    question: str,
    passages: Sequence[Passage],
    rarity: Callable[[str], float] = lambda term: 1.0,
) -> Span | None:
    """The best short answer in the passages of a search; None if they do not contain it.

    `rarity` is how rare a term is in the documents, 0 to 1.
    """
    spans = [s for s in all_spans(question, passages, rarity) if s[1].confidence >= THRESHOLD]
    return max(spans, key=lambda pair: pair[0])[1] if spans else None


def all_spans(
    question: str, passages: Sequence[Passage], rarity: Callable[[str], float]
) -> Iterator[tuple[float, Span]]:
    """All candidates with their scores."""
    parsed = Question.of(question)
    for passage in passages:
        plain, offsets = _plain(passage.text)
        for start, end in _units(plain):
            unit = plain[start:end]
            for one in _candidates(parsed, unit, passage, plain):
                coverage, missing = _coverage(parsed, one.near, rarity)
                doubt = 0.3 * missing + 0.4 * (1 - one.quality)
                confidence = min(1.0, 0.7 * coverage + 0.6 * passage.score - doubt)
                quote = passage.text[offsets[start] : offsets[end - 1] + 1]
                answer = parsed.worded(unit[one.start : one.end])
                score = coverage + 0.5 * passage.score + 0.2 * one.quality
                yield score, Span(answer, quote, passage.place, round(confidence, 3))


def _plain(text: str) -> tuple[str, list[int]]:
    """A text without inline markup, and the place of each of its characters in the original."""
    markup = {n for match in _MARKUP.finditer(text) for n in range(*match.span())}
    offsets = [n for n in range(len(text)) if n not in markup]
    return "".join(text[n] for n in offsets), offsets


def _units(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence, or of the row."""
    start = 0
    ends = [match.end() for match in _SENTENCE_END.finditer(text)] if len(cells(text)) < 2 else []
    for end in [*ends, len(text)]:
        part = text[start:end]
        if part.strip() and not part.rstrip().endswith("?"):
            yield start + len(part) - len(part.lstrip()), start + len(part.rstrip())
        start = end


def _coverage(
    question: Question, near: dict[str, float], rarity: Callable[[str], float]
) -> tuple[float, float]:
    """The share of the question's terms near a candidate, and the weight of those missing."""
    total = matched = missing = 0.0
    for term, weight in question.weights.items():
        weight, level = weight * (0.3 + 0.7 * rarity(term)), near.get(term, 0.0)
        total, matched = total + weight, matched + weight * level
        if level < 0.3:
            missing += 5.0 if term in question.names else weight
    return (matched / total if total else 0.5), missing


def _candidates(
    question: Question, unit: str, passage: Passage, plain: str
) -> Iterator[_Candidate]:
    if len(cells(unit)) > 1:
        yield from _cells(question, unit, passage.heading)
        return
    around = dict.fromkeys((t.term for t in tokens(plain)), IN_PASSAGE)
    around |= dict.fromkeys((t.term for t in tokens(passage.heading)), IN_HEADING)
    words = question.tokens(unit)
    matches = question.matches(unit)
    for start, end, quality in matches:
        near = dict(around)
        for token in words:
            left, right = min(token.end, end), max(token.start, start)
            distance = sum(left <= other.start < right for other in words)
            clauses = len(_CLAUSE.findall(unit[left:right]))
            clauses = min(2, clauses + sum(left < a and b < right for a, b, _ in matches))
            # An earlier clause often has the subject: "The fee is €35; for scans €80."
            level = 1.0 - 0.01 * min(distance, 15) - (0.03 if left < start else 0.1) * clauses
            near[token.term] = max(near.get(token.term, 0.0), level)
        yield _Candidate(start, end, quality, near)


def _cells(question: Question, row: str, heading: str) -> Iterator[_Candidate]:
    """Each cell of the expected kind; near it are the header of its column and its row."""
    path, _, header = heading.rpartition(SEPARATOR)
    heads = [text for text, _ in cells(header)]
    path, heads = (path, heads) if len(heads) > 1 else (heading, [])
    parts = cells(row)
    for number, (cell, start) in enumerate(parts):
        head = heads[number] if number < len(heads) else ""
        others = [(text, n in (0, number)) for n, (text, _) in enumerate(parts) if n != number]
        near = dict.fromkeys((t.term for t in tokens(path)), IN_HEADING)
        near |= dict.fromkeys((t.term for one in heads for t in tokens(one)), OTHER_COLUMN)
        near |= dict.fromkeys((t.term for one in heads[:1] for t in tokens(one)), IN_HEADING)
        for text, is_first in [*others, (head, True)]:
            level = 1.0 if is_first or number == 0 else 0.8
            near |= dict.fromkeys((t.term for t in question.tokens(text)), level)
        near |= {t.term: 0.9 for t in tokens(cell) if t.term in question.units}
        quality = question.fit(cell, head) - 0.3 * (number == 0)
        if cell and quality > 0:
            yield _Candidate(start, start + len(cell), quality, near)
