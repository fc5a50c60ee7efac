"""Pages as text and JSON."""

from __future__ import annotations

from vision_app.ocr.page import Line, Page, Word, as_json, as_text

WORDS = (Word("<R&D>", (10.4, 20, 80, 40), 0.987), Word('"\x02é"', (90, 20, 120, 40), 0.5))
PAGES = [Page(1, 200, 100, (Line(WORDS),)), Page(2, 300, 100, (), turned=90)]


def test_text_separates_pages_by_form_feed() -> None:
    assert as_text(PAGES) == '<R&D> "\x02é"\n\f\n'


def test_json_has_words_with_boxes() -> None:
    first, second = map(as_json, PAGES)
    assert first["lines"][0]["words"][0] == {
        "text": "<R&D>",
        "box": [10.4, 20, 80, 40],
        "confidence": 0.987,
    }
    assert (second["number"], second["turned"], second["lines"]) == (2, 90, [])
