"""The choice among the units of retrieved chunks, and the confidence in it."""

from dataclasses import replace

import pytest

from rag_chatbot.answer.quote import choose, features
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


def test_candidates_exclude_diagrams() -> None:
    assert features.candidates([hit("    +------+  cache  +------+---->|--->\n")]) == []


def confidence(question: str, text: str) -> float:
    units = features.candidates([hit(text)])
    return features.confidence(features.score(question, units, HashEmbeddings()))


def test_confidence_is_low_without_the_question_s_words(passage: str) -> None:
    assert confidence("Who wrote Faust?", passage) < 0.2
    assert confidence("How often is a request retried after a timeout?", passage) > 0.5


@pytest.mark.parametrize(
    ("present", "missing"),
    [("--slow", "--fast"), ("1.1.0", "1.2.0"), ("E40", "E41")],
)
def test_confidence_is_low_for_a_name_that_the_chunk_lacks(present: str, missing: str) -> None:
    text = f"The zeta machine with {present} is slow."
    question = "Is the zeta machine slow with {}?"
    low, high = (confidence(question.format(name), text) for name in (missing, present))
    assert low < 0.75 * high


def test_confidence_does_not_depend_on_other_chunks(passage: str) -> None:
    question = "How often is a request retried after a timeout?"
    others = [hit(f"Kittens number {n} like to play outside.", n) for n in range(2, 9)]
    units = features.candidates([*others, hit(passage)])
    crowded = features.score(question, units, HashEmbeddings())
    assert features.confidence(crowded) == pytest.approx(confidence(question, passage), abs=1e-4)


def test_choose_quotes_both_versions_of_a_sentence_newest_first() -> None:
    old, new = (
        replace(h, chunk=replace(h.chunk, title=f"Policy {year}"))
        for year, h in (
            (2022, hit("The daily allowance for travel is 40 euros.", 1)),
            (2024, hit("The daily allowance for travel is 55 euros.", 2)),
        )
    )
    chosen = best("How much is the daily allowance for travel?", old, new)
    assert [c.hit.chunk.title for c in chosen] == ["Policy 2024", "Policy 2022"]


def test_choose_quotes_the_heading_with_a_date() -> None:
    text = "1.1.0 (2024-02-01)\n\nAdds a login page for all users."
    release = hit(text)
    release = replace(release, chunk=replace(release.chunk, heading="1.1.0 (2024-02-01)"))
    (only,) = best("When was the login page added?", release)
    assert only.quote == text


def test_score_leaves_out_rows_without_a_named_value() -> None:
    table = "month,region,sales\nMay,North,5\nMay,South,7\nJune,North,9\n"
    chunk = replace(hit(table), chunk=replace(hit(table).chunk, type="csv"))
    units = features.candidates([chunk])

    def rows(question: str) -> list[str]:
        return [c.quote for c in features.score(question, units, HashEmbeddings())]

    assert rows("What were the sales of the North in May?") == ["May,North,5"]
    assert rows("What were the sales of the East in May?") == []
