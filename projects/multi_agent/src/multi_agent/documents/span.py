"""The short answer to a question, inside a verbatim quote, without a language model.

    span = answer_span("How long is the warranty on kettles?", index.search(question))
    span.answer, span.quote, span.source      # '2 years', '| Kettle | 2 years |', 'warranty.md:7'

Every candidate of the expected kind in every sentence gets a score: how much of the question is
said near it. No answer is given where a rare word of the question is nowhere around the best one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from multi_agent.documents.question import Question
from multi_agent.documents.read import SEPARATOR, Passage
from multi_agent.documents.words import Token, is_negative, tokens

THRESHOLD = 0.4
_SENTENCE_END = re.compile(
    r"(?<![ (][A-Z])(?<!\b(?:Dr|Mr|Ms|No|St))(?<!\b(?:Mrs|e\.g|i\.e))[.!?]+[\"')]*\s+(?=[\"'(]?[A-Z0-9])|\n(?=[^\n]{1,40}(?:: | {2}))"
)
_CLAUSE = re.compile(r"[;:,()]|\b(?:but|while|whereas|otherwise)\b| - | – ")
_MARKUP = re.compile(r"\*+|`|(?<!\w)_+|_+(?!\w)|\[|\]\([^)]*\)|\]")
_NAME = re.compile(
    r"(?:(?:Mr|Ms|Mrs|Dr|Prof)\.? )?[A-Z][\w'-]+(?: (?:de |van |von )?[A-Z][\w'-]+)+|(?:Mr|Ms|Mrs|Dr|Prof)\.? [A-Z]\w+"
)


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
    best: tuple[float, Span] | None = None
    for score, span in all_spans(question, passages, rarity):
        if best is None or score > best[0]:
            best = score, span
    return best[1] if best and best[1].confidence >= THRESHOLD else None


def all_spans(question, passages, rarity):
    parsed = Question.of(question)
    for passage in passages:
        plain, offsets = _plain(passage.text)
        for start, end in _units(plain):
            unit = plain[start:end]
            for candidate in _candidates(parsed, unit, passage, plain):
                coverage, missing = _coverage(parsed, candidate, rarity)
                score = coverage + 0.5 * passage.score + 0.2 * candidate.quality
                confidence = (
                    coverage * 0.7
                    + 0.6 * passage.score
                    - 0.2 * (1 - candidate.quality)
                    - missing * 0.3
                )
                answer = _answer(parsed, unit, candidate)
                quote = passage.text[offsets[start] : offsets[end - 1] + 1]
                yield score, Span(answer, quote, passage.place, round(min(1.0, confidence), 3))


def _plain(text: str) -> tuple[str, list[int]]:
    """A text without inline markup, and the place of each of its characters in the original."""
    markup = {n for match in _MARKUP.finditer(text) for n in range(*match.span())}
    offsets = [n for n in range(len(text)) if n not in markup]
    return "".join(text[n] for n in offsets), offsets


def _units(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence, or of the only row."""
    start = 0
    ends = [] if "|" in text else [match.end() for match in _SENTENCE_END.finditer(text)]
    for end in [*ends, len(text)]:
        part = text[start:end]
        if part.strip():
            yield start + len(part) - len(part.lstrip()), start + len(part.rstrip())
        start = end


def _coverage(question: Question, candidate: _Candidate, rarity) -> tuple[float, float]:
    """Share of the question's terms near a candidate, and the weight of those that are missing."""
    total = matched = missing = 0.0
    for term, weight in question.weights.items():
        weight *= 0.3 + 0.7 * rarity(term)
        level = candidate.near.get(term, 0.0)
        total += weight
        matched += weight * level
        missing += weight if level < 0.3 else 0.0
    return (matched / total if total else 0.5), missing


