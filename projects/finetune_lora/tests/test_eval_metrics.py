"""The figures, against values computed by hand."""

from __future__ import annotations

import pytest

from finetune_lora.evaluate import metrics
from finetune_lora.example import Example
from finetune_lora.helpdesk.tools import CALL_SCHEMA


@pytest.mark.parametrize(
    ("expected", "got", "right"),
    [
        ('{"a": 1, "b": [1, 2]}', '{ "b":[1,2],\n"a":1 }', True),
        ('{"a": 2}', '{"a": 2.0}', True),
        ('{"a": 2}', '{"a": "2"}', False),
        ('{"a": 1}', '{"a": true}', False),
        ('{"a": null}', "{}", False),
        ('{"a": {}}', '{"a": []}', False),
        ('{"a": {"b": 1}}', '{"a.b": 1}', False),
        ("[1, 2]", "[2, 1]", False),
        ('{"a": 1}', '{"a": 1} and more', False),
        ('{"a": 1}', '{"a": 1e999}', False),
        ('{"a": NaN}', '{"a":NaN}', False),
        ('{"a": 1}', "[" * 200_000, False),
        ('{"a": 1}', '{"a": ' + "9" * 100_000 + "}", False),
        ("[" * 400 + "1" + "]" * 400, "[" * 400 + "1.0" + "]" * 400, True),
        (" yes\n", "yes", True),
        ("yes", "Yes", False),
    ],
)
def test_exact_match_compares_values(expected: str, got: str, right: bool) -> None:
    assert metrics.exact_match(expected, got) is right


def test_field_scores_by_hand() -> None:
    expected = [
        '{"name": "reset", "arguments": {"user": "anna", "system": "vpn"}}',
        '{"name": "none", "arguments": {}}',
        '{"name": "order", "arguments": {"tags": ["a", "b"]}}',
    ]
    got = [
        '{"name": "reset", "arguments": {"user": "bob", "level": "read"}}',  # 1 right, 2 fp, 2 fn
        '{"name": "none", "arguments": {}}',  # 1 right
        "no json",  # 3 missing
    ]
    micro, fields = metrics.field_scores(expected, got)
    # 2 right of 4 answered and 7 expected
    assert micro == {"precision": 0.5, "recall": 2 / 7, "f1": pytest.approx(4 / 11), "n": 7}
    names = "user", "system", "level", "tags[]"
    assert set(fields) == {"name", *(f"arguments.{name}" for name in names)}
    assert fields["name"] == {"precision": 1, "recall": 2 / 3, "f1": 0.8, "n": 3}
    assert fields["arguments.level"]["n"] == 0
    deep = "[" * 400 + "1" + "]" * 400
    assert metrics.field_scores([deep], [deep])[0]["f1"] == 1


def test_schema_validity() -> None:
    schema = {"type": "object", "required": ["name"], "properties": {"n": {"type": "integer"}}}
    answers = ['{"name": 1}', "{}", '{"name": 1, "n": "x"}', "", "NaN", "[" * 100_000]
    assert metrics.schema_validity(answers, schema) == [True, False, False, False, False, False]
    assert metrics.schema_validity(["[]", "1", "{}", "x"], None) == [True, False, True, False]
    (problem,) = metrics.schema_problems(
        {"name": "book_callback", "arguments": {"hour": 25}}, CALL_SCHEMA
    )
    assert "25" in problem
    assert metrics.schema_problems({"name": "none", "arguments": {}}, CALL_SCHEMA) == []


def test_label_scores_by_hand() -> None:
    scores = metrics.label_scores(["a", "a", "b", "b", "b"], ["a", "b", "b", "zzz", None])
    assert scores["a"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "n": 2}
    assert scores["b"] == {"precision": 0.5, "recall": 1 / 3, "f1": pytest.approx(0.4), "n": 3}
    assert metrics.macro_f1(scores) == pytest.approx((2 / 3 + 0.4) / 2)


def test_slices_are_tags_lengths_and_labels() -> None:
    message = {"role": "user", "content": "a" * 41}
    example = Example((message, {"role": "assistant", "content": "x"}), tags={"noise": "typos"})
    slices = [metrics.slices_of(example, "tool"), {"label": "tool"}]
    assert slices[0] == {"label": "tool", "length": "up to 80 characters", "noise": "typos"}
    table = metrics.per_slice(slices, [True, False])
    assert table["label"]["tool"]["n"] == 2
    assert table["noise"]["typos"]["interval"][0] == pytest.approx(0.2065, abs=1e-4)
    many = metrics.per_slice([{"id": str(i)} for i in range(500)], [True] * 500)
    assert len(many["id"]) == 40


def test_largest_gap_is_between_slices_of_ten_examples_or_more() -> None:
    slices = [{"noise": "none"}] * 60 + [{"noise": "typos"}] * 60 + [{"noise": "rare"}] * 3
    table = metrics.per_slice(slices, [True] * 60 + [True, False] * 30 + [False] * 3)
    gap = {"slice": "noise", "best": "none", "worst": "typos", "gap": 0.5}
    assert metrics.largest_gap(table) == gap
    assert metrics.largest_gap(metrics.per_slice(slices[:60], [True] * 60)) is None
