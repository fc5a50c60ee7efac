"""The text of a digital PDF page as a `Page`: exact, and without OCR.

    page = to_page(source.find_words(0), 1)      # words with boxes, from files/pdf.py

Whether the text of a page can be trusted is up to `pdf.find_words`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vision_app.ocr.page import Line, Page, Word
from vision_app.ocr.reading_order import order

# Characters. What looks for values in a line takes time in the square of its length.
MAX_WORD, MAX_LINE = 200, 1_000


def to_page(text: dict[str, Any], number: int) -> Page:
    """The page of {"size": [width, height], "words": [[text, left, top, right, bottom], …]}.

    >>> words = [["Total", 10, 10, 50, 22], ["5.00", 55, 10, 80, 22], ["Net", 10, 30, 30, 42]]
    >>> to_page({"size": [100, 100], "words": words}, 1).text
    'Total 5.00\\nNet'
    """
    lines: list[list[Word]] = []
    length = 0
    for content, *box in text["words"]:
        left, top, right, bottom = map(float, box)
        for word in _parts(Word(content, (left, top, right, bottom), 1.0)):
            length += 1 + len(word.text)
            if lines and length <= MAX_LINE and _continues(lines[-1], word):
                lines[-1].append(word)
            else:
                lines.append([word])
                length = len(word.text)
    width, height = text["size"]
    return Page(number, width, height, tuple(order([Line(tuple(words)) for words in lines])))


def _parts(word: Word) -> Iterator[Word]:
    """The word, cut into parts of at most MAX_WORD characters."""
    left, top, right, bottom = word.box
    step = (right - left) / len(word.text)
    for start in range(0, len(word.text), MAX_WORD):
        text = word.text[start : start + MAX_WORD]
        box = left + step * start, top, left + step * (start + len(text)), bottom
        yield Word(text, box, word.confidence)


def _continues(words: Sequence[Word], word: Word) -> bool:
    """Whether a word is next to the last one of a line, by less than its height."""
    _, top, right, bottom = words[-1].box
    middle = (word.box[1] + word.box[3]) / 2
    return top <= middle <= bottom and -2 <= word.box[0] - right < bottom - top
