"""A caption composed from what was recognized: labels, text and layout, with their confidence.

For example:
    describe(prediction, pages, size=(640, 480))
    # 'Probably a coffee mug (87 %). It contains 2 lines of text, the largest "GOOD MORNING".'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from textwrap import shorten
from typing import TYPE_CHECKING

from vision_app.ocr.page import Line, Page, around

if TYPE_CHECKING:
    from vision_app.classify.classifier import Prediction

_DOCUMENT_LINES, _DOCUMENT_COVER = 5, 0.25  # of a document's text: lines, share of height and width
_MIN_LEGIBLE, _MIN_LABEL = 0.7, 0.15  # confidence of a line, and of a label that is mentioned
_TITLE_LINES, _HEADING = 12, 1.25  # a title is among the first lines, this much above the median


def describe(prediction: Prediction, pages: Sequence[Page], size: tuple[int, int]) -> str:
    """Two sentences. `prediction` and `size` (width, height) are those of the first page."""
    pages = legible(pages)
    lines = [line for page in pages for line in page.lines]
    if is_document(pages):
        extent = f" of {len(pages)} pages" if len(pages) > 1 else ""
        name = f", titled {_quote(heading)}" if (heading := title(pages[0])) else ""
        text = f"A document{extent} with {count(len(lines), 'line')} of text{name}."
        return text + (" The page is upside down." if pages[0].turned == 180 else "")
    text = _picture(prediction)
    if lines:
        extent = (
            "the text" if len(lines) == 1 else f"{count(len(lines), 'line')} of text, the largest"
        )
        text += f" It contains {extent} {_quote(max(lines, key=_height))}."
    return text + (f" It has only {size[0]} × {size[1]} pixels." if min(size) < 32 else "")


def legible(pages: Sequence[Page]) -> list[Page]:
    """The pages without the lines that OCR imagined in the texture of a photograph."""
    return [
        replace(page, lines=tuple(line for line in page.lines if line.confidence >= _MIN_LEGIBLE))
        for page in pages
    ]


def is_document(pages: Sequence[Page]) -> bool:
    """Whether the image is a page of text rather than a picture of something with text on it."""
    if not pages or len(pages[0].lines) < _DOCUMENT_LINES:
        return False
    left, top, right, bottom = around(line.box for line in pages[0].lines)
    width, height = _DOCUMENT_COVER * pages[0].width, _DOCUMENT_COVER * pages[0].height
    return right - left >= width and bottom - top >= height


def title(page: Page) -> Line | None:
    """The largest heading of a page."""
    return max(headings(page), key=_height, default=None)


def headings(page: Page) -> list[Line]:
    """The lines of words near the top of a page that are clearly larger than its other lines."""
    lines = [line for line in page.lines if sum(map(str.isalpha, line.text)) >= 2]
    top = sorted(lines, key=lambda line: line.box[1])[:_TITLE_LINES]
    return [line for line in top if _height(line) >= _HEADING * median(map(_height, lines))]


def with_article(name: str) -> str:
    """A noun with its indefinite article: an orange, a coffee mug."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def count(number: int, noun: str) -> str:
    """A number with its noun: 1 line, 23 lines."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _picture(prediction: Prediction) -> str:
    labels = [label for label in prediction.labels[:3] if label.confidence >= _MIN_LABEL]
    if not labels:
        return "A picture whose content was not recognized with confidence."
    names = " or ".join(with_article(label.label) for label in labels)
    if not prediction.sure:
        return f"A picture of something not recognized with confidence, possibly {names}."
    name, confidence = with_article(labels[0].label), labels[0].confidence
    start = f"A{name[1:]}" if confidence >= 0.95 else f"Probably {name}"
    return f"{start} ({100 * confidence:.0f} %)."


def _height(line: Line) -> float:
    return line.box[3] - line.box[1]


def _quote(line: Line) -> str:
    return f'"{shorten(line.text, 60, placeholder=" …")}"'
