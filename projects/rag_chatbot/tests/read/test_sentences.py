"""Where sentences end, in a whole text and in one that arrives in pieces."""

from __future__ import annotations

import pytest

from rag_chatbot.read.language import sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["Use e.g. Chroma 1.5.", "It works (really).", "Dr. Who agrees!", "Is that so?", "yes."],
        ["A local model costs 0.", "Others cost more."],
        ["See No. 5, by J. Smith, U.S. Army."],
        ['"And on Windows?" finds nothing.', "Wait… what?"],
        ["1. Install it.", "Then run it."],
        ["一つ。", "二つ！"],
    ],
    ids=["abbreviations", "number", "initials", "quoted question", "list number", "CJK"],
)
def test_sentences_end_at_stops_but_not_at_abbreviations(parts: list[str]) -> None:
    assert sentences(" ".join(parts)) == parts


def test_sentences_end_at_list_items_and_empty_lines() -> None:
    assert sentences("Options:\n- fast\n- safe\n\nNo stop") == [
        "Options:",
        "- fast",
        "- safe",
        "No stop",
    ]


def test_sentences_of_a_part_have_offsets_of_the_text() -> None:
    text = "One. Two. Three."
    assert list(sentence_spans(text, 5, 9)) == [(5, 9)]
