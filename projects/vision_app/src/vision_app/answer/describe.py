"""A caption composed from what was recognized: labels, text and layout.

    describe(prediction, pages, size=(640, 480))
    # 'Probably a coffee mug (87 %). It contains 2 lines of text, the largest "GOOD MORNING".'

It states only what the classifier and the OCR engine returned, with their confidence; a
vision-language model writes better ones (`ask`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from vision_app.ocr.page import Line, Page

if TYPE_CHECKING:
    from vision_app.classify.classifier import Prediction

_DOCUMENT_LINES = 5  # lines of text on the first page of a document
_DOCUMENT_COVER = 0.25  # share of the page's height and width that a document's text spans
_MIN_LEGIBLE = 0.7  # confidence of a line's least certain word
_MIN_LABEL = 0.15  # confidence from which an uncertain label is mentioned
_TITLE_LINES = 12  # lines at the top among which the title is
_HEADING = 1.25  # height of a heading, as a multiple of the median


def describe(prediction: Prediction, pages: Sequence[Page], size: tuple[int, int]) -> str:
    """One to three sentences about an image.

    `prediction` is of the first page, `pages` are the pages as they were read, `size` is (width,
    height) in pixels of the first page's image.
    """
    pages = legible(pages)
    lines = [line for page in pages for line in page.lines]
    if is_document(pages):
        extent = f" of {len(pages)} pages" if len(pages) > 1 else ""
        heading = title(pages[0])
        name = f', titled "{_shortened(heading)}"' if heading else ""
        text = f"A document{extent} with {count(len(lines), 'line')} of text{name}."
        turn = {0: "", 180: " The page is upside down."}
        return text + turn.get(pages[0].turned, " The page lies on its side.")
    text = _picture(prediction)
    if len(lines) == 1:
        text += f' It contains the text "{_shortened(lines[0])}".'
    elif lines:
        largest = _shortened(max(lines, key=_height))
        text += f' It contains {count(len(lines), "line")} of text, the largest "{largest}".'
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
    page = pages[0]
    lefts, tops, rights, bottoms = zip(*(line.box for line in page.lines), strict=True)
    width, height = max(rights) - min(lefts), max(bottoms) - min(tops)
    return width >= _DOCUMENT_COVER * page.width and height >= _DOCUMENT_COVER * page.height


def title(page: Page) -> Line | None:
    """The largest heading of a page."""
    return max(headings(page), key=_height, default=None)


def headings(page: Page) -> list[Line]:
    """The lines of words near the top of a page that are clearly larger than its other lines."""
    lines = [line for line in page.lines if sum(map(str.isalpha, line.text)) >= 2]
    top = sorted(lines, key=lambda line: line.box[1])[:_TITLE_LINES]
    return [line for line in top if _height(line) >= _HEADING * median(map(_height, lines))]


def with_article(name: str) -> str:
    """A noun with its indefinite article.

    >>> with_article("orange"), with_article("unicycle")
    ('an orange', 'a unicycle')
    """
    vowel = name[:1].lower() in "aeiou" and not name.lower().startswith(("uni", "use", "eu"))
    return f"{'an' if vowel else 'a'} {name}"


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "line"), count(23, "line")
    ('1 line', '23 lines')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _picture(prediction: Prediction) -> str:
    labels = [label for label in prediction.labels[:3] if label.confidence >= _MIN_LABEL]
    if not labels:
        return "A picture whose content was not recognized with confidence."
    names = " or ".join(with_article(label.label) for label in labels)
    if not prediction.sure:
        return f"A picture of something not recognized with confidence, possibly {names}."
    name, confidence = with_article(labels[0].label), labels[0].confidence
    start = name[0].upper() + name[1:] if confidence >= 0.95 else f"Probably {name}"
    return f"{start} ({100 * confidence:.0f} %)."


def _height(line: Line) -> float:
    return line.box[3] - line.box[1]


def _shortened(line: Line) -> str:
    return line.text if len(line.text) <= 60 else line.text[:59].rstrip() + "…"
