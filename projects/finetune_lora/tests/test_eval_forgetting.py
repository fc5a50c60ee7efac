"""Forgetting with scorers whose likelihoods are known."""

from __future__ import annotations

import math

import pytest

from finetune_lora.evaluate.forgetting import General, compare, forgetting, general_set

SET = General(
    (("one?", ("yes", "no no"), 0), ("two?", ("yes", "no no"), 1), ("three?", ("a", "b"), 1)),
    ("abcd", "ef"),
)


class Likes:
    """Each character is a token; those of `liked` cost 1 nat, others 2."""

    def __init__(self, liked: str = "", cost: float = 2.0) -> None:
        self.liked, self.cost = liked, cost

    def log_likelihood(self, prompt: str, continuation: str) -> tuple[float, int]:
        assert prompt == "" or (prompt.startswith("Question: ") and prompt.endswith("\nAnswer:"))
        costs = [1.0 if c in self.liked else self.cost for c in continuation]
        return -sum(costs), len(costs)


def test_by_hand() -> None:
    # Per token " yes" costs 1.25 and " no no" 2: length does not decide. " b" beats " a".
    found = forgetting(Likes("yesb"), SET)
    assert found.right == (1.0, 0.0, 1.0)
    assert found.choice_accuracy == pytest.approx(2 / 3)
    assert found.losses == ((2 + 1 + 2 + 2) / 4, (1 + 2) / 2)
    assert found.loss_per_token == pytest.approx(1.625)
    assert found.as_json()["n_questions"] == 3 and found.as_json()["n_texts"] == 2


def test_compared_case_by_case() -> None:
    found = compare(forgetting(Likes("yesb"), SET), forgetting(Likes("yesb", 3.0), SET))
    change = found["differences"]["loss_per_token"]
    assert change["difference"] == pytest.approx((0.75 + 0.5) / 2)
    assert change["low"] == pytest.approx(0.5) and change["high"] == pytest.approx(0.75)
    assert found["differences"]["choice_accuracy"]["difference"] == 0.0


def test_a_broken_model_is_no_crash() -> None:
    broken = forgetting(Likes("", math.nan), SET)
    assert broken.choice_accuracy == 0.0
    assert compare(forgetting(Likes("a"), SET), broken)["differences"]["loss_per_token"] is None
    assert forgetting(Likes(), General((), ())).as_json()["choice_accuracy"] == 0.0


def test_the_set_is_whole() -> None:
    general = general_set()
    assert len(general.questions) == 40 and len(general.texts) == 24
    assert all(len(set(choices)) == len(choices) for _, choices, _ in general.questions)
    places = [answer for _, _, answer in general.questions]
    assert max(places.count(p) for p in set(places)) <= 16  # no place is right most often
