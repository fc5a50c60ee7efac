"""Captions: what they mention, and what they are honest about."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from vision_app.answer.describe import describe, title
from vision_app.ocr.page import Page


@pytest.fixture
def mug() -> Any:
    return prediction(("coffee mug", 0.87), ("cup", 0.05))


def prediction(*labels: tuple[str, float], sure: bool = True) -> Any:
    entries = tuple(SimpleNamespace(label=name, confidence=value) for name, value in labels)
    return SimpleNamespace(labels=entries, sure=sure)


def test_caption_names_the_label_with_its_confidence(mug: Any) -> None:
    assert describe(mug, [], (640, 480)) == "Probably a coffee mug (87 %)."


def test_caption_of_a_near_certain_label_omits_probably() -> None:
    assert describe(prediction(("orange", 0.98)), [], (640, 480)) == "An orange (98 %)."


def test_caption_is_honest_about_an_unsure_classifier() -> None:
    unsure = prediction(("cup", 0.3), ("umbrella", 0.2), ("pot", 0.01), sure=False)
    caption = describe(unsure, [], (640, 480))
    assert "not recognized with confidence" in caption
    assert caption.endswith("possibly a cup or an umbrella.")
    assert "possibly" not in describe(prediction(("cup", 0.02), sure=False), [], (640, 480))


def test_caption_quotes_text_in_a_picture(mug: Any, make_page: Callable[..., Page]) -> None:
    page = make_page([("GOOD MORNING", 200, 200, 40)])
    assert describe(mug, [page], (1000, 1400)).endswith('It contains the text "GOOD MORNING".')


def test_caption_of_a_document_counts_lines_and_quotes_its_title(
    mug: Any, make_page: Callable[..., Page]
) -> None:
    lines = [("INVOICE", 100, 60, 50)]
    lines += [
        (f"Item number {n} of a long list of things", 100, 200 + 60 * n, 24) for n in range(9)
    ]
    page = make_page(lines)
    caption = describe(mug, [page, make_page(lines[1:], number=2)], (1000, 1400))
    assert caption == 'A document of 2 pages with 19 lines of text, titled "INVOICE".'


def test_caption_mentions_a_page_upside_down(mug: Any, make_page: Callable[..., Page]) -> None:
    lines = [(f"Paragraph {n} of a letter that goes on", 100, 100 + 60 * n, 24) for n in range(9)]
    caption = describe(mug, [make_page(lines, turned=180)], (1000, 1400))
    assert caption == "A document with 9 lines of text. The page is upside down."


def test_title_is_not_an_amount(make_page: Callable[..., Page]) -> None:
    lines = [("1,234.00", 100, 60, 60), *[(f"Line {n}", 100, 200 + 60 * n, 24) for n in range(5)]]
    assert title(make_page(lines)) is None


def test_caption_mentions_a_tiny_image() -> None:
    assert describe(prediction(("cup", 0.1), sure=False), [], (1, 1)).endswith("only 1 × 1 pixels.")
