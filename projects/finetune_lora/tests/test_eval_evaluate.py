"""Whole evaluations with predictors that say what they are told: figures, files, odd answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from finetune_lora.answer.prediction import Prediction
from finetune_lora.evaluate.baselines import classical
from finetune_lora.evaluate.evaluate import evaluate
from finetune_lora.example import Dataset, Example
from finetune_lora.helpdesk.tools import CALL_SCHEMA, call, system_prompt
from seedbed.errors import BadInput, SeedbedError

# An evaluation prints no warnings.
pytestmark = pytest.mark.filterwarnings(
    "error",
    # The garbage of other tests may be collected during these.
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


class Says:
    """A predictor with prepared answers."""

    def __init__(self, name: str, answers: Sequence[str], scores: dict[str, float] | None = None):
        self.name = name
        self.predictions = [Prediction(a, (i + 1) / 1000, scores) for i, a in enumerate(answers)]
        self.asked: list[tuple[int, int]] = []

    def answer(self, examples: Sequence[Example], *, max_new_tokens: int = 0) -> list[Prediction]:
        self.asked.append((len(examples), max_new_tokens))
        return self.predictions


def _asked(text: str, answer: str, label: str | None = None, **tags: str) -> Example:
    messages = (
        {"role": "system", "content": "help"},
        {"role": "user", "content": text},
        {"role": "assistant", "content": answer},
    )
    return Example(messages, label, tags, line=7)


def _labelled(*labels: str) -> Dataset:
    rows = tuple(_asked(f"text {i}", label, label) for i, label in enumerate(labels))
    return Dataset(rows, tuple(sorted(set(labels))), "set.jsonl", "ab" * 32)


CALLS = Dataset(
    (
        _asked("reset", call("reset_password", user="anna", system="vpn"), noise="none"),
        _asked("hello", call("none"), noise="none"),
        _asked("wheres my order", call("order_status", order="A-1"), noise="typos"),
        _asked("A-2 is late", call("refund_order", order="A-2", reason="late"), noise="typos"),
    ),
    source="/some/where/test.jsonl",
)
RIGHT = [example.answer for example in CALLS.examples]


def test_calls_side_by_side(tmp_path: Path) -> None:
    adapter = [
        '{"arguments": {"system": "vpn", "user": "anna"}, "name": "reset_password"}',
        RIGHT[1],
        '{"name": "order_status", "arguments": {"order": "A-9"}}',
        '{"name": "refund"',
    ]
    base = Says("base", ["I can help!"] * 4)
    shots = Says("few-shot", [RIGHT[0], RIGHT[1], RIGHT[2], "{}"])
    run = {"base": "smollm2", "state": "finished", "name": "a-run"}
    progress = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "eval_loss": 1.5}]
    found = evaluate(
        CALLS,
        [base, shots, Says("adapter", adapter)],
        schema=CALL_SCHEMA,
        out=tmp_path,
        run=run,
        progress=progress,
    )

    assert (found["n"], found["exact_match"], found["kind"]) == (4, 0.5, "calls")
    assert found["interval"] == pytest.approx([0.150, 0.850], abs=1e-3)
    # Expected fields: 3 + 1 + 2 + 3; right 3 + 1 + 1; answered 3 + 1 + 2.
    assert found["field_f1"] == pytest.approx(2 * 5 / (9 + 6))
    assert found["fields"]["name"]["n"] == 4
    assert (found["schema"], found["schema_valid"]) == ("learned", 0.75)
    assert found["latency_p50_ms"] == pytest.approx(2.5)
    assert found["latency_p95_ms"] == pytest.approx(3.85)
    assert found["slices"]["noise"]["typos"]["exact_match"] == 0.0
    assert found["slices"]["tool"]["none"]["exact_match"] == 1.0
    assert found["systems"]["base"]["exact_match"] == 0.0
    assert found["systems"]["few-shot"]["exact_match"] == 0.75
    assert found["labels"]["refund_order"]["recall"] == 0.0
    roles = {d["against"]: (d["role"], d["difference"]) for d in found["differences"]}
    assert roles == {"base": ("first baseline", 0.5), "few-shot": ("best baseline", -0.25)}
    assert [e["got"] for e in found["errors"]] == adapter[2:]
    assert found["errors"][0] == {
        "line": 7,
        "request": "wheres my order",
        "expected": RIGHT[2],
        "got": adapter[2],
    }
    assert json.loads((tmp_path / "report.json").read_text()) == found
    text = (tmp_path / "report.md").read_text()
    assert "# adapter on test.jsonl" in text and "| few-shot | 0.750 (" in text
    assert "/some/where" not in text and "![loss](loss.png)" in text
    assert {p.name for p in tmp_path.iterdir()} == {
        "report.json",
        "report.md",
        "confusion.png",
        "loss.png",
    }


def test_labels_with_scores_and_training() -> None:
    data = _labelled("a", "a", "b", "new")
    train = Dataset((_asked("text 0", "a", "a"), _asked("other", "b", "b")), ("a", "b"))
    scores = {"a": 0.75, "b": 0.25}
    found = evaluate(data, [Says("one", ["a", "b", "b", "zzz"], scores)], train=train)
    assert (found["exact_match"], found["kind"], found["field_f1"]) == (0.5, "labels", None)
    assert found["unseen_labels"] == {"new": 1}
    assert found["seen_in_training"] == 4  # they differ from text 0 in their number
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert (found["schema"], found["schema_valid"]) == ("labels", 0.75)
    assert found["differences"] == []


def test_labels_that_look_like_numbers_are_text() -> None:
    found = evaluate(_labelled("1", "1.0"), [Says("one", ["1", "1"])])
    assert found["exact_match"] == 0.5


def test_schema_defines_valid_answers() -> None:
    schema = {"type": "object", "properties": {"name": {"const": "none"}}}
    found = evaluate(CALLS, [Says("one", RIGHT)], schema=schema)
    assert (found["schema"], found["schema_valid"], found["exact_match"]) == ("learned", 0.25, 1.0)
    other = Dataset((_asked("x", '{"name": "t", "arguments": {}}'),))
    found = evaluate(other, [Says("one", ["[]"])])
    assert (found["schema"], found["schema_valid"]) == ("any object or array", 1.0)


ODD = [
    "",
    "[1, 2]",
    '{"name": NaN, "arguments": {}}',
    "x" * 1_000_000,
    "[" * 100_000,
    '{"name": ["a"], "arguments": null}',
    "\ud800 | `<script>`\n$x$",
    '{"name": "\\ud800", "arguments": {}}',
    "null",
    '""',
]


@pytest.mark.parametrize(
    "data",
    [
        Dataset(CALLS.examples[:1] * len(ODD)),
        Dataset((_asked("q", "plain words", noise="a|b"),) * len(ODD)),
        Dataset((_asked("q", "[]"),) * len(ODD)),
        Dataset((_asked("q", "2"), _asked("", '{"a": 1}')) * (len(ODD) // 2)),
        _labelled(*["only"] * len(ODD)),
        _labelled(*"abcdefghij"),
        _labelled(*["\ud800", "$a", "\n", "invalid", "unseen"] * (len(ODD) // 5)),
    ],
)
def test_odd_answers_are_wrong_and_nothing_worse(data: Dataset, tmp_path: Path) -> None:
    nan = {"a": float("nan"), "b": 1.0}
    predictors = [Says("base", ODD[::-1]), Says("adapter", ODD, nan)]
    found = evaluate(data, predictors, out=tmp_path, train=data)
    # An answer of white space is right where white space is expected, and [] is no [1, 2].
    assert found["exact_match"] <= 0.2
    assert json.loads((tmp_path / "report.json").read_text())["n"] == len(ODD)
    assert (tmp_path / "report.md").stat().st_size < 50_000
    assert len(json.dumps(found, allow_nan=False)) < 200_000


def test_report_says_when_nothing_was_learned(tmp_path: Path) -> None:
    """As after a training on shuffled labels."""
    data = _labelled(*"aaabb" * 8)
    majority = classical(data)[0]
    assert majority.answer(data.examples[:1])[0].text == "a"
    chance = Says("adapter", ["ab"[i % 2] for i in range(len(data))])
    found = evaluate(data, [majority, chance], train=data, out=tmp_path)
    assert found["learned"] is False
    text = (tmp_path / "report.md").read_text()
    assert "**Nothing was learned**: always giving the most frequent answer" in text
    right = Says("adapter", [e.label or "" for e in data.examples])
    found = evaluate(data, [majority, right], train=data, out=tmp_path)
    assert found["learned"] is True
    assert "Nothing was learned" not in (tmp_path / "report.md").read_text()


def test_served_system_is_compared_with_baselines_and_with_its_adapter() -> None:
    served = Says("served", RIGHT)
    predictors = [Says("base", ["no"] * 4), Says("adapter", [*RIGHT[:3], "no"]), served]
    found = evaluate(CALLS, predictors)
    roles = {d["against"]: d["role"] for d in found["differences"]}
    assert roles == {"base": "first baseline, best baseline", "adapter": "before export"}
    assert found["system"] == "served" and found["exact_match"] == 1.0


def test_one_example_and_one_predictor(tmp_path: Path) -> None:
    found = evaluate(_labelled("a"), [Says("one", ["a"], {"a": 0.0})], out=tmp_path)
    assert (found["exact_match"], found["macro_f1"]) == (1.0, 1.0)
    assert "Errors\n\nNone." in (tmp_path / "report.md").read_text()


def test_pictures_of_an_earlier_report_do_not_stay(tmp_path: Path) -> None:
    evaluate(CALLS, [Says("a", RIGHT)], out=tmp_path, progress=[{"step": 1, "loss": 1.0}])
    evaluate(Dataset((_asked("q", "words"),)), [Says("a", ["words"])], out=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_what_cannot_be_evaluated() -> None:
    with pytest.raises(BadInput, match="No examples to evaluate in empty"):
        evaluate(Dataset((), source="empty.jsonl"), [Says("a", [])])
    with pytest.raises(BadInput, match="distinct names"):
        evaluate(CALLS, [Says("a", RIGHT), Says("a", RIGHT)])
    with pytest.raises(BadInput, match="distinct names"):
        evaluate(CALLS, [])
    with pytest.raises(SeedbedError, match="returned 1 answers for 4"):
        evaluate(CALLS, [Says("a", ["x"])])


def test_the_help_desk_prompt_is_no_slice() -> None:
    row = Example(
        (
            {"role": "system", "content": system_prompt()},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": call("none")},
        )
    )
    found = evaluate(Dataset((row,)), [Says("a", [call("none")])])
    assert set(found["slices"]) == {"tool", "length"}
    assert "0 to 40 characters" in found["slices"]["length"]
