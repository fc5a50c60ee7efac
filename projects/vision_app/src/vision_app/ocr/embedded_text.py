"""The text of a digital PDF page as a `Page`: exact, and without OCR.

    page = to_page(source.find_words(0), 1)      # words with boxes, from files/pdf.py

Whether the text of a page can be trusted is up to `pdf.find_words`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vision_app.ocr.page import Line, Page, Word
from vision_app.ocr.reading_order import order


def to_page(text: dict[str, Any], number: int) -> Page:
    """The page of {"size": [width, height], "words": [[text, left, top, right, bottom], …]}.

    >>> words = [["Total", 10, 10, 50, 22], ["5.00", 55, 10, 80, 22], ["Net", 10, 30, 30, 42]]
    >>> to_page({"size": [100, 100], "words": words}, 1).text
    'Total 5.00\\nNet'
    """
    lines: list[list[Word]] = []
    for content, *box in text["words"]:
        left, top, right, bottom = map(float, box)
        word = Word(content, (left, top, right, bottom), 1.0)
        if lines and _continues(lines[-1], word):
            lines[-1].append(word)
        else:
            lines.append([word])
    width, height = text["size"]
    return Page(number, width, height, tuple(order([Line(tuple(words)) for words in lines])))


def _continues(words: Sequence[Word], word: Word) -> bool:
    """Whether a word is next to the last one of a line, by less than its height."""
    _, top, right, bottom = words[-1].box
    middle = (word.box[1] + word.box[3]) / 2
    return top <= middle <= bottom and -2 <= word.box[0] - right < bottom - top
