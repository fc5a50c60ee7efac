"""The classical baselines on rows they can and cannot learn from."""

from __future__ import annotations

import pytest

from finetune_lora.evaluate.baselines import (
    ClassicalBaseline,
    MajorityBaseline,
    NearestBaseline,
    classical,
)
from finetune_lora.example import Dataset, Example
from seedbed.errors import BadInput
from seedbed.models.embeddings.hash import HashEmbeddings

pytestmark = pytest.mark.filterwarnings(
    "error",
    # The garbage of other tests may be collected during these.
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)

SUBJECTS = {"refund": "money back", "login": "password forgotten", "stock": "items available"}


def _row(text: str, label: str | None) -> Example:
    return Example(
        ({"role": "user", "content": text}, {"role": "assistant", "content": label or "-"}), label
    )


def _rows(each: int) -> Dataset:
    rows = [
        _row(f"please {words} number {i}", label)
        for i in range(each)
        for label, words in SUBJECTS.items()
    ]
    return Dataset(tuple(rows), tuple(sorted(SUBJECTS)))


@pytest.mark.parametrize("kind", ["tfidf", "minilm"])
def test_learns_and_gives_probabilities(kind: str) -> None:
    baseline = ClassicalBaseline(kind, embeddings=HashEmbeddings()).fit(_rows(6))  # type: ignore[arg-type]
    found = baseline.answer(_rows(2).examples, max_new_tokens=5)
    assert [p.text for p in found] == [e.label for e in _rows(2).examples]
    assert all(sum((p.scores or {}).values()) == pytest.approx(1) for p in found)
    assert all(p.text == max(p.scores or {}, key=(p.scores or {}).__getitem__) for p in found)
    assert all(p.seconds > 0 for p in found)


def test_the_seed_decides_the_same_way() -> None:
    first, second = (ClassicalBaseline("tfidf", seed=3).fit(_rows(5)) for _ in range(2))
    rows = _rows(1).examples
    assert [p.scores for p in first.answer(rows)] == [p.scores for p in second.answer(rows)]


def test_typos_are_forgiven() -> None:
    found = ClassicalBaseline("tfidf").fit(_rows(5)).answer([_row("pasword forgoten", None)])
    assert found[0].text == "login"


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
    for baseline in (ClassicalBaseline("tfidf").fit(data), NearestBaseline().fit(data)):
        assert {p.text for p in baseline.answer(asked)} <= set(data.labels)
        assert baseline.answer([]) == []


def test_the_nearest_request_answers() -> None:
    data = Dataset((_row("reset my password", None), _row("where is my order", None)))
    data = Dataset(
        tuple(
            Example((e.messages[0], {"role": "assistant", "content": e.text.upper()}))
            for e in data.examples
        )
    )
    found = NearestBaseline().fit(data).answer([_row("my pasword, reset it", None)])
    assert found[0].text == "RESET MY PASSWORD"


def test_which_baselines_suit() -> None:
    baselines = classical(Dataset((_row("a", None),)))
    assert [type(b) for b in baselines] == [MajorityBaseline, NearestBaseline]


def test_what_cannot_be_learnt() -> None:
    with pytest.raises(BadInput, match="rows of text and label"):
        ClassicalBaseline("tfidf").fit(Dataset((_row("a", None),), source="x.jsonl"))
    with pytest.raises(BadInput):
        ClassicalBaseline("tfidf").fit(Dataset(()))
    with pytest.raises(BadInput):
        NearestBaseline().fit(Dataset(()))
    with pytest.raises(BadInput, match="has not been fitted"):
        ClassicalBaseline("tfidf").answer([_row("a", None)])
