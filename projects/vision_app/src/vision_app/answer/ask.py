"""Answers questions about an image from what was recognized in it, with the supporting boxes.

    answer = ask("What is the total?", prediction, pages, size=(1240, 1754))
    answer.text, answer.boxes[0].box, answer.confidence    # "65.43 EUR", (…), 0.93
    ask("What colour is the sky?", prediction, pages, size=size).text   # "I can't tell from …"

An answer is quoted from a line of text, computed from the pages, or a label of the classifier.
Every word that the question is about has to be there, else the answer is UNKNOWN: a wrong answer
costs more than none. Words are compared, not meanings: MiniLM is no help with labels (it puts
"phone number" nearer to "invoice number", 0.48, than to "Tel.", 0.34). A vision-language model
answers everything else: `ask_model`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from vision_app.answer.describe import (
    count,
    describe,
    headings,
    is_document,
    legible,
    title,
    with_article,
)
from vision_app.answer.pairs import Pair, Support, find_pairs, support
from vision_app.answer.questions import VALUES, Question, parse
from vision_app.ocr.page import Page, Pixels
from vision_app.search.kinds import is_kind, kinds_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from vision_app.classify.classifier import Label, Prediction

UNKNOWN = "I can't tell from this image."
_MIN_SCORE = 0.45  # of a label for the question; measured on tests/answer/questions.jsonl
_POSSIBLE, _LIKELY, _CERTAIN = 0.35, 0.5, 0.8  # confidence of labels
_MAX_TEXT = 2000  # characters of an answer that quotes everything
_NOT_QUOTED = ("how many ", "is ", "are ", "was ", "does ", "do ", "has ", "have ", "why ")
_SAME = 88  # rapidfuzz ratio from which two words are one in spite of OCR errors
# Labels that mean the same, by their first word here.
_SYNONYMS = (
    ("total", "grand total|total due|amount due|balance due|total amount|amount payable|to pay"),
    ("subtotal", "sub total|sub-total|net amount|net total|total net"),
    ("vat", "tax|sales tax|gst|mwst|ust|tva|value added tax"),
    ("invoice", "inv|rechnung|facture"),
    ("phone", "telephone|tel|mobile|call us"),
    ("due", "payable by|pay by|due by|payment due"),
    ("customer", "bill to|billed to|sold to|invoice to|client|buyer"),
    ("vendor", "seller|supplier|sold by|merchant|issuer"),
    ("delivery", "ship to|deliver to|shipping"),
    ("open", "opening|opens|opened"),
    ("born", "birth|birthday"),
    ("expire", "exp|expires|expiry|expiration|valid until|best before"),
)
_PROMPT = (
    "Answer the question about the image in one or two sentences, using only what the image shows. "
    f"If it does not show the answer, reply exactly: {UNKNOWN}\n\nQuestion: "
)


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


def ask(
    question: str,
    prediction: Prediction,
    pages: Sequence[Page],
    size: tuple[int, int],
    extraction: Mapping[str, Any] | None = None,
) -> Answer:
    """Answer a question, or abstain with UNKNOWN.

    `prediction` is of the first page, `size` its (width, height) in pixels. `extraction` is the
    result of `extract` ({"fields", "evidence"}), if the image is a document: its fields are asked
    before the other labels on the page.
    """
    # 1. What does the question ask for?
    parsed = parse(question)
    scene = _Scene(prediction, legible(pages), size, extraction or {})
    # 2. Counts, the text itself, labels of the classifier: each kind has its own source.
    answer = _SOURCES.get(parsed.kind, _value)(parsed, scene)
    return answer or ABSTENTION


def ask_model(model: BaseChatModel, question: str, images: Sequence[Pixels]) -> Answer:
    """Pass the question and the images to a vision-language model. Boxes are not known then.

    The model's own errors pass. `confidence` is 0.5: such a model reports none.
    """
    from langchain_core.messages import HumanMessage

    content: list[str | dict[str, Any]] = [{"type": "text", "text": _PROMPT + question}]
    content += [image_part(pixels) for pixels in images]
    text = model.invoke([HumanMessage(content)]).text.strip()
    if not text or _letters(UNKNOWN) in _letters(text):
        return ABSTENTION
    return Answer(text, confidence=0.5)


def image_part(pixels: Pixels, side: int = 1568) -> dict[str, Any]:
    """An image as a part of a LangChain message: a JPEG of at most `side` pixels, in base64."""
    import io

    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    data = base64.b64encode(buffer.getvalue()).decode()
    return {"type": "image", "base64": data, "mime_type": "image/jpeg"}


@dataclass(frozen=True)
class _Scene:
    prediction: Prediction
    pages: Sequence[Page]
    size: tuple[int, int]
    extraction: Mapping[str, Any]

    @property
    def lines(self) -> list[Support]:
        return [item for page in self.pages for item in support(page, *page.lines)]


# ── counts, size, the whole text ────────────────────────────────────────────────────────────


def _pages(_: Question, scene: _Scene) -> Answer:
    return Answer(f"{count(len(scene.pages) or 1, 'page')}.", confidence=1.0)


def _lines(_: Question, scene: _Scene) -> Answer:
    return _counted(count(len(scene.lines), "line"), scene)


def _words(_: Question, scene: _Scene) -> Answer:
    return _counted(count(sum(len(page.words) for page in scene.pages), "word"), scene)


def _counted(text: str, scene: _Scene) -> Answer:
    lines = scene.lines
    return Answer(f"{text} of text.", tuple(lines), _mean([line.confidence for line in lines]))


def _size(_: Question, scene: _Scene) -> Answer:
    return Answer(f"{scene.size[0]} × {scene.size[1]} pixels.", confidence=1.0)


def _text(question: Question, scene: _Scene) -> Answer | None:
    if question.terms and question.terms != ("text",):
        return _value(question, scene)  # "What is written on the blue sign?"
    lines = scene.lines
    if not lines:
        return Answer("No text was recognized in this image.", confidence=0.8)
    text = "\n".join(line.text for line in lines)
    text = text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
    return Answer(text, tuple(lines), _mean([line.confidence for line in lines]))


def _has_text(_: Question, scene: _Scene) -> Answer:
    lines = scene.lines
    if not lines:
        return Answer("No text was recognized in this image.", confidence=0.8)
    return Answer(f"Yes, {count(len(lines), 'line')}.", tuple(lines), lines[0].confidence)


def _title(_: Question, scene: _Scene) -> Answer | None:
    heading = title(scene.pages[0]) if scene.pages else None
    if heading is None:
        return None
    boxes = support(scene.pages[0], heading)
    return Answer(heading.text, boxes, heading.confidence)


# ── labels of the classifier ────────────────────────────────────────────────────────────────


def _content(_: Question, scene: _Scene) -> Answer | None:
    labels = scene.prediction.labels
    text = describe(scene.prediction, scene.pages, scene.size)
    if is_document(scene.pages):
        heading = title(scene.pages[0])
        return Answer(text, support(scene.pages[0], heading) if heading else (), 0.9)
    if labels and (scene.prediction.sure or _stands_out(labels[0].confidence, labels[1:])):
        return Answer(text, tuple(scene.lines), labels[0].confidence)
    return Answer(text, tuple(scene.lines), 0.5) if scene.lines else None


def _stands_out(probability: float, others: Sequence[Label]) -> bool:
    """Whether labels are worth mentioning that together have this probability."""
    rest = max((label.confidence for label in others), default=0.0)
    return probability >= _LIKELY or (probability >= _POSSIBLE and probability >= 4 * rest)


def _presence(question: Question, scene: _Scene) -> Answer | None:
    """Yes if a label or a heading is what the question names; no only for a sure other label."""
    if question.quoted:
        return _mention(question, scene)
    if not question.terms or re.search(r"\b(my|our|your|his|her|their)\b", question.text):
        return None
    name = " ".join(question.terms)
    if is_document(scene.pages):
        return _is_this_document(question, scene)
    labels = scene.prediction.labels
    matches = [label for label in labels if _is_a(label.label, name)]
    probability = min(1.0, sum(label.confidence for label in matches))
    if matches and _stands_out(probability, [label for label in labels if label not in matches]):
        best = matches[0].label
        return Answer(f"Yes, probably {with_article(best)}.", confidence=probability)
    is_identity = re.match(r"(is|are) (this|it|that)\b", question.text)
    if is_identity and labels and labels[0].confidence >= _CERTAIN and is_kind(_singular(name)):
        text = f"Probably not: it looks like {with_article(labels[0].label)}."
        return Answer(text, confidence=labels[0].confidence)
    return None


def _is_this_document(question: Question, scene: _Scene) -> Answer | None:
    """ "Is this an invoice?" is answered by a heading of these words."""
    for page in scene.pages[:1]:
        for line in page.lines:
            words = _tokens(line.text)
            if len(words) <= 3 and all(_contains(words, term) for term in question.terms):
                text = f'Yes, it is headed "{line.text}".'
                return Answer(text, support(page, line), line.confidence)
    return None


def _is_a(label: str, name: str) -> bool:
    words = {label.lower(), *label.lower().split(), *kinds_of(label)}
    return name in words or _singular(name) in words


# ── the text on the page ────────────────────────────────────────────────────────────────────


def _mention(question: Question, scene: _Scene) -> Answer | None:
    """Whether words occur in the text. "No" only where text was recognized."""
    verbs = {"mention", "mentions", "contain", "contains", "word", "text", "words"}
    terms = [term for term in question.terms if term not in verbs]
    phrase = question.quoted or " ".join(terms)
    if not scene.lines or not phrase:
        return None
    wanted = _tokens(phrase)
    for line in scene.lines:
        words = _tokens(line.text)
        if all(_contains(words, term) for term in wanted):
            return Answer(f'Yes: "{line.text}".', (line,), line.confidence)
    lowest = min(line.confidence for line in scene.lines)
    return Answer(f'No, "{phrase}" is not in the recognized text.', (), min(0.8, lowest))


def _value(question: Question, scene: _Scene) -> Answer | None:
    """The value of the label, or the sentence, that the question is about."""
    if question.text.startswith(_NOT_QUOTED) and question.type != "number":
        return None
    subjectless = _without_subject(question, scene)
    # 1. Labels that contain every word of the question, with a value of the right type.
    scored = _score(question, scene) or _score(subjectless, scene)
    if scored:
        score, value, pair = scored[0]
        rivals = {_letters(other) for rival, other, _ in scored if rival >= 0.95 * score}
        if any(other not in _letters(value) for other in rivals):
            return None  # two labels fit, with different values
        confidence = score * min(item.confidence for item in pair.support)
        return Answer(value, pair.support, min(1.0, round(confidence, 3)))
    # 2. Values that explain themselves, such as an e-mail address, if there is only one.
    if not subjectless.terms and question.type in ("email", "phone", "url", "iban", "date"):
        return _only_value(question.type, scene.lines)
    # 3. A sentence with all words of the question.
    return _sentence(question, scene)


def _score(question: Question, scene: _Scene) -> list[tuple[float, str, Pair]]:
    """(score, value, pair) of the labels that fit, best first."""
    scored = [
        (score * pair.weight, value, pair)
        for pair in [*_fields(scene), *find_pairs(scene.pages)]
        if (score := _label_score(question, pair.label)) >= _MIN_SCORE
        and (value := _typed(question.type, pair.value))
    ]
    return sorted(scored, key=lambda item: -item[0])


def _without_subject(question: Question, scene: _Scene) -> Question:
    """Leave out what the page as a whole is: on an invoice, "the invoice date" is "the date"."""
    if not question.type or not scene.pages:
        return question
    words = _tokens(" ".join(line.text for line in headings(scene.pages[0])))
    terms = tuple(term for term in question.terms if not _contains(words, term))
    return replace(question, terms=terms)


def _fields(scene: _Scene) -> list[Pair]:
    """The extracted fields as pairs, with their values as printed."""
    fields, evidence = (scene.extraction.get(name) or {} for name in ("fields", "evidence"))
    return [
        Pair(
            name.replace("_", " "),
            proof["text"],
            (Support(proof["text"], proof["page"], tuple(proof["box"]), proof["confidence"]),),
            1.05,
        )
        for name, proof in evidence.items()
        if proof
        and proof["confidence"] >= 0.5
        and fields.get(name) is not None
        and not isinstance(fields[name], list | dict)
    ]


def _label_score(question: Question, label: str) -> float:
    """How well a label fits: 0 if it lacks a word, 1 for the same words, less with others."""
    words = _tokens(_canonical(label))
    terms = _tokens(_canonical(" ".join(question.terms)))
    hints = _tokens(_canonical(" ".join(question.type_words)))
    needed = terms or [word for word in words if _contains(hints, word)][:1]
    if not needed or not all(_contains(words, term) for term in needed):
        return 0.0
    others = sum(not _contains([*terms, *hints, "number"], word) for word in words)
    if question.type == "code" and others and not {*words} & {"number", "no", "nr", "id", "code"}:
        return 0.0  # "meter reading" for the meter number
    return 2 * len(needed) / (2 * len(needed) + others)


def _typed(value_type: str, text: str) -> str:
    """The part of a value that has the type, "" if none has; the last amount of a row."""
    if not value_type:
        return text
    if value_type in ("phone", "amount"):
        text = re.sub(VALUES["date"], " ", text)
    matches = [match[0].strip(" .,;") for match in re.finditer(VALUES[value_type], text)]
    if not matches and value_type == "amount":
        matches = re.findall(r"^-?\d[\d.,]*$", text.strip())
    # "Monday to Friday: 9:00 - 18:00", "OS 397"
    if matches and (value_type in ("when", "time") or (value_type == "code" and len(text) < 20)):
        return text
    return (matches[-1] if value_type == "amount" else matches[0]) if matches else ""


def _only_value(value_type: str, lines: Sequence[Support]) -> Answer | None:
    values = [(value, line) for line in lines if (value := _typed(value_type, line.text))]
    if not values or len({_letters(value) for value, _ in values}) > 1:
        return None
    value, line = values[0]
    return Answer(value, (line,), round(0.8 * line.confidence, 3))


def _sentence(question: Question, scene: _Scene) -> Answer | None:
    """One or two lines that contain all words of the question, and a value of its type."""
    terms = _tokens(_canonical(" ".join(question.terms)))
    if len(terms) < (1 if question.type else 2) or question.type == "code":
        return None
    for page in scene.pages:
        lines = page.lines
        for window in [*zip(lines), *pairwise(lines)]:
            text = " ".join(line.text for line in window)
            words = _tokens(_canonical(text))
            if (
                all(_contains(words, term) for term in terms)
                and any(not _contains(terms, word) for word in words)
                and _typed(question.type, text)
            ):
                lowest = min(line.confidence for line in window)
                return Answer(text, support(page, *window), round(0.7 * lowest, 3))
    return None


# ── words ───────────────────────────────────────────────────────────────────────────────────


def _canonical(text: str) -> str:
    text = " ".join(re.findall(r"[\w'&-]+", text.lower()))
    for name, others in _SYNONYMS:
        text = re.sub(rf"\b(?:{others})\b", name, text)
    return text


def _tokens(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _stem(word: str) -> str:
    stem = re.sub(r"(ments?|ing|ed|ly|ies|es|s|y|e)$", "", word)
    return stem if len(stem) >= 3 else word


def _contains(words: Sequence[str], term: str) -> bool:
    """Whether a word occurs, in another form or with an OCR error; numbers must be equal."""
    from rapidfuzz import fuzz

    if term in words or _stem(term) in map(_stem, words):
        return True
    if len(term) < 5 or not term.isalpha():
        return False
    return any(word[0] == term[0] and fuzz.ratio(word, term) >= _SAME for word in words)


def _letters(text: str) -> str:
    return "".join(_tokens(text))


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 3) if values else 0.8


_SOURCES: dict[str, Callable[[Question, _Scene], Answer | None]] = {
    "pages": _pages,
    "lines": _lines,
    "words": _words,
    "size": _size,
    "text": _text,
    "has_text": _has_text,
    "title": _title,
    "content": _content,
    "presence": _presence,
    "mention": _mention,
}
