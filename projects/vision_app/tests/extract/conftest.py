"""Pages from drawings in letters, so that rules are tested without OCR."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from vision_app.ocr.page import Line, Page, Word


def page_of(drawing: str, number: int = 1) -> Page:
    """A page on which each character is 10 x 16 pixels; a line that begins with # is larger.

    Two spaces separate pieces of text.
    """
    lines, top = [], 40.0
    for row in drawing.splitlines():
        width, height = (18, 30) if row.startswith("#") else (10, 16)
        for piece in re.finditer(r"\S+(?: \S+)*", row.replace("#", " ", 1) if width > 10 else row):
            words = []
            for match in re.finditer(r"\S+", piece[0]):
                left = 40 + width * (piece.start() + match.start())
                right = left + width * len(match[0]) - 3
                words.append(Word(match[0], (left, top, right, top + height), 0.99))
            lines.append(Line(tuple(words)))
        top += height + 10
    edge = max((line.box[2] for line in lines), default=0.0)
    return Page(number, int(edge + 40), int(max(top + 40, edge)), tuple(lines))


@pytest.fixture
def page() -> Callable[..., Page]:
    return page_of
