"""Ranking metrics against hand calculation."""

import math

import pytest

from rag_chatbot.evaluate.ranking import mrr_at_k, ndcg_at_k, recall_at_k
from seedbed.errors import BadInput


def test_ndcg_equals_hand_calculation():
    # Relevant at ranks 1 and 3 of two relevant: (1 + 1/2) / (1 + 1/log2(3)).
    expected = (1 + 0.5) / (1 + 1 / math.log2(3))
    assert ndcg_at_k(["a", "x", "b"], {"a", "b"}) == pytest.approx(expected)
    assert ndcg_at_k(["x", "a"], {"a"}, k=1) == 0
    assert ndcg_at_k(["a", "x"], ["a", "a"]) == 1


def test_ndcg_ideal_is_truncated_at_k():
    relevant = {str(i) for i in range(50)}
    assert ndcg_at_k([str(i) for i in range(10)], relevant, k=10) == pytest.approx(1)


def test_recall_and_mrr_equal_hand_calculation():
    assert recall_at_k(["a", "x", "b"], {"a", "b", "c", "d"}, k=2) == 0.25
    assert mrr_at_k(["x", "y", "a"], {"a"}) == pytest.approx(1 / 3)
    assert mrr_at_k(["x", "y", "a"], {"a"}, k=2) == 0


def test_metrics_are_zero_without_relevant_or_ranked_documents():
    for metric in (ndcg_at_k, recall_at_k, mrr_at_k):
        assert metric(["a"], set()) == metric([], {"a"}) == 0


def test_ndcg_rejects_a_repeated_document():
    with pytest.raises(BadInput, match="twice"):
        ndcg_at_k(["a", "a"], {"a"})
