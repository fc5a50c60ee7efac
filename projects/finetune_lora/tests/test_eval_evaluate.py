"""Whole evaluations with predictors that say what they are told: figures, files, odd answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from finetune_lora.answer.answer_schema import learn_schema
from finetune_lora.answer.prediction import Prediction
from finetune_lora.evaluate.baselines import classical
from finetune_lora.evaluate.evaluate import evaluate
from finetune_lora.evaluate.report import to_markdown
from finetune_lora.example import Dataset, Example
from finetune_lora.helpdesk.tools import CALL_SCHEMA, call
from seedbed.errors import BadInput

# An evaluation prints no warnings. The garbage of other tests may be collected during these.
pytestmark = pytest.mark.filterwarnings(
    "error", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


class Says:
    """A predictor with prepared answers."""

    def __init__(self, name: str, answers: Sequence[str]) -> None:
        self.name = name
        self.predictions = [Prediction(a, i / 1000) for i, a in enumerate(answers, 1)]

    def answer(self, *_: Sequence[Example], **__: int) -> list[Prediction]:
        return self.predictions


def _asked(text: str, answer: str, label: str | None = None, **tags: str) -> Example:
    messages = ({"role": "user", "content": text}, {"role": "assistant", "content": answer})
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
    systems = [
        Says("base", ["I can help!"] * 4),
        Says("few-shot", [*RIGHT[:3], "{}"]),
        Says("adapter", adapter),
    ]
    progress = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "eval_loss": 1.5}]
    found = evaluate(CALLS, systems, schema=CALL_SCHEMA, out=tmp_path, progress=progress)

    assert (found["n"], found["exact_match"], found["kind"]) == (4, 0.5, "calls")
    assert found["interval"] == pytest.approx([0.150, 0.850], abs=1e-3)
    # Expected fields: 3 + 1 + 2 + 3; right 3 + 1 + 1; answered 3 + 1 + 2.
    assert found["field_f1"] == pytest.approx(2 * 5 / (9 + 6))
    assert (found["schema_valid"], found["latency_p50_ms"]) == (0.75, 3)
    assert found["slices"]["noise"]["typos"]["exact_match"] == 0.0
    assert found["slices"]["tool"]["none"]["exact_match"] == 1.0
    assert found["systems"]["few-shot"]["exact_match"] == 0.75
    assert found["labels"]["refund_order"]["recall"] == 0.0
    roles = {d["against"]: (d["role"], d["difference"]) for d in found["differences"]}
    assert roles == {"base": ("first baseline", 0.5), "few-shot": ("best baseline", -0.25)}
    wrong = {"line": 7, "request": "wheres my order", "expected": RIGHT[2], "got": adapter[2]}
    assert found["errors"][0] == wrong
    assert json.loads((tmp_path / "report.json").read_text()) == found
    text = (tmp_path / "report.md").read_text()
    assert "/some/where" not in text + json.dumps(found)  # folders of the machine
    assert "# adapter on test.jsonl" in text and "| few-shot | 0.750 (" in text
    files = {"report.json", "report.md", "confusion.png", "loss.png"}
    assert {p.name for p in tmp_path.iterdir()} == files
    # The pictures of an earlier report do not stay.
    evaluate(Dataset((_asked("q", "words"),)), [Says("a", ["words"])], out=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_report_lists_the_values_that_the_schema_allows(tmp_path: Path) -> None:
    rows = [
        _asked("late", call("refund_order", order=f"A-{n}", reason="late" if n % 2 else "damaged"))
        for n in range(20)
    ]
    schema = learn_schema([*rows, *[_asked("hello", call("none"))] * 5])
    says = Says("a", [row.answer for row in rows])
    evaluate(Dataset(tuple(rows)), [says], schema=schema, out=tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "| name | none, refund_order |" in text
    assert "| arguments.reason | damaged, late |" in text
    assert "| arguments.order | ^A-[0-9]{1,4}$ |" in text


def test_report_of_a_training_cut_by_its_time_limit_says_so(tmp_path: Path) -> None:
    run = {"steps": 19, "planned_steps": 160, "results": {"stopped_by": "time"}}
    found = evaluate(CALLS, [Says("a", RIGHT)], out=tmp_path, run=run)
    sentence = "Its training stopped at its time limit, after 19 of 160 steps."
    assert sentence in (tmp_path / "report.md").read_text()
    assert sentence in to_markdown(found)  # what the command line prints
    run["results"] = {"stopped_by": "steps"}
    assert "time limit" not in to_markdown(evaluate(CALLS, [Says("a", RIGHT)], run=run))


def test_labels_with_training_data() -> None:
    train = Dataset((_asked("text 0", "a", "a"), _asked("other", "b", "b")), ("a", "b"))
    found = evaluate(_labelled("a", "a", "b", "new"), [Says("one", list("abb?"))], train=train)
    assert (found["exact_match"], found["kind"], found["field_f1"]) == (0.5, "labels", None)
    assert found["unseen_labels"] == {"new": 1}
    assert found["seen_in_training"] == 4  # they differ from text 0 in their number
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert (found["schema_valid"], found["differences"]) == (0.75, [])
    # Labels that look like numbers are text.
    assert evaluate(_labelled("1", "1.0"), [Says("one", ["1", "1"])])["exact_match"] == 0.5


ODD = [
    *("", "[1, 2]", '{"name": NaN, "arguments": {}}', "x" * 1_000_000, "[" * 100_000),
    *('{"name": ["a"], "arguments": null}', '{"name": "\\ud800", "arguments": {}}', "null", '""'),
    "[" * 5000 + "]" * 5000,
]


@pytest.mark.parametrize(
    "data",
    [
        Dataset(CALLS.examples[:1] * len(ODD)),
        Dataset((_asked("q", "plain words", noise="a|b"),) * len(ODD)),
        Dataset((_asked("q", "2"), _asked("", '{"a": 1}')) * (len(ODD) // 2)),
        _labelled(*["\ud800", "$a", "\n", "invalid", "unseen"] * (len(ODD) // 5)),
    ],
)
def test_odd_answers_are_wrong_and_nothing_worse(data: Dataset, tmp_path: Path) -> None:
    predictors = [Says("base", ODD[::-1]), Says("adapter", ODD)]
    schema = None if data.labels else CALL_SCHEMA
    found = evaluate(data, predictors, out=tmp_path, train=data, schema=schema)
    # An answer of white space is right where white space is expected.
    assert found["exact_match"] <= 0.2
    assert (tmp_path / "report.md").stat().st_size < 50_000
    assert len(json.dumps(found, allow_nan=False)) < 200_000


def test_report_says_when_nothing_was_learned(tmp_path: Path) -> None:
    data = _labelled(*"aaabb" * 8)
    majority = classical(data)[0]
    chance = Says("adapter", ["ab"[i % 2] for i in range(len(data))])
    found = evaluate(data, [majority, chance], train=data, out=tmp_path)
    assert found["learned"] is False
    text = (tmp_path / "report.md").read_text()
    assert "**Nothing was learned**: always giving the most frequent answer" in text
    right = Says("adapter", [example.answer for example in data.examples])
    assert evaluate(data, [majority, right], train=data)["learned"] is True


def test_served_system_is_compared_with_baselines_and_with_its_adapter() -> None:
    others = [Says("base", ["no"] * 4), Says("adapter", [*RIGHT[:3], "no"])]
    found = evaluate(CALLS, [*others, Says("served", RIGHT)])
    roles = {d["against"]: d["role"] for d in found["differences"]}
    assert roles == {"base": "first baseline, best baseline", "adapter": "before export"}
    assert found["system"] == "served" and found["exact_match"] == 1.0


def test_evaluation_without_examples_or_names_is_refused() -> None:
    with pytest.raises(BadInput, match=r"No examples to evaluate in empty\.jsonl"):
        evaluate(Dataset((), source="empty.jsonl"), [Says("a", [])])
    with pytest.raises(BadInput, match="distinct names"):
        evaluate(CALLS, [Says("a", RIGHT), Says("a", RIGHT)])
