"""A vision-language model answers, and OCR confirms the words that it quotes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vision_app.answer import UNKNOWN, ask
from vision_app.ocr.page import Line, Page, Word
from seedbed.errors import Busy
from seedbed.models.scripted import ScriptedChatModel

PIXELS = np.zeros((40, 60, 3), np.uint8)
ROWS = [("Signed by", 100, 100), ("Ada Byron", 100, 130), ("on 3 May", 300, 130)]
PAGE = Page(
    1,
    1000,
    1400,
    tuple(
        Line(
            tuple(
                Word(word, (x + 50 * n, y, x + 45 + 50 * n, y + 24), 0.95)
                for n, word in enumerate(text.split())
            )
        )
        for text, x, y in ROWS
    ),
)


@pytest.fixture
def reply() -> Callable[..., Any]:
    def ask_with_reply(answer: str | None, quote: str | None = None) -> Any:
        model = ScriptedChatModel([{"answer": answer, "quote": quote}])
        return ask(model, "Who signed it?", [PIXELS], [PAGE]), model

    return ask_with_reply


def test_model_receives_the_picture_and_the_question(reply: Callable[..., Any]) -> None:
    _, model = reply("Ada")
    text, image = model.calls[0].messages[0].content
    assert "Who signed it?" in text["text"]
    assert (image["type"], image["mime_type"]) == ("image", "image/jpeg")


def test_quoted_words_are_shown_where_ocr_read_them(reply: Callable[..., Any]) -> None:
    answer, _ = reply("Ada Byron", "ada byron")
    assert answer.evidence.text == "Ada Byron"
    assert answer.confidence == pytest.approx(0.9 * 0.95, abs=0.001)
    answer, _ = reply("Ada Byron", "Signed by Ada Byron")
    assert answer.evidence.text == "Signed by Ada Byron"
    assert answer.evidence.box == (100, 100, 195, 154)


def test_answer_that_is_not_printed_has_no_boxes(reply: Callable[..., Any]) -> None:
    for quote in (None, "", "Charles Babbage", "da Byro"):
        answer, _ = reply("A kite", quote)
        assert (answer.text, answer.evidence, answer.confidence) == ("A kite", None, 0.5)


def test_model_that_does_not_know_abstains(reply: Callable[..., Any]) -> None:
    for text in (None, " "):
        answer, _ = reply(text)
        assert (answer.text, answer.abstained) == (UNKNOWN, True)


def test_error_of_the_model_passes() -> None:
    with pytest.raises(Busy):
        ask(ScriptedChatModel([Busy("Try later.")]), "Who?", [PIXELS], [])
