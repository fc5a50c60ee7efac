"""Answers questions about an image from what was recognized in it.

    answer = ask("What is the total?", prediction, pages, size=(1240, 1754))
    answer.text, answer.boxes[0].box, answer.confidence    # "65.43 EUR", (…), 0.93

An answer is an extracted field, quoted from the page, or a label of the classifier. Every word of
the question has to be there (`words.toml`), else the answer is UNKNOWN: a wrong answer costs more
than none. Questions are English.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from rapidfuzz.fuzz import ratio

from vision_app.answer import describe as captions
from vision_app.answer.answer import UNKNOWN, Answer, Support, support
from vision_app.answer.rules.pairs import find_pairs
from vision_app.classify.kinds import is_kind, kinds_of
from vision_app.extract.values import squeeze
from vision_app.ocr.page import Page

if TYPE_CHECKING:
    from vision_app.classify.classifier import Prediction

_NO_TEXT = "No text was recognized in this image."
_MIN_SCORE = 0.45  # of a label on the page; measured on tests/answer/questions.jsonl
_LIKELY, _CERTAIN = 0.4, 0.8  # confidence from which labels are a yes, and another label is a no
_WORDS = tomllib.loads((resources.files(__package__) / "words.toml").read_text("utf-8"))
_STOP, _VAGUE = (frozenset(_WORDS[name].split()) for name in ("stop", "vague"))
_KINDS = {k: re.compile(form.replace("\n", "")) for k, form in _WORDS["questions"].items()}
_TYPES = {name: re.compile(kind["question"]) for name, kind in _WORDS["types"].items()}
_FORMS = {name: re.compile(kind["form"], re.VERBOSE) for name, kind in _WORDS["types"].items()}


class _Question(NamedTuple):
    """`terms` must be in the label of an answer, or one of the type's `hints` without terms."""

    text: str
    type: str
    terms: Sequence[str]
    hints: Sequence[str]


class _Image(NamedTuple):
    prediction: Prediction
    pages: Sequence[Page]
    size: tuple[int, int]
    evidence: Mapping[str, Any]
    lines: Sequence[Support]


def ask(
    question: str,
    prediction: Prediction,
    pages: Sequence[Page],
    size: tuple[int, int],
    extraction: Mapping[str, Any] | None = None,
) -> Answer:
    """Answer a question, or abstain with UNKNOWN.

    `prediction` is of the first page, `size` its (width, height) in pixels. `extraction` is the
    result of `extract` ({"fields", "evidence"}), whose fields are labels like those on the page.
    """
    # 1. Which type of value does the question ask for, and what is it about?
    text = " ".join(re.sub(r"[?!.]+(?=\s|$)", " ", question.lower().replace("’", "'")).split())
    text = re.sub(r"^((please|(can|could) you|tell me),? (?!see))+", "", text)
    value_type = next((name for name, form in _TYPES.items() if form.search(text)), "")
    hints = _words(_WORDS["types"][value_type]["words"]) if value_type else []
    terms = [word for word in _words(text) if word not in hints]
    # 2. What was recognized?
    pages = captions.legible(pages)
    lines = [item for page in pages for item in support(page, *page.lines)]
    image = _Image(prediction, pages, size, (extraction or {}).get("evidence", {}), lines)
    # 3. Answer by the kind of question.
    kind = next((name for name, form in _KINDS.items() if form.search(text)), "value")
    answer = _answer(kind, _Question(text, value_type, terms, hints), image)
    return answer or Answer(UNKNOWN, abstained=True)


def _answer(kind: str, question: _Question, image: _Image) -> Answer | None:
    """Answer a question of a kind of words.toml."""
    lines, labels = image.lines, image.prediction.labels
    match kind:
        case "pages":
            return Answer(f"{captions.count(len(image.pages) or 1, 'page')}.", confidence=1.0)
        case "lines":
            return _quote(f"{captions.count(len(lines), 'line')} of text.", lines)
        case "size":
            return Answer(f"{image.size[0]} × {image.size[1]} pixels.", confidence=1.0)
        case "title" if image.pages and (heading := captions.title(image.pages[0])):
            return _quote(heading.text, support(image.pages[0], heading))
        case "text":
            return _quote("\n".join(line.text for line in lines)[:2000] or _NO_TEXT, lines)
        case "content" if lines or (labels and labels[0].confidence >= _LIKELY):
            text = captions.describe(image.prediction, image.pages, image.size)
            return Answer(text, tuple(lines), 0.8 if lines else labels[0].confidence)
        case "mention" | "presence":
            return _yes_no(kind, question, image)
    return _value(question, image) if kind == "value" else None


