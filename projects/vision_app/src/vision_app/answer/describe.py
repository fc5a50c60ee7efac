"""A caption composed from what was recognized: labels, text and layout.

    describe(prediction, pages, size=(640, 480))
    # 'Probably a coffee mug (87 %). It contains 2 lines of text, the largest "GOOD MORNING".'

The image is (width, height) in pixels. The caption states only what the classifier and the OCR
engine returned, with their confidence; a vision-language model writes better ones (`ask`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from vision_app.ocr.page import Line, Page

if TYPE_CHECKING:
    from vision_app.classify.classifier import Prediction

DOCUMENT_LINES = 5
"""Lines of text on the first page from which an image can be a document."""
_DOCUMENT_COVER = 0.25  # share of the page's height and width that a document's text spans
_MIN_LEGIBLE = 0.7  # confidence of a line's least certain word
_MIN_LABEL = 0.15  # confidence from which an uncertain label is mentioned
_TITLE_LINES = 12  # lines at the top among which the title is
_TITLE_CHARS = 60
_HEADING = 1.25  # height of a heading, as a multiple of the median


def describe(prediction: Prediction, pages: Sequence[Page], size: tuple[int, int]) -> str:
    """One to three sentences about an image.

    `prediction` is of the first page, `pages` are the pages as they were read, `size` is (width,
    height) in pixels of the first page's image.
    """
    pages = legible(pages)
    if is_document(pages):
        sentences = [_document(pages), _turn(pages[0])]
    else:
        sentences = [_picture(prediction, any(page.lines for page in pages)), _text(pages)]
    if min(size) < 32:
        sentences.append(f"The image has only {size[0]} × {size[1]} pixels.")
    return " ".join(sentence for sentence in sentences if sentence)


def legible(pages: Sequence[Page]) -> list[Page]:
    """The pages without the lines that OCR imagined in the texture of a photograph."""
    return [
        replace(page, lines=tuple(line for line in page.lines if line.confidence >= _MIN_LEGIBLE))
        for page in pages
    ]


def is_document(pages: Sequence[Page]) -> bool:
    """Whether the image is a page of text rather than a picture of something with text on it."""
    if not pages or len(pages[0].lines) < DOCUMENT_LINES:
        return False
    page = pages[0]
    boxes = [line.box for line in page.lines]
    width = max(box[2] for box in boxes) - min(box[0] for box in boxes)
    height = max(box[3] for box in boxes) - min(box[1] for box in boxes)
    return width >= _DOCUMENT_COVER * page.width and height >= _DOCUMENT_COVER * page.height


def title(page: Page) -> Line | None:
    """The largest heading of a page."""
    return max(headings(page), key=_height, default=None)


def headings(page: Page) -> list[Line]:
    """The lines near the top of a page that are clearly larger than its other lines.

    Lines without two letters, such as amounts, are left out.
    """
    lines = [line for line in page.lines if sum(map(str.isalpha, line.text)) >= 2]
    if not lines:
        return []
    smallest = _HEADING * median(map(_height, lines))
    top = sorted(lines, key=lambda line: line.box[1])[:_TITLE_LINES]
    return [line for line in top if _height(line) >= smallest]


def with_article(name: str) -> str:
    """A noun with its indefinite article.

    >>> with_article("orange"), with_article("coffee mug"), with_article("unicycle")
    ('an orange', 'a coffee mug', 'a unicycle')
    """
    vowel = name[:1].lower() in "aeiou" and not name.lower().startswith(("uni", "use", "eu"))
    return f"{'an' if vowel else 'a'} {name}"


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "line"), count(23, "line")
    ('1 line', '23 lines')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _document(pages: Sequence[Page]) -> str:
    number = sum(len(page.lines) for page in pages)
    text = f"A document with {count(number, 'line')} of text"
    if len(pages) > 1:
        text = f"A document of {len(pages)} pages with {count(number, 'line')} of text"
    heading = title(pages[0])
    return text + (f', titled "{_shortened(heading.text)}".' if heading else ".")


def _turn(page: Page) -> str:
    if page.turned == 180:
        return "The page is upside down."
    return "The page lies on its side." if page.turned else ""


def _picture(prediction: Prediction, has_text: bool) -> str:
    labels = prediction.labels
    if not labels:
        return "A picture with text." if has_text else "A picture; its content was not recognized."
    best = labels[0]
    if prediction.sure:
        start = with_article(best.label)
        start = f"Probably {start}" if best.confidence < 0.95 else start[0].upper() + start[1:]
        return f"{start} ({100 * best.confidence:.0f} %)."
    likely = [label for label in labels[:3] if label.confidence >= _MIN_LABEL]
    if not likely:
        return "A picture whose content was not recognized with confidence."
    names = " or ".join(with_article(label.label) for label in likely)
    return f"A picture of something not recognized with confidence, possibly {names}."


def _text(pages: Sequence[Page]) -> str:
    lines = [line for page in pages for line in page.lines]
    if not lines:
        return ""
    if len(lines) == 1:
        return f'It contains the text "{_shortened(lines[0].text)}".'
    largest = _shortened(max(lines, key=_height).text)
    return f'It contains {count(len(lines), "line")} of text, the largest "{largest}".'


def _height(line: Line) -> float:
    return line.box[3] - line.box[1]


def _shortened(text: str) -> str:
    return text if len(text) <= _TITLE_CHARS else text[: _TITLE_CHARS - 1].rstrip() + "…"
