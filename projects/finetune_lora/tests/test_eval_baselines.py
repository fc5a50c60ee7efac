"""The classical baselines on rows they can and cannot learn from."""

from __future__ import annotations

import pytest

from finetune_lora.evaluate.baselines import MAJORITY, NEAREST, classical
from finetune_lora.example import Dataset, Example
from seedbed.errors import BadInput

SUBJECTS = {"refund": "money back", "login": "password forgotten", "stock": "items available"}


def _row(text: str, label: str | None, answer: str = "-") -> Example:
    asked = {"role": "user", "content": text}
    return Example((asked, {"role": "assistant", "content": label or answer}), label)


def _rows(each: int) -> Dataset:
    rows = [
        _row(f"please {words} number {i}", label)
        for i in range(each)
        for label, words in SUBJECTS.items()
    ]
    return Dataset(tuple(rows), tuple(sorted(SUBJECTS)))


def test_labels_are_learned_and_typos_forgiven() -> None:
    majority, tfidf, minilm = classical(_rows(6))
    assert (majority.name, tfidf.name) == (MAJORITY, "TF-IDF + logistic regression")
    for baseline in (tfidf, minilm):
        found = baseline.answer(_rows(2).examples, max_new_tokens=5)
        assert [p.text for p in found] == [e.label for e in _rows(2).examples]
        assert all(p.seconds > 0 for p in found)
    assert tfidf.answer([_row("pasword forgoten", None)])[0].text == "login"


@pytest.mark.parametrize(
    "rows",
    [
        (_row("a", "x"),),
        (_row("a", "x"), _row("b", "x")),
        (_row("a", "x"), _row("b", "y")),
        (_row("", "x"), _row("   ", "y"), _row("😀", "z")),
        (_row("x" * 500_000, "x"), _row("???", "y"), _row("!!!", "y")),
    ],
)
def test_few_or_odd_rows(rows: tuple[Example, ...]) -> None:
    data = Dataset(rows, tuple(sorted({str(r.label) for r in rows})))
    asked = [_row("", None), _row("\n", None), _row("?" * 100_000, None)]
    for baseline in classical(data):
        assert {p.text for p in baseline.answer(asked)} <= set(data.labels)
        assert baseline.answer([]) == []


def test_nearest_request_answers() -> None:
    texts = ("reset my password", "where is my order")
    majority, nearest = classical(Dataset(tuple(_row(t, None, t.upper()) for t in texts)))
    assert (majority.name, nearest.name) == (MAJORITY, NEAREST)
    found = nearest.answer([_row("my pasword, reset it", None)])
    assert found[0].text == "RESET MY PASSWORD"


def test_dataset_without_rows_is_refused() -> None:
    with pytest.raises(BadInput, match="No examples"):
        classical(Dataset(()))
