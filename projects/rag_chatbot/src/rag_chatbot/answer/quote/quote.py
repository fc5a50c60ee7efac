"""Quote mode: an answer that consists of the best spans of the documents; no model writes.

    draft = yield from quote(question, hits, embeddings)

A logistic model of four features gives each span the probability that it answers the question. The
features are of the question and one span with its chunk alone: what else a collection contains
changes nothing. The best spans are taken greedily, within a limit of words.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_chatbot.answer.evidence import Draft, Span, cells, sentences
from rag_chatbot.read.language import (
    ASSEMBLED,
    CELLS,
    CJK,
    SEPARATOR,
    STOP_WORDS,
    language_of,
    plain,
    subject_terms,
    terms,
)
from seedbed.models.embeddings.load_embeddings import Vectors, embed_texts

if TYPE_CHECKING:
    from rag_chatbot.search.retrieve import Hit

# Cosines and shares run from 0 to 1.
FEATURES = (
    "span_cosine",  # of the span and the question
    "chunk_cosine",  # of the whole chunk, with its title and headings, and the question
    "coverage",  # share of the question's terms in the chunk, its title and headings
    "names",  # 1 if chunk and headings have all names of the question, else -1; 0 without names
)
# Weights and bias (last) by embedding model, as the cosines of two models differ; fitted by the
# benchmark `fit_quotes`. With a model that is not listed, nothing is quoted.
WEIGHTS = {
    "hash": (3.10, 2.60, 3.14, 1.01, -4.51),  # for tests
    "minilm": (3.10, 2.60, 3.14, 1.01, -4.51),
    "multilingual-e5": (3.90, 2.23, 4.19, 0.85, -5.34),
}
UNCALIBRATED = (
    "Quotes are not calibrated for the embeddings {}, so the passages found are not an answer."
    " Set SEEDBED_MODEL to a model that writes answers, or SEEDBED_EMBEDDINGS=minilm."
)
FOCUS = 0.5  # weight of the latest question alone in the features of a condensed one
# For choosing spans, in units of the score (a logit).
NEXT_TO = 0.5  # bonus beside the best span: an answer often needs two in a row
ANNOUNCED = 8.0  # bonus for what comes after a selected sentence that ends with a colon
FAR = 1.0  # spans that score this much less than the best, bonus included, are not quoted
ALIKE = 0.9  # cosine above which two spans are repeats
GAP = 60  # characters allowed between two spans of one quote
MAX_QUOTES, MAX_WORDS = 3, 84  # of an answer
_NAME = re.compile(r"--?\w[\w-]*|\w(?:[\w.+/-]*\w)?")
_IN_CODE = re.compile(r"\d|^--?\w|\w_\w|\w\w\.\w\w")  # versions, numbers, options, attributes
_FENCED = re.compile(r"\A[ \t]*(?:```|~~~)[^\n]*\n(.*?)\s*(?:```|~~~)?\s*\Z", re.DOTALL)


def quote(
    question: str, hits: Sequence[Hit], embeddings: Any, focus: str, strictness: float
) -> Generator[str, None, Draft]:
    """Yield the quotes that answer the question, and return the whole draft.

    `focus` is the last question of a condensed one, `strictness` the probability that the best span
    needs.
    """
    # 1. Score the spans of all hits.
    model = model_of(embeddings)
    if model not in WEIGHTS:
        return Draft(failure=UNCALIBRATED.format(model))
    spans, texts = candidates(hits)
    if not spans:
        return Draft()
    rows, vectors = features(question, hits, spans, texts, embeddings)
    if focus != question:
        last, _ = features(focus, hits, spans, texts, embeddings)
        rows = (1 - FOCUS) * rows + FOCUS * last
    *weights, bias = WEIGHTS[model]
    scores = rows @ np.array(weights, np.float32) + bias
    scores[_other_rows(question, spans, texts)] = -np.inf

    # 2. Decide whether the best one answers the question.
    if 1 / (1 + math.exp(-scores.max())) < strictness:
        return Draft()

    # 3. Choose, and quote them in reading order.
    draft = Draft()
    for run in choose(spans, texts, scores, vectors):
        draft.cited.append(replace(spans[run[0]], end=spans[run[-1]].end))
        text = _run_text([spans[n] for n in run])
        mark = f"{chr(10) if text.endswith('```') else ' '}[{len(draft.cited)}]"
        sentence = spans[run[0]].kind == "sentence" and "\n" not in f"{draft.text}{text}"
        piece = f"{'' if not draft.text else ' ' if sentence else chr(10)}{text}{mark}"
        draft.text += piece
        yield piece
    return draft


def candidates(hits: Sequence[Hit]) -> tuple[list[Span], list[str]]:
    """All quotable spans of the hits with their text for reading.

    A text that occurs in several chunks counts for the first. Headings count as seen: a line that
    repeats one, as in a table of contents, answers nothing.
    """
    chunks = [hit.chunk for hit in hits]
    seen = {_key(part) for c in chunks for part in (c.title, *c.heading.split(SEPARATOR))}
    spans, texts = [], []
    for span in chain.from_iterable(map(sentences, chunks)):
        text = displayed(span)
        key = _key(text)
        if span.kind != "heading" and key not in seen and count_words(text) > 1:
            seen.add(key)
            spans.append(span)
            texts.append(text)
    return spans, texts


def features(
    question: str, hits: Sequence[Hit], spans: Sequence[Span], texts: Sequence[str], embeddings: Any
) -> tuple[Vectors, Vectors]:
    """float32 (spans, features) in the order of FEATURES, and float32 (spans, dimension)."""
    query, *_ = vectors = embed_texts(embeddings, [question, *texts], queries=1)
    language = language_of(question)
    subject, names = set(subject_terms(question, language)), names_of(question, language)

    by_chunk: dict[int, tuple[float, float, float]] = {}
    for hit in hits:
        chunk = hit.chunk
        text = f"{chunk.source} {chunk.title} {chunk.heading} {chunk.text}"
        has_names = all(_contains(text, name, language) for name in names)
        name = (1.0 if has_names else -1.0) if names else 0.0
        coverage = len(subject & set(terms(text, language))) / max(1, len(subject))
        by_chunk[chunk.id] = (hit.cosine or 0.0, coverage, name)
    rows = [
        (float(vector @ query), *by_chunk[span.chunk.id])
        for span, vector in zip(spans, vectors[1:], strict=True)
    ]
    return np.array(rows, dtype=np.float32), vectors[1:]


def _other_rows(question: str, spans: Sequence[Span], texts: Sequence[str]) -> list[int]:
    """The positions of table rows with fewer terms of the question than the best of their table."""
    language = language_of(question)
    subject = set(subject_terms(question, language))
    tables: dict[tuple[int, str], dict[int, int]] = defaultdict(dict)
    for n, (span, text) in enumerate(zip(spans, texts, strict=True)):
        if span.kind == "row":
            shared = len(subject & set(terms(text, language)))
            tables[span.chunk.document_id, span.context][n] = shared
    return [n for rows in tables.values() for n in rows if rows[n] < max(rows.values())]


def choose(
    spans: Sequence[Span], texts: Sequence[str], scores: Vectors, vectors: Vectors
) -> list[list[int]]:
    """The positions of the best spans, greedily, in reading order; those of one quote together.

    The document of the best span comes first.
    """
    values = scores.copy()
    best = int(scores.argmax())
    chosen: list[int] = []
    while values.max() >= scores[best] - FAR:
        # 1. Take the best span that is left, unless it repeats another or makes the answer too
        #    long.
        n = int(values.argmax())
        values[n] = -np.inf
        runs = _runs(spans, [*chosen, n])
        length = sum(count_words(texts[m]) for m in (*chosen, n))
        repeats = any(float(vectors[n] @ vectors[m]) > ALIKE for m in chosen)
        if chosen and (repeats or len(runs) > MAX_QUOTES or length > MAX_WORDS):
            continue
        chosen.append(n)

        # 2. Raise the spans beside the best one, and what a span announces.
        for beside in (n - 1, n + 1) if n == best else ():
            if 0 <= beside < len(spans) and spans[beside].chunk.id == spans[n].chunk.id:
                values[beside] += NEXT_TO
        announces = spans[n].quote.rstrip("*_ ").endswith(":")
        for after in range(n + 1, len(spans)) if announces else ():
            if spans[after].context and spans[n].quote.endswith(spans[after].context):
                values[after] += ANNOUNCED
    document = spans[best].chunk.document_id
    return sorted(_runs(spans, chosen), key=lambda run: spans[run[0]].chunk.document_id != document)


def displayed(span: Span) -> str:
    """A span for reading: without markup, code between fences, a table row as a sentence.

    `| int | 4 bytes |` of a table with the header `Name · Size` is `Name: int; Size: 4 bytes`.
    """
    kind = span.chunk.type
    if span.kind == "code":
        fenced = _FENCED.match(span.quote)
        return f"```\n{fenced[1] if fenced else span.quote}\n```"
    if span.kind == "row":
        row = [plain(cell, kind) for cell in cells(span.quote)]
        names = [plain(name, kind) for name in span.context.split(CELLS)]
        if not span.context or len(names) != len(row):
            return "; ".join(filter(None, row))
        pairs = zip(names, row, strict=True)
        return "; ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)
    text = plain(span.quote, kind)
    return text if kind in ASSEMBLED else " ".join(text.split())  # joins lines broken for width


def names_of(question: str, language: str) -> list[str]:
    """Numbers, names in code and capitalised words of a question.

    >>> names_of("Which toner does the Atlas need after E40?", "en")
    ['Atlas', 'E40']
    """
    return [
        match[0]
        for match in _NAME.finditer(question)
        if _IN_CODE.search(match[0])
        # In German a capital letter does not make a word a name.
        or (
            (match.start() and language != "de" and match[0][0].isupper())
            and match[0].lower() not in STOP_WORDS
        )
    ]


def model_of(embeddings: Any) -> str:
    """The key of the embeddings' weights in WEIGHTS, or their name if there are none."""
    name = str(getattr(embeddings, "name", type(embeddings).__name__))
    return next((model for model in WEIGHTS if name.startswith(model)), name)


