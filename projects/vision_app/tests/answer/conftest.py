"""Pages with text at chosen places, for the tests of captions and answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from vision_app.ocr.page import Line, Page, Word


@pytest.fixture
def make_page() -> Callable[..., Page]:
    """A page of (text, left, top, height) lines, 1000 x 1400 pixels."""
    return build_page


def build_page(
    lines: Sequence[tuple[str, float, float, float]], number: int = 1, turned: int = 0
) -> Page:
    built = []
    for text, left, top, height in lines:
        words, x = [], left
        for word in text.split():
            width = 0.55 * height * len(word)
            words.append(Word(word, (x, top, x + width, top + height), 0.95))
            x += width + 0.3 * height
        built.append(Line(tuple(words)))
    matrix = ((-1.0, 0.0, 1000.0), (0.0, -1.0, 1400.0)) if turned == 180 else None
    page = Page(number, 1000, 1400, tuple(built), turned)
    return Page(number, 1000, 1400, tuple(built), turned, 0.0, matrix) if matrix else page
