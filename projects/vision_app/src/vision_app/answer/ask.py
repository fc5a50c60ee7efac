"""Answers questions about an image from what was recognized in it, with the supporting boxes.

    answer = ask("What is the total?", prediction, pages, size=(1240, 1754))
    answer.text, answer.boxes[0].box, answer.confidence    # "65.43 EUR", (…), 0.93
    ask("What colour is the sky?", prediction, pages, size=size).text   # "I can't tell from …"

An answer is an extracted field, quoted from the page, or a label of the classifier. Every word that
the question is about has to be there, else the answer is UNKNOWN: a wrong answer costs more than
none. Questions are English, and words are compared, not meanings. A vision-language model answers
everything else: `ask_model`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from vision_app.answer import describe as captions
from vision_app.answer.describe import count, with_article
from vision_app.answer.pairs import Pair, Support, find_pairs, support
from vision_app.ocr.page import Page, Pixels
from vision_app.search.kinds import is_kind, kinds_of
from seedbed.images import message_part

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from vision_app.classify.classifier import Label, Prediction

_NO_TEXT = "No text was recognized in this image."
UNKNOWN = "I can't tell from this image."
_PROMPT = (
    "Answer the question about the image in one or two sentences, using only what the image shows. "
    f"If it does not show the answer, reply exactly: {UNKNOWN}\n\nQuestion: "
)
_MIN_SCORE = 0.45  # of a label on the page; measured on tests/answer/questions.jsonl
_LIKELY, _CERTAIN = 0.35, 0.8  # confidence from which labels are a yes, and another label is a no
_SAME = 88  # rapidfuzz ratio from which two words are one in spite of OCR errors
_WORDS = tomllib.loads((resources.files("vision_app.answer") / "words.toml").read_text("utf-8"))
_TYPES = _WORDS["types"]
_STOP = frozenset(_WORDS["stop"].split())
_FORMS = {name: re.compile(kind["form"], re.VERBOSE) for name, kind in _TYPES.items()}


@dataclass(frozen=True)
class Answer:
    """`confidence` is 0 to 1; `boxes` is the text that supports it, empty for other evidence."""

    text: str
    boxes: tuple[Support, ...] = ()
    confidence: float = 0.0
    abstained: bool = False

    def as_json(self) -> dict[str, Any]:
        """{"text", "boxes": [{"text", "page", "box", "confidence"}], "confidence", "abstained"}."""
        return asdict(self)


ABSTENTION = Answer(UNKNOWN, abstained=True)


class _Question(NamedTuple):
    """`terms` must be in the label of the answer; one of the type's `words` if there are none."""

    text: str
    quoted: str
    type: str
    terms: Sequence[str]
    words: Sequence[str]


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
    # 1. What is the question about, and which type of value does it ask for?
    parsed = _parse(question)
    pages = captions.legible(pages)
    lines = [item for page in pages for item in support(page, *page.lines)]
    evidence = (extraction or {}).get("evidence", {})
    image = _Image(prediction, pages, size, evidence, lines)
    # 2. The first rule for such a question answers it, else a value on the page.
    source = next((rule for form, rule in _RULES if re.search(form, parsed.text)), _value)
    return source(parsed, image) or ABSTENTION


def ask_model(model: BaseChatModel, question: str, images: Sequence[Pixels]) -> Answer:
    """Pass the question and the images to a vision-language model. Boxes are not known then.

    The model's own errors pass. `confidence` is 0.5: such a model reports none.
    """
    from langchain_core.messages import HumanMessage

    content: list[str | dict[str, Any]] = [{"type": "text", "text": _PROMPT + question}]
    content += [message_part(pixels) for pixels in images]
    text = model.invoke([HumanMessage(content)]).text.strip()
    if not text or _letters(UNKNOWN) in _letters(text):
        return ABSTENTION
    return Answer(text, confidence=0.5)


def _parse(question: str) -> _Question:
    quoted = re.search(r"[\"“”'‘’«»](.{2,}?)[\"“”'‘’«»](?=\W|$)", question)
    text = " ".join(re.sub(r"[?!.]+(?=\s|$)", " ", question.lower().replace("’", "'")).split())
    text = re.sub(r"^((please|(can|could) you|tell me),? (?!see))+", "", text)
    kind = next((name for name, kind in _TYPES.items() if re.search(kind["question"], text)), "")
    words = _words(_TYPES[kind]["words"]) if kind else []
    terms = [word for word in _words(text) if word not in words]
    return _Question(text, quoted[1] if quoted else "", kind, terms, words)


