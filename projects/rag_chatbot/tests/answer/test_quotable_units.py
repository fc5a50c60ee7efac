"""Passages split into the units that an answer may quote."""

import pytest

from rag_chatbot.answer.quotable_units import LONG_WORDS, split


def quotes(text: str) -> list[tuple[str, str]]:
    return [(unit.kind, text[unit.start : unit.end]) for unit in split(text)]


def test_split_returns_sentences_items_rows_and_code(passage: str) -> None:
    assert quotes(passage) == [
        (
            "sentence",
            "A request is retried 3 times, e.g. after a timeout. It is not repeated after that.",
        ),
        ("item", "- `retries`: how often, 3 by default"),
        ("item", "- `backoff`: the first wait"),
        ("row", "| jitter | 0.1 |"),
        ("sentence", "Set it like this:\n\n```\nclient.retry(5)\n```"),
    ]


def test_split_gives_a_row_its_header(passage: str) -> None:
    row = next(unit for unit in split(passage) if unit.kind == "row")
    assert row.context == "option · default"


@pytest.mark.parametrize(
    "text", ["# Heading", "---", "![badge](x.png)", "<br>", "Title\n=====", "[a]: http://x", ""]
)
def test_split_skips_headings_rules_and_markup(text: str) -> None:
    assert split(text) == []


def test_split_joins_a_short_sentence_to_the_previous() -> None:
    note = ".. note:: The limit holds for each client. It is 5.\n\n"
    note += "    Ask the operator of the server for more."
    assert quotes(note) == [
        ("sentence", "The limit holds for each client. It is 5."),
        ("sentence", "Ask the operator of the server for more."),
    ]


def test_split_cuts_long_units_without_loss() -> None:
    text = ", ".join(f"word{n} and more" for n in range(100))
    parts = [text[unit.start : unit.end] for unit in split(text)]
    assert all(len(part.split()) <= LONG_WORDS for part in parts)
    assert " ".join(parts).split() == text.split()
