"""The classical baselines on rows they can and cannot learn from."""

from __future__ import annotations

import pytest

from finetune_lora.evaluate.baselines import MAJORITY, NEAREST, classical
from finetune_lora.example import Dataset, Example

SUBJECTS = {"refund": "money back", "login": "password forgotten", "stock": "items available"}


def _row(text: str, label: str | None, answer: str = "-") -> Example:
    asked = {"role": "user", "content": text}
    return Example((asked, {"role": "assistant", "content": label or answer}), label)


def test_labels_are_learned_and_typos_forgiven() -> None:
    rows = tuple(
        _row(f"please {words} {i}", label) for i in range(6) for label, words in SUBJECTS.items()
    )
    majority, tfidf, minilm = classical(Dataset(rows, tuple(sorted(SUBJECTS))))
    assert (majority.name, tfidf.name) == (MAJORITY, "TF-IDF + logistic regression")
    for baseline in (tfidf, minilm):
        found = baseline.answer(rows, max_new_tokens=5)
        assert [p.text for p in found] == [e.label for e in rows]
        assert all(p.seconds > 0 for p in found)
    assert tfidf.answer([_row("pasword forgoten", None)])[0].text == "login"


@pytest.mark.parametrize("texts", [["a"], ["a", "b"], ["", "   ", "😀"], ["x" * 500_000, "?", "!"]])
def test_few_or_odd_rows_are_learned(texts: list[str]) -> None:
    data = Dataset(tuple(map(_row, texts, "xyz")), tuple("xyz"[: len(texts)]))
    asked = [_row("", None), _row("\n", None), _row("?" * 100_000, None)]
    for baseline in classical(data):
        assert {p.text for p in baseline.answer(asked)} <= set(data.labels)


def test_nearest_request_answers() -> None:
    texts = ("reset my password", "where is my order")
    majority, nearest = classical(Dataset(tuple(_row(t, None, t.upper()) for t in texts)))
    assert (majority.name, nearest.name) == (MAJORITY, NEAREST)
    assert nearest.answer([_row("my pasword, reset it", None)])[0].text == "RESET MY PASSWORD"