# ── pictures, and the text as a whole ───────────────────────────────────────────────────────


def _measure(question: _Question, image: _Image) -> Answer:
    """The number of pages or lines, or the size in pixels."""
    if question.text.startswith("how many pages"):
        return Answer(f"{count(len(image.pages) or 1, 'page')}.", confidence=1.0)
    if "lines" in question.text:
        return _quote(f"{count(len(image.lines), 'line')} of text.", image.lines)
    return Answer(f"{image.size[0]} × {image.size[1]} pixels.", confidence=1.0)


def _title(_: _Question, image: _Image) -> Answer | None:
    heading = captions.title(image.pages[0]) if image.pages else None
    return _quote(heading.text, support(image.pages[0], heading)) if heading else None


def _text(_: _Question, image: _Image) -> Answer:
    return _quote("\n".join(line.text for line in image.lines)[:2000] or _NO_TEXT, image.lines)


def _content(_: _Question, image: _Image) -> Answer | None:
    """The caption, if it is more than a guess."""
    prediction = image.prediction
    if not image.lines and not prediction.sure and not _is_likely(prediction.labels[:1], image):
        return None
    text = captions.describe(prediction, image.pages, image.size)
    return Answer(
        text, tuple(image.lines), prediction.labels[0].confidence if not image.lines else 0.8
    )


def _mention(question: _Question, image: _Image) -> Answer | None:
    """Whether these words, or any words, were recognized."""
    terms = _words(question.quoted) or question.terms
    for line in image.lines:
        if _contain(_words(line.text), terms):
            return _quote(f'Yes: "{line.text}".', (line,))
    if terms and not image.lines:
        return None
    name = question.quoted or " ".join(terms)
    return Answer(f'No, "{name}" is not in the text.' if terms else _NO_TEXT, confidence=0.8)


def _presence(question: _Question, image: _Image) -> Answer | None:
    """Yes if labels or a heading are what the question names; no only for a certain other label."""
    terms, labels = question.terms, image.prediction.labels
    is_identity = re.match(r"(is|are) (this|it|that|these)\b", question.text)
    if not terms or not labels or re.search(r"\b(my|our|your|his|her|their)\b", question.text):
        return None
    if captions.is_document(image.pages):
        headings = [line for line in image.lines if len(line.text.split()) <= 3 and is_identity]
        matches = [line for line in headings if _contain(_words(line.text), terms)]
        return _quote(f'Yes, it is headed "{matches[0].text}".', matches[:1]) if matches else None
    likely = [
        label
        for label in labels
        if _contain(_words(" ".join([label.label, *kinds_of(label.label)])), terms)
    ]
    if _is_likely(likely, image):
        text = f"Yes, probably {with_article(likely[0].label)}."
        return Answer(text, confidence=min(1.0, sum(label.confidence for label in likely)))
    other = labels[0]
    is_other = is_identity and other not in likely and other.confidence >= _CERTAIN
    if is_other and is_kind(question.text.split()[-1]):
        text = f"Probably not: it looks like {with_article(other.label)}."
        return Answer(text, confidence=other.confidence)
    return None


def _is_likely(labels: Sequence[Label], image: _Image) -> bool:
    """Whether one of these labels is right, rather than one of the others."""
    others = [label.confidence for label in image.prediction.labels if label not in labels]
    confidence = sum(label.confidence for label in labels)
    return confidence >= max(_LIKELY, 3 * max(others, default=0.0))