def _candidates(
    question: Question, unit: str, passage: Passage, plain: str
) -> Iterator[_Candidate]:
    around = dict.fromkeys((token.term for token in tokens(plain)), 0.6)
    if "|" in unit:
        yield from _cells(question, unit, passage)
        return
    around |= dict.fromkeys((token.term for token in tokens(passage.heading)), 0.75)
    words = tokens(unit)
    if unit.rstrip().endswith("?"):
        return
    for start, end, quality in _spans(question, unit, words):
        near = dict(around)
        for token in words:
            distance = (
                sum(
                    1
                    for other in words
                    if min(token.end, end) <= other.start < max(token.start, start)
                )
                if not start <= token.start < end
                else 0
            )
            between = unit[min(token.end, end) : max(token.start, start)]
            level = 1.0 - 0.01 * min(distance, 15) - 0.1 * min(2, len(_CLAUSE.findall(between)))
            near[token.term] = max(near.get(token.term, 0.0), level)
        yield _Candidate(start, end, quality, near)


def _cells(question: Question, row: str, passage: Passage) -> Iterator[_Candidate]:
    path, _, header = passage.heading.rpartition(SEPARATOR)
    heads = [cell for cell, _ in _split(header)]
    cells = _split(row)
    for number, (cell, start) in enumerate(cells):
        near = dict.fromkeys((t.term for t in tokens(path)), 0.75)
        near |= dict.fromkeys((t.term for head in heads for t in tokens(head)), 0.2)
        for other, (text, _) in enumerate(cells):
            if other != number:
                near |= dict.fromkeys(
                    (t.term for t in tokens(text)), 1.0 if other == 0 or number == 0 else 0.8
                )
        head = heads[number] if number < len(heads) else ""
        near |= dict.fromkeys((t.term for t in tokens(head)), 1.0)
        typed = question.matches(f"{cell} {head}")
        if set(question.kinds) & {"yes", "sentence", "phrase"}:
            quality = 0.5 if number == 0 else 0.8
        else:
            quality = max((q for s, e, q in question.matches(cell)), default=0.0)
            quality = max(quality, max((q for s, _, q in typed if s < len(cell)), default=0.0))
        if cell and quality:
            near |= {t.term: 0.9 for t in tokens(cell) if t.term in question.units}
            yield _Candidate(start, start + len(cell), quality, near)


def _split(row: str) -> list[tuple[str, int]]:
    """The cells of a row, with their offsets."""
    inner = row.strip().strip("|")
    position, cells = row.find(inner), []
    for part in inner.split("|"):
        cells.append((part.strip(), position + len(part) - len(part.lstrip())))
        position += len(part) + 1
    return cells


def _spans(question: Question, unit: str, words: list[Token]) -> list[tuple[int, int, float]]:
    if set(question.kinds) & {"yes", "sentence"}:
        return [(0, len(unit), 1.0)]
    spans = question.matches(unit)
    if "phrase" in question.kinds:
        spans += _phrases(question, unit, words)
    return spans


def _phrases(question: Question, unit: str, words: list[Token]) -> list[tuple[int, int, float]]:
    """Runs of words that are not in the question."""
    spans = []
    who = re.search(r"\bwho(?:m|se)?\b", question.text, re.I)
    if who:
        spans += [(m.start(), m.end(), 1.0) for m in _NAME.finditer(unit)]
    run: list[Token] = []
    for token in [*words, None]:
        boundary = (
            token is None
            or token.term in question.weights
            or (run and _CLAUSE.search(unit[run[-1].end : token.start]))
        )
        if boundary and run:
            content = any(len(t.word) > 3 for t in run)
            if content:
                spans.append((run[0].start, run[-1].end, 0.7))
            run = []
        if token is not None and token.term not in question.weights:
            run.append(token)
    return spans


def _answer(question: Question, unit: str, candidate: _Candidate) -> str:
    text = " ".join(unit[candidate.start : candidate.end].split())
    if question.kinds[0] != "yes":
        return text
    denied = any(is_negative(t.word) for t in tokens(text)) or text.strip() in ("-", "–", "closed")
    return f"{'No' if denied else 'Yes'}: {text}"
