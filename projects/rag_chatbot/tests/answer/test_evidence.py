"""Passages split into the spans that an answer may quote or cite."""

import pytest

from rag_chatbot.answer.evidence import Span, sentences
from rag_chatbot.store.records import Chunk

PASSAGE = """## Retries

A request is retried 3 times, e.g. after a timeout. It is not repeated after that.

- `retries`: how often, 3 by default
- `backoff`: the first wait. It doubles.

| option | default |
|---|---|
| jitter | 0.1 |

Set it like this:

```
client.retry(5)
```
"""


def spans_of(text: str, kind: str = "markdown", heading: str = "") -> list[Span]:
    return sentences(Chunk(1, 1, "a", 0, text, heading, None, 0, len(text), "", kind))


def test_spans_are_sentences_rows_code_and_headings() -> None:
    assert [(span.kind, span.quote) for span in spans_of(PASSAGE)] == [
        ("heading", "## Retries"),
        ("sentence", "A request is retried 3 times, e.g. after a timeout."),
        ("sentence", "It is not repeated after that."),
        ("sentence", "- `retries`: how often, 3 by default"),
        ("sentence", "- `backoff`: the first wait."),
        ("sentence", "It doubles."),
        ("row", "| jitter | 0.1 |"),
        ("sentence", "Set it like this:"),
        ("code", "```\nclient.retry(5)\n```"),
    ]


def test_context_is_the_header_of_a_row_or_what_announces_code() -> None:
    *_, row, _, code = spans_of(PASSAGE)
    assert (row.context, code.context) == ("option · default", "Set it like this:")
    assert spans_of("| int | 4 |", "html", "Types › Name · Size")[0].context == "Name · Size"


@pytest.mark.parametrize("text", ["---", "[a]: http://x", "", "|---|---|"])
def test_rules_and_definitions_are_not_spans(text: str) -> None:
    assert spans_of(text) == []


def test_code_whose_beginning_is_in_another_passage_is_a_span() -> None:
    text = "int x;\nint y;\n```\n\nThen compile it with a C compiler of your choice.\n"
    assert [span.kind for span in spans_of(text)] == ["code", "sentence"]


def test_code_that_begins_with_a_blank_line_is_a_span() -> None:
    text = "Run this:\n\n```\n\nkestrel start\n```\n\nThen wait.\n"
    assert [span.kind for span in spans_of(text)] == ["sentence", "code", "sentence"]


def test_long_code_is_split_at_blank_lines() -> None:
    parts = [f"x{n} = " + "y + " * 20 + "1" for n in range(3)]
    spans = spans_of("```\n" + "\n\n".join(parts) + "\n```")
    assert [span.quote for span in spans] == parts
