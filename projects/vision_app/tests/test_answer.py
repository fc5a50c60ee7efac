"""A vision-language model answers, and OCR confirms the words that it quotes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vision_app.answer import UNKNOWN, ask
from vision_app.ocr.page import Line, Page, Word
from seedbed.models.scripted import ScriptedChatModel

PIXELS = np.zeros((40, 60, 3), np.uint8)
WORDS = {"Signed by": (100, 100), "Ada": (100, 130), "Byron": (150, 130), "on 3 May": (300, 130)}
PAGE = Page(
    1,
    1000,
    1400,
    tuple(Line((Word(text, (x, y, x + 45, y + 24), 0.95),)) for text, (x, y) in WORDS.items()),
)


def reply(answer: str | None, quote: str | None = None) -> dict[str, Any]:
    model = ScriptedChatModel([{"answer": answer, "quote": quote}])
    result = ask(model, "Who signed it?", [PIXELS], [PAGE])
    text, image = model.calls[0].messages[0].content
    assert "Who signed it?" in text["text"] and image["mime_type"] == "image/jpeg"
    return result


def test_quoted_words_are_shown_where_ocr_read_them() -> None:
    result = reply("Ada Byron", "ada byron")
    [evidence] = result["evidence"]
    assert (evidence["text"], evidence["box"]) == ("Ada Byron", [100, 130, 195, 154])
    assert result["confidence"] == pytest.approx(0.9 * 0.95, abs=0.001)


def test_answer_that_is_not_printed_has_no_boxes() -> None:
    for quote in (None, "", "Charles Babbage", "da Byro"):
        expected = {"answer": "A kite", "evidence": [], "confidence": 0.5, "abstained": False}
        assert reply("A kite", quote) == expected


def test_model_that_does_not_know_abstains() -> None:
    for text in (None, " "):
        result = reply(text, "Ada Byron")
        assert (result["answer"], result["evidence"], result["abstained"]) == (UNKNOWN, [], True)