def count_words(text: str) -> int:
    """The number of words; two Chinese, Japanese or Korean characters count as one."""
    return len(text.split()) + len(re.findall(rf"[{CJK}]", text)) // 2


def _contains(text: str, name: str, language: str) -> bool:
    if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE):
        return True
    stems = set(terms(name, language))  # "Planets" for "planet", but 3.1 only for itself
    return not _IN_CODE.search(name) and bool(stems) and stems <= set(terms(text, language))


def _runs(spans: Sequence[Span], chosen: Sequence[int]) -> list[list[int]]:
    """The positions in order; those of spans that follow each other in a chunk are together."""
    runs: list[list[int]] = []
    for n in sorted(chosen):
        before, span = spans[n - 1], spans[n]
        follows = before.chunk.id == span.chunk.id and span.start - before.end <= GAP
        if runs and runs[-1][-1] == n - 1 and follows:
            runs[-1].append(n)
        else:
            runs.append([n])
    return runs


def _run_text(run: Sequence[Span]) -> str:
    """The spans of one quote for reading: sentences of a paragraph in a line."""
    text = displayed(run[0])
    for before, span in pairwise(run):
        chunk = span.chunk
        gap = chunk.text[before.end - chunk.start : span.start - chunk.start]
        same = before.kind == span.kind == "sentence" and "\n\n" not in gap and not span.context
        text += f"{' ' if same else chr(10)}{displayed(span)}"
    return text


def _key(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
