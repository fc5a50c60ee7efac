"""The short answer to a question, inside a verbatim quote, without a language model.

    quote = Quoter(index).answer("How long is the warranty on kettles?", index.search(question))
    quote.answer, quote.quote      # '2 years', '| Kettle | 2 years |'

An answer has the kind and the unit that the question asks for, and every word of the question is
near it: in its passage, its heading, or the header of its column. Of several the one with most
words in its own sentence and clause counts; if two are equal, there is no answer.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from multi_agent.brain import Quote
from multi_agent.documents.index import DocumentIndex
from multi_agent.documents.read import SEPARATOR, Passage, cells
from multi_agent.offline.quotes.question import SENTENCE, Question, implied
from multi_agent.offline.quotes.words import content

_SENTENCE_END = re.compile(
    r"(?<![ (][A-Z])(?<!\b(?:Dr|Mr|Ms|No|St))(?<!\b(?:Mrs|e\.g|i\.e))(?<!Prof)[.!?]+[\"')*_]*\s+"
    r"(?=[\"'(*_]*[A-Z0-9])|\n(?=[^\n]{1,40}: )"
)
_CLAUSE = re.compile(r"[;,():]|\b(?:and|but|or|while|whereas|otherwise)\b| - | – ")
_MARKUP = re.compile(r"\*+|`|(?<!\w)_+|_+(?!\w)|\[|\]\([^)]*\)|\]")
_IS = re.compile(r"[\s,:(–-]*(?:(?:is|are|was|as|the|our|an?|called)\b[\s,:(]*)*", re.IGNORECASE)
_PART_OF = re.compile(r"\b(?:of|for) (?:the |our |an? )?$", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_PASSAGES = 8  # of a search
_SUBJECT = 3  # words; if there are more, one may be elsewhere in the document

_Rank = tuple[int, int, int]
"""How many of the question's words are in the sentence or its heading, in the candidate's clause or
before it ("the fee is €35; for scans €80"), and in the clause."""


class Quoter:
    """Answers questions from the passages of a document index."""

    def __init__(self, index: DocumentIndex) -> None:
        self._index = index
        self._prose: dict[str, frozenset[str]] = defaultdict(frozenset)
        for passage in index.passages:  # without rows, which a word tells apart
            text = "" if _is_row(passage) else passage.text
            self._prose[passage.source] |= content(f"{passage.heading} {text}")

    def answer(self, text: str, passages: Sequence[Passage]) -> Quote | None:
        """The short answer in the passages of a search; None if they do not contain it."""
        question = Question.of(text)
        if question is None or not question.terms:
            return None
        ranked = [
            pair
            for passage in passages
            for one in [self._narrowed(question, passage)]
            for pair in (_in_row if _is_row(passage) else _in_text)(one, passage)
        ]
        best = max((rank for rank, _ in ranked), default=None)
        quotes = [quote for rank, quote in ranked if rank == best]
        return quotes[0] if len({quote.answer.lower() for quote in quotes}) == 1 else None

    def _narrowed(self, question: Question, passage: Passage) -> Question:
        """The question without the one word, of many, that is elsewhere in the document."""
        missing = question.terms - question.matched(content(f"{passage.heading} {passage.text}"))
        near = question.matched(self._prose[passage.source]) - question.names
        is_near = len(missing) == 1 and missing <= near and len(question.terms) > _SUBJECT
        return replace(question, terms=question.terms - missing) if is_near else question

    def bid(self, question: str) -> float:
        """How sure it is to have an answer, 0 to 1; below 0.5 it has none."""
        passages = self._index.search(question, _PASSAGES)
        if self.answer(question, passages):
            return 0.85
        return 0.4 * max((passage.score for passage in passages), default=0.0)


def _in_text(question: Question, passage: Passage) -> Iterator[tuple[_Rank, Quote]]:
    heading = content(passage.heading)
    if question.matched(heading | content(passage.text)) != question.terms:
        return
    ends = [0, *(match.end() for match in _SENTENCE_END.finditer(passage.text)), None]
    sentences = [passage.text[start:end].strip() for start, end in pairwise(ends)]
    near = {text: question.matched(content(text) | heading) for text in sentences}
    # The subject may be in another sentence, but none may have more of the question's words; a
    # sentence that is the answer has all.
    share = 1.0 if question.kind == SENTENCE else 0.5
    least = max(share * len(question.terms), *map(len, near.values()))
    for sentence in sentences:
        is_about = question.matched(content(sentence)) and len(near[sentence]) >= least
        if sentence.endswith("?") or not is_about:
            continue
        for start, end in question.candidates(sentence):
            if question.kind == "name" and not _is_named(question, sentence, start, end):
                continue
            left, right = _clause(sentence, start, end)
            to_here = question.matched(content(sentence[:right]))
            clause = question.matched(content(sentence[left:right]))
            quote = _quote(sentence[start:end], sentence)
            yield (len(near[sentence]), len(to_here), len(clause)), quote


def _is_row(passage: Passage) -> bool:
    return len(cells(passage.text)) > 1


def _quote(candidate: str, text: str) -> Quote:
    answer = " ".join(_MARKUP.sub("", candidate).split())
    numbers = _NUMBER.findall(answer)
    number = float(numbers[0].replace(",", "")) if len(numbers) == 1 else None
    return Quote(answer, text, number)


def _clause(sentence: str, start: int, end: int) -> tuple[int, int]:
    """Start and end of the clause that a candidate is in."""
    breaks = [m.span() for m in _CLAUSE.finditer(sentence)]
    left = max((b for _, b in breaks if b <= start), default=0)
    right = min((a for a, _ in breaks if a >= end), default=len(sentence))
    return left, right


def _is_named(question: Question, sentence: str, start: int, end: int) -> bool:
    """Whether a sentence says that the person is what the question asks for.

    Not in "the deputy of the head cook is Ann Lee", for "who is the head cook?".
    """
    if not re.match(r"who(?:'s| is| are)\b", question.text, re.IGNORECASE):
        return True
    words = [m for m in re.finditer(r"\w+", sentence) if question.matched(content(m[0]))]
    first, last = words[0].start(), words[-1].end()
    gap = sentence[last:start] if last <= start else sentence[end:first]
    return bool(_IS.fullmatch(gap)) and not _PART_OF.search(sentence[:first])


def _in_row(question: Question, passage: Passage) -> Iterator[tuple[_Rank, Quote]]:
    """Cells of the kind asked for, whose row and whose column the question names."""
    path, _, header = passage.heading.rpartition(SEPARATOR)
    heads = [text for text, _ in cells(header)]
    path, heads = (path, heads) if len(heads) > 1 else (passage.heading, [])
    row = [text for text, _ in cells(passage.text)]
    heads = heads if len(heads) == len(row) else [""] * len(row)
    fitting = {n: a for n, cell in enumerate(row) if (a := _of_kind(question, cell, heads[n]))}
    for number, answer in fitting.items():
        others = content(" ".join(row[:number] + row[number + 1 :]))
        column = content(heads[number])
        inside = question.matched(others | column)
        is_column = question.matched(column) or column & implied(question.kind) or len(fitting) == 1
        near = others | column | content(f"{path} {heads[0]} {row[number]}")
        if is_column and question.matched(others) and question.matched(near) == question.terms:
            quote = _quote(answer, passage.text)
            yield (len(question.terms), len(inside), len(inside)), quote


def _of_kind(question: Question, cell: str, head: str) -> str:
    """The only candidate of a cell; empty if there are none or several."""
    if question.kind == SENTENCE:
        return cell if question.matched(content(head)) else ""
    spans = question.candidates(cell, head)
    return cell[spans[0][0] : spans[0][1]] if len(spans) == 1 else ""