_NOUN = r"(it|this|(the|this) (image|picture|photo|page|document|text|sign|label|poster|letter))"
_RULES: tuple[tuple[str, Callable[[_Question, _Image], Answer | None]], ...] = (
    (r"^how many (pages|(text )?lines|pixels)\b|\bresolution\b", _measure),
    (r"^how (large|big|wide|high) is (the|this) (image|picture|photo)$", _measure),
    (r"\b(size|dimensions) of (the|this) (image|picture|photo)$", _measure),
    (r"^(how many|why)\b", lambda *_: None),
    (r"\b(the|its) (title|heading|headline)( of \w+ \w+)?$", _title),
    (rf"^(read|transcribe) {_NOUN}|^what do(es)? {_NOUN} say$", _text),
    (r"^what('s| is| was)? (text|words|written|the text)( is| are)?( there| (in|on) it)?$", _text),
    (rf"^(describe|caption)\b|^what('s| is| are)( shown| visible)?( in| on)? {_NOUN}$", _content),
    (rf"^what do(es)? {_NOUN} show$|^what (do|can) you see|^what (animal|object) is", _content),
    (r"^(is|are|do|does)\b.*(\b(mention|contain|say|text|written)|[\"'“‘])", _mention),
    (r"^(is|are|was|were|do|does|did|has|have|can)\b", _presence),
)


# ── values on the page ──────────────────────────────────────────────────────────────────────


def _value(question: _Question, image: _Image) -> Answer | None:
    """The value of the label, or the sentence, that the question is about."""
    # On an invoice, "the invoice date" is "the date".
    headings = captions.headings(image.pages[0]) if image.pages and question.type else []
    subject = _words(" ".join(line.text for line in headings))
    rest = question._replace(terms=[t for t in question.terms if not _contain(subject, [t])])
    # 1. Labels that contain every word of the question, with a value of the right type.
    if matches := _matches(question, image) or _matches(rest, image):
        score, value, boxes = matches[0]
        if not all(_agree(value, other) for rival, other, _ in matches if rival >= 0.95 * score):
            return None  # two labels fit, with different values
        return _quote(value, boxes, score)
    # 2. Values that explain themselves, such as an e-mail address, if there is only one.
    if not rest.terms and question.type in ("email", "phone", "url", "date"):
        values = [(value, line) for line in image.lines if (value := _typed(question, line.text))]
        if values and all(_agree(values[0][0], value) for value, _ in values):
            return _quote(values[0][0], values[0][1:], 0.8)
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
        Pair(
            name.replace("_", " "),
            proof["text"],
            (Support(**{**proof, "box": tuple(proof["box"])}),),
        )
        for name, proof in image.evidence.items()
        if proof and proof["box"] and proof["confidence"] >= 0.5 and name != "line_items"
    ]
    matches = [
        (score * pair.weight, value, pair.support)
        for pair in [*fields, *find_pairs(image.pages)]
        if (score := _score(question, _words(pair.label))) >= _MIN_SCORE
        and (value := _typed(question, pair.value))
    ]
    return sorted(matches, key=lambda match: (-match[0], -len(match[1])))


def _score(question: _Question, label: Sequence[str]) -> float:
    """How well a label fits: 0 if it lacks a word, 1 for the same words, less with others."""
    needed = question.terms or [word for word in label if word in question.words][:1]
    if not needed or not _contain(label, needed):
        return 0.0
    others = [word for word in label if not _contain([*needed, *question.words], [word])]
    if question.type == "code" and others and not {*label} & {*question.words}:
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
    return _letters(value) == _letters(other) or words <= others or others <= words


# ── words ───────────────────────────────────────────────────────────────────────────────────


def _words(text: str) -> list[str]:
    """The stems of the words that matter, with synonyms replaced."""
    text = " ".join(re.findall(r"[^\W_]+", text.lower()))
    for name, others in _WORDS["synonyms"].items():
        text = re.sub(rf"\b(?:{others})\b", name, text)
    return [_stem(word) for word in text.split() if word not in _STOP]


def _stem(word: str) -> str:
    stem = re.sub(r"(ments?|ing|ed|ly|ies|es|s|y|e)$", "", word)
    return stem if len(stem) >= 3 else word


def _contain(words: Sequence[str], terms: Sequence[str]) -> bool:
    """Whether all terms are among the words, but for OCR errors; numbers must be equal."""
    from rapidfuzz import fuzz

    return all(
        term in words
        or (len(term) > 4 and term.isalpha() and any(fuzz.ratio(w, term) >= _SAME for w in words))
        for term in terms
    )


def _letters(text: str) -> str:
    return "".join(re.findall(r"[^\W_]", text.lower()))
