"""Answers questions about an image from what was recognized in it, with the supporting boxes.

    answer = ask("What is the total?", prediction, pages, size=(1240, 1754))
    answer.text, answer.boxes[0].box, answer.confidence    # "65.43 EUR", (…), 0.93
    ask("What colour is the sky?", prediction, pages, size=size).text   # "I can't tell from …"

An answer is quoted from a line of text, computed from the pages, or a label of the classifier.
Every word that the question is about has to be there; otherwise the answer is UNKNOWN, since a wrong
answer costs more than none. A vision-language model answers everything else: `ask_model`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vision_app.answer.describe import count, describe, is_document, title, with_article
from vision_app.answer.pairs import Pair, Support, find_pairs, support
from vision_app.answer.questions import VALUES, Question, parse
from vision_app.ocr.page import Page, Pixels
from vision_app.search.kinds import is_kind, kinds_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from vision_app.classify.classifier import Prediction

UNKNOWN = "I can't tell from this image."
_MIN_SCORE = 0.45  # of a label for the question; measured on tests/answer/questions.jsonl
_MAX_TEXT = 2000  # characters of an answer that quotes everything
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
    ("expire", "expires|expiry|expiration|valid until|best before"),
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
    scene = _Scene(prediction, pages, size, extraction or {})
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
    if scene.prediction.sure and labels:
        return Answer(text, tuple(scene.lines), labels[0].confidence)
    return Answer(text, tuple(scene.lines), 0.5) if scene.lines else None


def _presence(question: Question, scene: _Scene) -> Answer | None:
    """Yes if a label or a heading is what the question names; no only for a sure other label."""
    if question.quoted:
        return _mention(question, scene)
    if not question.terms:
        return None
    name = " ".join(question.terms)
    if is_document(scene.pages):
        return _is_this_document(question, scene)
    matches = [label for label in scene.prediction.labels if _is_a(label.label, name)]
    probability = min(1.0, sum(label.confidence for label in matches))
    if matches and probability >= 0.5:
        best = matches[0].label
        return Answer(f"Yes, probably {with_article(best)}.", confidence=probability)
    best = scene.prediction.labels[0] if scene.prediction.labels else None
    is_identity = re.match(r"(is|are) (this|it|that)\b", question.text)
    if is_identity and best and best.confidence >= 0.8 and is_kind(_singular(name)):
        text = f"Probably not: it looks like {with_article(best.label)}."
        return Answer(text, confidence=best.confidence)
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
    """The value of the label, or the line, that the question is about."""
    if question.text.startswith(("how many ", "is ", "are ", "does ", "do ", "why ")):
        if question.type != "number" or not question.terms:
            return None
    pairs = [*_fields(scene), *find_pairs(scene.pages)]
    # 1. Labels that contain every word of the question, with a value of the right type.
    scored = [
        (score * pair.weight, value, pair)
        for pair in pairs
        if (score := _label_score(question, pair.label)) >= _MIN_SCORE
        and (value := _typed(question.type, pair.value))
    ]
    scored.sort(key=lambda item: -item[0])
    if scored:
        score, value, pair = scored[0]
        rivals = {_letters(v) for s, v, _ in scored if s >= 0.95 * score}
        if len(rivals) > 1 and not any(v in _letters(value) for v in rivals - {_letters(value)}):
            return None
        confidence = score * min(item.confidence for item in pair.support)
        return Answer(value, pair.support, round(confidence, 3))
    # 2. Values that explain themselves, such as an e-mail address; only if there is no other.
    if not question.terms and question.type in ("email", "phone", "url", "iban", "date"):
        return _only_value(question.type, scene.lines)
    # 3. A sentence with all words of the question.
    return _sentence(question, scene.lines)


def _fields(scene: _Scene) -> list[Pair]:
    """The extracted fields as pairs."""
    fields, evidence = (scene.extraction.get(name) or {} for name in ("fields", "evidence"))
    return [
        Pair(
            name.replace("_", " "),
            str(fields[name]),
            (Support(proof["text"], proof["page"], tuple(proof["box"]), proof["confidence"]),),
            1.05,
        )
        for name, proof in evidence.items()
        if proof and fields.get(name) is not None and not isinstance(fields[name], list | dict)
    ]


def _label_score(question: Question, label: str) -> float:
    """How well a label fits: 0 if it lacks a word, 1 for the same words, less for each other one."""
    label_words = _tokens(_canonical(label))
    terms = _tokens(_canonical(" ".join(question.terms)))
    optional = _tokens(" ".join(question.optional))
    needed = terms or optional
    if not needed or not label_words or not all(_contains(label_words, term) for term in needed):
        return 0.0
    known = {*terms, *optional}
    matched = sum(_contains(known, word) for word in label_words)
    return 2 * len(needed) / (2 * len(needed) + len(label_words) - matched)


def _typed(value_type: str, text: str) -> str:
    """The part of a value that has the type, "" if none has; the last amount of a row."""
    if not value_type:
        return text
    matches = [match[0].strip(" .,;") for match in re.finditer(VALUES[value_type], text)]
    if not matches and value_type == "amount":
        matches = re.findall(r"^-?\d[\d.,]*$", text.strip())
    return (matches[-1] if value_type == "amount" else matches[0]) if matches else ""


def _only_value(value_type: str, lines: Sequence[Support]) -> Answer | None:
    values = [(value, line) for line in lines if (value := _typed(value_type, line.text))]
    if not values or len({_letters(value) for value, _ in values}) > 1:
        return None
    value, line = values[0]
    return Answer(value, (line,), round(0.8 * line.confidence, 3))


def _sentence(question: Question, lines: Sequence[Support]) -> Answer | None:
    if len(question.terms) < 2 and not (question.terms and question.type):
        return None
    terms = _tokens(_canonical(" ".join(question.terms)))
    for line in lines:
        words = _tokens(_canonical(line.text))
        rest = [word for word in words if not _contains(terms, word)]
        if all(_contains(words, term) for term in terms) and len(rest) >= 1:
            if _typed(question.type, line.text):
                return Answer(line.text, (line,), round(0.7 * line.confidence, 3))
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


def _contains(words: Sequence[str] | set[str], term: str) -> bool:
    """Whether a word occurs, in spite of a plural or an OCR error; numbers must be equal."""
    from rapidfuzz import fuzz

    if term in words or _singular(term) in {_singular(word) for word in words}:
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
