"""Answers questions about a document from what was read in it.

    answer = ask("What is the total?", pages)
    answer.text, answer.boxes[0].box, answer.confidence    # "65.43 EUR", (…), 0.93

An answer is an extracted field, or quoted from the page. Every word of the question has to be there
(`words.toml`), else the answer is UNKNOWN: a wrong answer costs more than none. Questions are
English, and ask for a value: yes or no, and what a picture shows, are left to a model.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import pairwise
from typing import Any, NamedTuple

from rapidfuzz.fuzz import ratio

from vision_app.answer.answer import UNKNOWN, Answer, Support, support
from vision_app.answer.describe import headings, legible
from vision_app.answer.rules.pairs import find_pairs
from vision_app.extract.values import squeeze
from vision_app.ocr.page import Page

_MIN_SCORE = 0.45  # of a label on the page; measured on tests/answer/questions.jsonl
_WORDS = tomllib.loads((resources.files(__package__) / "words.toml").read_text("utf-8"))
_STOP, _VAGUE = (frozenset(_WORDS[name].split()) for name in ("stop", "vague"))
_OTHER = re.compile(_WORDS["other"])
_TYPES = {name: re.compile(kind["question"]) for name, kind in _WORDS["types"].items()}
_FORMS = {name: re.compile(kind["form"], re.VERBOSE) for name, kind in _WORDS["types"].items()}


class _Question(NamedTuple):
    """`terms` must be in the label of an answer, or one of the type's `hints` without terms."""

    text: str
    type: str
    terms: Sequence[str]
    hints: Sequence[str]


class _Document(NamedTuple):
    pages: Sequence[Page]
    evidence: Mapping[str, Any]
    lines: Sequence[Support]


def ask(
    question: str, pages: Sequence[Page], extraction: Mapping[str, Any] | None = None
) -> Answer:
    """Answer a question, or abstain with UNKNOWN.

    `extraction` is the result of `extract` ({"fields", "evidence"}), whose fields are labels like
    those on the page.
    """
    # 1. Which type of value does the question ask for, and what is it about?
    text = " ".join(re.sub(r"[?!.]+(?=\s|$)", " ", question.lower().replace("’", "'")).split())
    text = re.sub(r"^((please|(can|could) you|tell me),? (?!see))+", "", text)
    value_type = next((name for name, form in _TYPES.items() if form.search(text)), "")
    hints = _words(_WORDS["types"][value_type]["words"]) if value_type else []
    terms = [word for word in _words(text) if word not in hints]
    # 2. What was read?
    pages = legible(pages)
    lines = [item for page in pages for item in support(page, *page.lines)]
    document = _Document(pages, (extraction or {}).get("evidence", {}), lines)
    # 3. Which label or sentence is it about?
    unknown = Answer(UNKNOWN, abstained=True)
    if _OTHER.search(text):
        return unknown
    return _value(_Question(text, value_type, terms, hints), document) or unknown


def _value(question: _Question, document: _Document) -> Answer | None:
    """The value of the label, or the sentence, that the question is about."""
    # On an invoice, "the invoice date" is "the date".
    titles = headings(document.pages[0]) if document.pages and question.type else []
    subject = _words(" ".join(line.text for line in titles))
    rest = question._replace(terms=[t for t in question.terms if not _contain(subject, [t])])
    # 1. Labels that contain every word of the question, with a value of the right type.
    matches = _matches(question, document) or _matches(rest, document)
    # 2. Else values that explain themselves, such as an e-mail address.
    if not matches and not rest.terms and question.type in ("email", "phone", "url", "date"):
        values = [(_typed(question, line.text), line) for line in document.lines]
        matches = [(0.8, value, (line,)) for value, line in values if value]
    if matches:
        score, value, boxes = matches[0]
        is_clear = all(_agree(value, rival[1]) for rival in matches if rival[0] >= 0.95 * score)
        return _quote(value, boxes, score) if is_clear else None
    # 3. A sentence of one or two lines with all words of the question.
    if len(question.terms) < (1 if question.type else 2) or question.type == "code":
        return None
    for window in [*zip(document.lines), *pairwise(document.lines)]:
        text = " ".join(line.text for line in window)
        words = _words(text)
        has_value = not {*words} <= {*question.terms} and _typed(question, text)
        if has_value and _contain(words, question.terms):
            return _quote(text, window, 0.7)
    return None


def _quote(text: str, boxes: Sequence[Support], certainty: float = 1.0) -> Answer:
    confidence = min((item.confidence for item in boxes), default=0.8)
    return Answer(text, tuple(boxes), round(certainty * confidence, 3))


def _matches(
    question: _Question, document: _Document
) -> list[tuple[float, str, tuple[Support, ...]]]:
    """(score, value, support) of the labels that fit, best first; the longer of equal ones."""
    fields = [
        (name.replace("_", " "), proof["text"], (Support(**proof),), 1.0)
        for name, proof in document.evidence.items()
        if proof and proof["box"] and proof["confidence"] >= 0.5 and name != "line_items"
    ]
    matches = [
        (score * weight, typed, boxes)
        for label, value, boxes, weight in [*fields, *find_pairs(document.pages)]
        if (score := _score(question, _words(label))) >= _MIN_SCORE
        and (typed := _typed(question, value))
    ]
    return sorted(matches, key=lambda match: (-match[0], -len(match[1])))


def _score(question: _Question, label: Sequence[str]) -> float:
    """How well a label fits: 0 if it lacks a word, 1 for the same words, less with others."""
    needed = (
        question.terms
        or [word for word in label if word in question.hints and word not in _VAGUE][:1]
    )
    if not needed or not _contain(label, needed):
        return 0.0
    others = [word for word in label if not _contain([*needed, *question.hints], [word])]
    if question.type == "code" and others and not {*label} & {*question.hints}:
        return 0.0  # "meter reading" for the meter number
    return 2 * len(needed) / (2 * len(needed) + len(others))


def _typed(question: _Question, text: str) -> str:
    """The part of a value that has the type, "" if none has; the last amount of a row."""
    kind = question.type
    if kind == "" or (kind == "time" and any(_FORMS[k].search(text) for k in ("time", "date"))):
        return text  # as a whole: "Monday to Friday: 9:00 - 18:00"
    if kind in ("phone", "amount"):
        text = _FORMS["date"].sub(" ", text).strip()
    values = [match[0].strip(" .,;") for match in _FORMS[kind].finditer(text)] or [""]
    if kind == "code" and values[0] and len(text) < 20:
        return text  # "OS 397"
    return values[-1 if kind == "amount" else 0]


def _agree(value: str, other: str) -> bool:
    """Whether two values are the same, or one is the other with a currency or a unit."""
    words, others = ({*re.findall(r"\w+", text.lower())} for text in (value, other))
    return squeeze(value) == squeeze(other) or words <= others or others <= words


def _words(text: str) -> list[str]:
    """The stems of the words that matter, with synonyms replaced."""
    text = " ".join(re.findall(r"[^\W_]+", text.lower()))
    for name, others in _WORDS["synonyms"].items():
        text = re.sub(rf"\b(?:{others})\b", name, text)
    suffix = r"(?<=\w{3})(?:ments?|ing|ed|ly|ies|es|s|y|e)$"
    return [re.sub(suffix, "", word) for word in text.split() if word not in _STOP]


def _contain(words: Sequence[str], terms: Sequence[str]) -> bool:
    """Whether all terms are among the words, but for OCR errors; numbers must be equal."""
    return all(
        any(w == term or (len(term) > 4 and term.isalpha() and ratio(w, term) >= 88) for w in words)
        for term in terms
    )