def _yes_no(kind: str, question: _Question, image: _Image) -> Answer | None:
    """Yes if the text, a heading or labels are what the question names; no only if certain."""
    terms, labels, is_mention = question.terms, image.prediction.labels, kind == "mention"
    is_about_text = is_mention and re.search(r"\b(text|writing|written)\b", question.text)
    if not (terms or is_about_text) or re.search(r"\b(my|our|your|his|her)\b", question.text):
        return None
    if is_mention or captions.is_document(image.pages):
        lines = [line for line in image.lines if is_mention or len(line.text.split()) <= 3]
        if match := next((line for line in lines if _contain(_words(line.text), terms)), None):
            return _quote(f'Yes: "{match.text}".', (match,))
        no = "No, that is not in the recognized text." if lines else _NO_TEXT
        return Answer(no, confidence=0.8) if is_mention else None
    kinds = [_words(" ".join([label.label, *kinds_of(label.label)])) for label in labels]
    likely = [label for label, words in zip(labels, kinds, strict=True) if _contain(words, terms)]
    confidence = min(1.0, sum(label.confidence for label in likely))
    if confidence >= _LIKELY:
        return Answer(
            f"Yes, probably {captions.with_article(likely[0].label)}.", confidence=confidence
        )
    is_other = re.match(r"(is|are) (this|it|that)\b", question.text) and not likely
    if is_other and is_kind(question.text.split()[-1]) and labels[0].confidence >= _CERTAIN:
        text = f"Probably not: it looks like {captions.with_article(labels[0].label)}."
        return Answer(text, confidence=labels[0].confidence)
    return None


def _value(question: _Question, image: _Image) -> Answer | None:
    """The value of the label, or the sentence, that the question is about."""
    # On an invoice, "the invoice date" is "the date".
    headings = captions.headings(image.pages[0]) if image.pages and question.type else []
    subject = _words(" ".join(line.text for line in headings))
    rest = question._replace(terms=[t for t in question.terms if not _contain(subject, [t])])
    # 1. Labels that contain every word of the question, with a value of the right type.
    matches = _matches(question, image) or _matches(rest, image)
    # 2. Else values that explain themselves, such as an e-mail address.
    if not matches and not rest.terms and question.type in ("email", "phone", "url", "date"):
        values = [(_typed(question, line.text), line) for line in image.lines]
        matches = [(0.8, value, (line,)) for value, line in values if value]
    if matches:
        score, value, boxes = matches[0]
        is_clear = all(_agree(value, rival[1]) for rival in matches if rival[0] >= 0.95 * score)
        return _quote(value, boxes, score) if is_clear else None
    # 3. A sentence of one or two lines with all words of the question.
    if len(question.terms) < (1 if question.type else 2) or question.type == "code":
        return None
    for window in [*zip(image.lines), *pairwise(image.lines)]:
        text = " ".join(line.text for line in window)
        words = _words(text)
        has_value = not {*words} <= {*question.terms} and _typed(question, text)
        if has_value and _contain(words, question.terms):
            return _quote(text, window, 0.7)
    return None


def _quote(text: str, boxes: Sequence[Support], certainty: float = 1.0) -> Answer:
    confidence = min((item.confidence for item in boxes), default=0.8)
    return Answer(text, tuple(boxes), round(certainty * confidence, 3))


def _matches(question: _Question, image: _Image) -> list[tuple[float, str, tuple[Support, ...]]]:
    """(score, value, support) of the labels that fit, best first; the longer of equal ones."""
    fields = [
        (name.replace("_", " "), proof["text"], (Support(**proof),), 1.0)
        for name, proof in image.evidence.items()
        if proof and proof["box"] and proof["confidence"] >= 0.5 and name != "line_items"
    ]
    matches = [
        (score * weight, typed, boxes)
        for label, value, boxes, weight in [*fields, *find_pairs(image.pages)]
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
