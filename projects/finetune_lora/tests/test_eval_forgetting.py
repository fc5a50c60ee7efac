"""Forgetting with models whose likelihoods are known."""

import math

from finetune_lora.evaluate.forgetting import forgetting, general_set

ROWS = [
    {"question": "one?", "choices": ["yes", "no no"], "answer": 0},
    {"question": "two?", "choices": ["yes", "no no"], "answer": 1},
    {"question": "three?", "choices": ["a", "b"], "answer": 1},
    {"text": "abcd"},
    {"text": "ef"},
]


def likes(liked: str, cost: float = 2.0):
    """Each character is a token; those of `liked` cost 1 nat, others `cost`."""

    def log_likelihood(prompt: str, continuation: str) -> tuple[float, int]:
        assert prompt == "" or (prompt.startswith("Question: ") and prompt.endswith("\nAnswer:"))
        costs = [1.0 if c in liked else cost for c in continuation]
        return -sum(costs), len(costs)

    return log_likelihood


def test_accuracy_and_loss_are_compared_case_by_case() -> None:
    # Per token " yes" costs 1.25 and " no no" 2: length does not decide. " b" beats " a".
    found = forgetting(likes("yesb"), likes("yesb", 3.0), ROWS)
    accuracy, loss = found["choice_accuracy"], found["loss_per_token"]
    assert (accuracy["base"], accuracy["difference"], accuracy["n"]) == (2 / 3, 0.0, 3)
    assert (loss["base"], loss["adapter"]) == (1.625, 2.25)
    assert (loss["difference"], loss["low"], loss["high"]) == (0.625, 0.5, 0.75)


def test_broken_model_answers_nothing_right() -> None:
    found = forgetting(likes("yesb"), likes("", math.nan), ROWS)
    assert found["choice_accuracy"]["adapter"] == 0
    assert math.isnan(found["loss_per_token"]["difference"])
    assert forgetting(likes("a"), likes("b"), []) == {}


def test_general_set_is_complete() -> None:
    questions = [row for row in general_set() if "choices" in row]
    assert len(questions) == 40 and len(general_set()) == 64
    places = [row["answer"] for row in questions]
    assert max(places.count(place) for place in places) <= 16  # no place is right most often
