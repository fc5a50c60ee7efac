"""The metrics against scores computed by hand; `metrics` has those of published outputs."""

from __future__ import annotations

from math import log2

import pytest

from research_repro.papers.lora.metrics import bleu, nist, rouge_l, scores
from research_repro.papers.lora.records import Record

TEXT = "The Oak is a pub"
ONE, TWO = ["the oak is a BAR"], ["the oak is a BAR", "it is a pub"]


def test_bleu_of_one_reference() -> None:
    # Matches of 1 to 4 tokens: 4 of 5, 3 of 4, 2 of 3, 1 of 2.
    assert bleu([TEXT], [ONE]) == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)


def test_bleu_matches_ngrams_in_any_reference() -> None:
    # "the oak is a" is in one reference, "is a pub" in the other, "oak is a pub" in neither.
    assert bleu([TEXT], [TWO]) == pytest.approx(100 * (1 / 2) ** 0.25)


def test_bleu_of_corpus_with_different_numbers_of_references() -> None:
    # 10 of 10 tokens, 8 of 8 pairs, 6 of 6 triples, 3 of 4 of four.
    texts, references = [TEXT, "A cheap pub by water"], [TWO, ["a cheap pub by water"]]
    assert bleu(texts, references) == pytest.approx(100 * (3 / 4) ** 0.25)


def test_nist_weights_rare_words_higher() -> None:
    # "the" twice and "oak" of five tokens; of four pairs "the oak", one of two with "the".
    expected = (2 * log2(5 / 2) + log2(5)) / 5 + log2(2 / 1) / 4
    assert nist(["the oak or the inn"], [["the oak is the pub"]]) == pytest.approx(expected)


def test_nist_matches_words_in_all_references_together() -> None:
    assert nist(["good food"], [["good wine", "French food"]]) == pytest.approx(
        (log2(4 / 2) * 0 + log2(4) * 2) / 2
    )


def test_nist_halves_score_of_text_with_two_thirds_of_the_length() -> None:
    assert nist(["a b"], [["a b c"]]) == pytest.approx(0.5 * log2(3))


def test_rouge_combines_best_precision_and_best_recall() -> None:
    # Precision 4/5 with the first reference; recall 2/2 with the second; recall weighs 1.2 squared.
    assert rouge_l([f"{TEXT}."], [["the oak is a bar", "a pub!"]]) == pytest.approx(
        100 * (1 + 1.44) * 0.8 * 1 / (1 + 1.44 * 0.8)
    )


def test_metrics_of_empty_text_are_zero() -> None:
    assert (bleu([""], [ONE]), nist([""], [ONE]), rouge_l([""], [ONE])) == (0, 0, 0)


def test_scores_show_wrong_fact_in_slots() -> None:
    slots = {"name": "The Oak", "familyFriendly": "no"}
    record = Record("name[The Oak], familyFriendly[no]", slots, ("The Oak is not for families.",))
    result = scores(["The Oak is family-friendly."], [record])
    assert result["slots"] == 50
    assert result["rouge_l"] > 0
