"""The choice among the units of retrieved chunks, and the confidence in it."""

from dataclasses import replace

from rag_chatbot.answer.quote import choose, confidence, features
from rag_chatbot.search.retrieve import Hit
from rag_chatbot.store.store import Chunk
from seedbed.models.embeddings.hash import HashEmbeddings


def hit(text: str, number: int = 1, score: float = 1.0) -> Hit:
    return Hit(
        Chunk(number, number, f"{number}.md", 0, text, "", None, 0, len(text), "", "markdown"),
        score,
        score,
        1.0,
    )


def best(question: str, *hits: Hit) -> list[features.Candidate]:
    return choose.choose(features.score(question, features.candidates(hits), HashEmbeddings()))


def test_link_share_counts_the_characters_of_links() -> None:
    assert features._link_share("- [Where the cache drops pages](cache.md)") > 0.9
    assert features._link_share("- The cache drops pages at its end") == 0


def test_choose_returns_the_best_span_first(passage: str) -> None:
    chosen = best("How many times is a request retried?", hit(passage))
    assert "retried 3 times" in chosen[0].quote
    assert all(passage[c.start : c.end] == c.quote for c in chosen)


def test_choose_joins_neighbouring_units() -> None:
    text = "The cache holds pages. The cache drops pages after an hour."
    (only,) = best("When does the cache drop pages?", hit(text))
    assert only.quote == text


def test_choose_drops_repeats() -> None:
    text = "The cache drops pages after an hour."
    chosen = best("When does the cache drop pages?", hit(text, 1), hit(text, 2))
    assert len(chosen) == 1


def test_choose_takes_what_the_best_sentence_announces() -> None:
    text = "The cache drops pages in these cases:\n\n- an hour has passed\n- the disk is full\n"
    (only,) = best("When does the cache drop pages?", hit(text))
    assert only.quote.endswith("the disk is full")


def test_choose_leaves_out_announcement_of_what_is_elsewhere() -> None:
    first = hit("The cache drops pages after an hour of rest.", 1)
    second = hit("The cache drops its pages in the following cases only:", 2, score=0.9)
    (only,) = best("When does the cache drop pages?", first, second)
    assert only.quote == first.chunk.text


def test_choose_leaves_out_other_rows_than_the_named_one() -> None:
    table = "| Drug | Dose |\n|---|---|\n| Alphazol | 5 mg |\n| Betazol | 20 mg |\n"
    (only,) = best("What is the dose of Betazol?", hit(table))
    assert only.text == "Drug: Betazol; Dose: 20 mg"


def test_choose_leaves_out_unrelated_neighbours() -> None:
    text = "The pump is descaled every month. Kittens like to play outside."
    (only,) = best("How often is the pump descaled?", hit(text))
    assert only.quote == "The pump is descaled every month."


def test_score_prefers_definition_of_the_named_term() -> None:
    other = hit("The default value of zeta_size is used if zeta_path is not set.", 2)
    defined = hit("The default is 128 megabytes.", 1)
    defined = replace(
        defined, chunk=replace(defined.chunk, heading="Memory › zeta_size (integer):")
    )
    units = features.candidates([other, defined])
    scored = features.score("What is the default value of zeta_size?", units, HashEmbeddings())
    assert scored[0].unit.term == "zeta_size (integer)"


def test_candidates_exclude_diagrams() -> None:
    assert features.candidates([hit("    +------+  cache  +------+---->|--->\n")]) == []


def test_confidence_is_low_without_the_question_s_words(passage: str) -> None:
    found = features.candidates([hit(passage)])
    near, far = (
        confidence.confidence(question, features.score(question, found, HashEmbeddings()))
        for question in ("How often is a request retried after a timeout?", "Who wrote Faust?")
    )
    assert far < 0.2 < near


def test_confidence_is_low_for_an_option_that_no_chunk_contains() -> None:
    scored = features.score(
        "What does zeta --fast do?",
        features.candidates([hit("zeta --slow is slow.")]),
        HashEmbeddings(),
    )
    fast, slow = (
        confidence.confidence(f"What does zeta {o} do?", scored) for o in ("--fast", "--slow")
    )
    assert fast < slow / 2


def test_threshold_rises_with_strictness() -> None:
    assert confidence.threshold(0) == 0
    assert confidence.threshold(0.3) < confidence.threshold(0.5) < confidence.threshold(1) == 1
