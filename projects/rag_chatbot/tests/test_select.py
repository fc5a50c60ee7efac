"""Units of a passage, terms, and the choice among units."""

import pytest

from rag_chatbot.answer import choose, confidence, follow_up
from rag_chatbot.answer.quotable_units import LONG_WORDS, split
from rag_chatbot.read.words import terms
from rag_chatbot.search.retrieve import Hit
from rag_chatbot.store.store import Chunk
from seedbed.testing import HashEmbeddings

PASSAGE = """## Retries

A request is retried 3 times, e.g. after a timeout. The wait doubles each time.

- `retries`: how often, 3 by default
- `backoff`: the first wait

| option | default |
|---|---|
| jitter | 0.1 |

Set it like this:

```
client.retry(5)
```
"""


def quotes(text: str) -> list[tuple[str, str]]:
    return [(unit.kind, text[unit.start : unit.end]) for unit in split(text)]


def hit(text: str, number: int = 1, score: float = 1.0) -> Hit:
    return Hit(
        Chunk(number, number, f"{number}.md", 0, text, "", None, 0, len(text), ""),
        score,
        score,
        1.0,
    )


def best(question: str, *hits: Hit) -> list[choose.Candidate]:
    return choose.choose(choose.score(question, choose.candidates(hits), HashEmbeddings()))


def test_units_are_sentences_items_rows_and_code() -> None:
    assert quotes(PASSAGE) == [
        (
            "sentence",
            "A request is retried 3 times, e.g. after a timeout. The wait doubles each time.",
        ),
        ("item", "- `retries`: how often, 3 by default"),
        ("item", "- `backoff`: the first wait"),
        ("row", "| jitter | 0.1 |"),
        ("sentence", "Set it like this:\n\n```\nclient.retry(5)\n```"),
    ]


def test_a_row_knows_its_header() -> None:
    row = next(unit for unit in split(PASSAGE) if unit.kind == "row")
    assert row.context == "| option | default |"


@pytest.mark.parametrize(
    "text", ["# Heading", "---", "![badge](x.png)", "<br>", "Title\n=====", "[a]: http://x", ""]
)
def test_what_says_nothing_is_no_unit(text: str) -> None:
    assert split(text) == []


def test_notes_are_sentences_and_a_short_sentence_stays_with_the_one_before() -> None:
    note = ".. note:: The limit holds for each client. It is 5.\n\n"
    note += "    Ask the operator of the server for more."
    assert quotes(note) == [
        ("sentence", "The limit holds for each client. It is 5."),
        ("sentence", "Ask the operator of the server for more."),
    ]


def test_the_share_of_links_is_measured() -> None:
    assert choose._link_share("- [Where the cache drops pages](cache.md)") > 0.9
    assert choose._link_share("- The cache drops pages at its end") == 0


def test_a_long_unit_is_cut_and_nothing_is_lost() -> None:
    text = ", ".join(f"word{n} and more" for n in range(100))
    parts = [text[unit.start : unit.end] for unit in split(text)]
    assert all(len(part.split()) <= LONG_WORDS for part in parts)
    assert " ".join(parts).split() == text.split()


def test_terms_meet_across_spellings() -> None:
    assert set(terms("retrying maxRetries")) & set(terms("max_retry retries"))
    assert terms("the of and") == []


def test_the_best_unit_comes_first_and_is_a_span() -> None:
    chosen = best("How many times is a request retried?", hit(PASSAGE))
    assert "retried 3 times" in chosen[0].quote
    assert all(PASSAGE[c.start : c.end] == c.quote for c in chosen)


def test_what_stands_side_by_side_is_one_quote() -> None:
    text = "The cache holds pages. The cache drops pages after an hour."
    (only,) = best("When does the cache drop pages?", hit(text))
    assert only.quote == text


def test_a_repeat_is_not_quoted_twice() -> None:
    text = "The cache drops pages after an hour."
    chosen = best("When does the cache drop pages?", hit(text, 1), hit(text, 2))
    assert len(chosen) == 1


def test_a_diagram_is_not_quoted() -> None:
    assert choose.candidates([hit("    +------+  cache  +------+---->|--->\n")]) == []


def test_confidence_falls_when_the_words_are_not_there() -> None:
    found = choose.candidates([hit(PASSAGE)])
    near, far = (
        confidence.confidence(question, choose.score(question, found, HashEmbeddings()))
        for question in ("How often is a request retried after a timeout?", "Who wrote Faust?")
    )
    assert far < 0.2 < near


def test_strictness_moves_the_threshold_from_always_to_never() -> None:
    assert confidence.threshold(0) == 0
    assert confidence.threshold(0.3) < confidence.threshold(0.5) < confidence.threshold(1) == 1


@pytest.mark.parametrize("question", ["And on Windows?", "How do I turn it off?", "Why?"])
def test_follow_ups_lean_on_what_was_said(question: str) -> None:
    earlier = follow_up.Exchange("How do I enable the cache?")
    assert follow_up.condense(question, [earlier]) == f"How do I enable the cache? {question}"


def test_a_chain_of_follow_ups_reaches_back_to_its_subject() -> None:
    turns = [
        follow_up.Exchange("How do I enable the page cache quickly?"),
        follow_up.Exchange("And on Mac?"),
    ]
    joined = follow_up.condense("And on Windows?", turns)
    assert joined == "How do I enable the page cache quickly? And on Mac? And on Windows?"
