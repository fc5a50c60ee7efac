"""Passages split into the units that an answer may quote."""

import pytest

from rag_chatbot.answer.quote.units import LONG_WORDS, displayed, split


def quotes(text: str) -> list[tuple[str, str]]:
    return [(unit.kind, text[unit.start : unit.end]) for unit in split(text)]


def test_code_that_begins_with_a_blank_line_is_a_unit():
    text = "Run this:\n\n```\n\nkestrel start\n```\n\nThen wait.\n"
    units = [text[unit.start : unit.end] for unit in split(text)]
    assert any("kestrel start" in unit for unit in units)
    assert any(unit.startswith("Run this:") for unit in units) and "Then wait." in units


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
    note = "The limit holds for each client. It is 5.\n\nAsk the operator of the server for more."
    assert quotes(note) == [
        ("sentence", "The limit holds for each client. It is 5."),
        ("sentence", "Ask the operator of the server for more."),
    ]


def test_split_cuts_long_units_without_loss() -> None:
    text = ", ".join(f"word{n} and more" for n in range(100))
    parts = [text[unit.start : unit.end] for unit in split(text)]
    assert all(len(part.split()) <= LONG_WORDS for part in parts)
    assert " ".join(parts).split() == text.split()


def shown(text: str, kind: str, heading: str = "") -> list[str]:
    return [displayed(text, unit, kind) for unit in split(text, kind, heading)]


def test_displayed_row_names_its_columns() -> None:
    table = "| Name | Size |\n|---|---|\n| int | 4 bytes |\n| text | |"
    assert shown(table, "html") == ["Name: int; Size: 4 bytes", "Name: text"]
    rest = "| int | 4 bytes |"
    assert shown(rest, "html", "Types › Name · Size") == ["Name: int; Size: 4 bytes"]
    assert shown(rest, "html", "Types") == ["int; 4 bytes"]


def test_displayed_csv_row_names_its_columns() -> None:
    assert shown('product,price\n"lamp, red",49\n', "csv") == ["product: lamp, red; price: 49"]


def test_displayed_text_is_as_the_document_has_it() -> None:
    text = "Run zeta copy <source> *.py for __init__ in\none line."
    assert shown(text, "text") == [text.replace("\n", " ")]
    assert shown(text, "pdf") == [text]  # here the parser has joined the lines


def test_split_reads_code_whose_beginning_is_in_another_passage() -> None:
    text = "int x;\nint y;\n```\n\nThen compile it with a C compiler of your choice.\n"
    assert [unit.kind for unit in split(text)] == ["code", "sentence"]


def test_split_does_not_join_unrelated_short_sentences() -> None:
    text = "Open from 9 to 18 on weekdays. Books may be borrowed for four weeks."
    assert len(split(text)) == 2


def test_split_reads_sentences_without_spaces() -> None:
    text = "停车场每小时收费五元。会议室在三楼。"
    assert [text[unit.start : unit.end] for unit in split(text)] == [text[:11], text[11:]]
