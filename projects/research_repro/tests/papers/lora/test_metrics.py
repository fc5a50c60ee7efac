"""The metrics against scores computed by hand; `metrics` has those of published outputs."""

from __future__ import annotations

import pytest

from research_repro.papers.lora.metrics import bleu, scores
from research_repro.papers.lora.records import Record

TEXT = "The Oak is a pub"
ONE, TWO = ["the oak is a BAR"], ["the oak is a BAR", "it is a pub"]


def test_bleu_of_one_reference() -> None:
    # Matches of 1 to 4 tokens: 4 of 5, 3 of 4, 2 of 3, 1 of 2.
    assert bleu([TEXT], [ONE]) == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)


def test_bleu_of_corpus_with_different_numbers_of_references() -> None:
    # 10 of 10 tokens, 8 of 8 pairs, 6 of 6 triples, 3 of 4 of four.
    texts, references = [TEXT, "A cheap pub by water"], [TWO, ["a cheap pub by water"]]
    assert bleu(texts, references) == pytest.approx(100 * (3 / 4) ** 0.25)


def test_scores_show_wrong_fact_in_slots() -> None:
    slots = {"name": "The Oak", "familyFriendly": "no"}
    record = Record("name[The Oak], familyFriendly[no]", slots, ("The Oak is not for families.",))
    result = scores(["The Oak is family-friendly."], [record])
    assert result["slots"] == 50
