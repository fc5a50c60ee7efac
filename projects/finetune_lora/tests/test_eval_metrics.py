"""The figures, against values computed by hand and by scikit-learn."""

from __future__ import annotations

import pytest

from finetune_lora.evaluate import metrics
from finetune_lora.example import Example
from seedbed.errors import BadInput


@pytest.mark.parametrize(
    ("expected", "got", "right"),
    [
        ('{"a": 1, "b": [1, 2]}', '{ "b":[1,2],\n"a":1 }', True),
        ('{"a": 2}', '{"a": 2.0}', True),
        ('{"a": 2}', '{"a": "2"}', False),
        ('{"a": 1}', '{"a": true}', False),
        ('{"a": 0}', '{"a": false}', False),
        ('{"a": null}', "{}", False),
        ('{"a": {}}', '{"a": []}', False),
        ('{"a": {"b": 1}}', '{"a.b": 1}', False),
        ('{"0": 1}', "[1]", False),
        ("[1, 2]", "[2, 1]", False),
        ("[1]", "[1]", True),
        ('{"a": 1}', '{"a": 1} and more', False),
        ('{"a": 1}', "", False),
        ('{"a": 1}', '{"a": NaN}', False),
        ('{"a": 1}', '{"a": 1e999}', False),
        ('{"a": 1}', "[" * 200_000, False),
        ('{"a": 1}', '{"a": ' + "9" * 100_000 + "}", False),
        (" yes\n", "yes", True),
        ("yes", "Yes", False),
        ("", "", True),
    ],
)
def test_a_whole_answer(expected: str, got: str, right: bool) -> None:
    assert metrics.exact_match(expected, got) is right


def test_deep_answers_are_compared() -> None:
    deep = "[" * 400 + "1" + "]" * 400
    assert metrics.exact_match(deep, deep.replace("1", "1.0"))
    assert metrics.field_scores([deep], [deep])[0] == {"precision": 1, "recall": 1, "f1": 1, "n": 1}


def test_fields_by_hand() -> None:
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
    assert set(fields) == {
        "name",
        "arguments.user",
        "arguments.system",
        "arguments.level",
        "arguments.tags[]",
    }
    assert fields["name"] == {"precision": 1, "recall": 2 / 3, "f1": 0.8, "n": 3}
    assert fields["arguments.level"]["n"] == 0
    assert fields["arguments.tags[]"]["recall"] == 0


def test_schema() -> None:
    schema = {"type": "object", "required": ["name"], "properties": {"n": {"type": "integer"}}}
    answers = ['{"name": 1}', "{}", '{"name": 1, "n": "x"}', "", "NaN", "[" * 100_000]
    assert metrics.schema_validity(answers, schema) == [True, False, False, False, False, False]
    assert metrics.schema_validity(["[]", "1", "{}", "x"], None) == [True, False, True, False]
    with pytest.raises(BadInput, match="Invalid JSON schema"):
        metrics.schema_validity(answers, {"type": "banana"})


def test_label_scores_by_hand() -> None:
    expected, got = ["a", "a", "b", "b", "b"], ["a", "b", "b", "zzz", None]
    scores = metrics.label_scores(expected, got)
    assert scores["a"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "n": 2}
    assert scores["b"] == {
        "precision": 0.5,
        "recall": pytest.approx(1 / 3),
        "f1": pytest.approx(0.4),
        "n": 3,
    }
    assert metrics.macro_f1(scores) == pytest.approx((2 / 3 + 0.4) / 2)


def _asks(text: str, **tags: str) -> Example:
    return Example(
        ({"role": "user", "content": text}, {"role": "assistant", "content": "x"}), tags=tags
    )


def test_slices() -> None:
    examples = [_asks("a" * 40, noise="typos"), _asks("a" * 41, noise="none"), _asks("a" * 999)]
    slices = [metrics.slices_of(e, "tool") for e in examples]
    assert slices[0] == {"label": "tool", "length": "0 to 40 characters", "noise": "typos"}
    assert slices[1]["length"] == "41 to 80 characters"
    assert slices[2]["length"] == "over 320 characters"
    table = metrics.per_slice(slices, [True, False, True])
    assert table["label"]["tool"]["n"] == 3
    assert table["noise"]["typos"]["exact_match"] == 1.0
    assert table["noise"]["typos"]["interval"][0] == pytest.approx(0.2065, abs=1e-4)
    assert "none" in table["noise"] and len(table["noise"]) == 2


def test_a_tag_that_identifies_stays_small() -> None:
    table = metrics.per_slice([{"id": str(i)} for i in range(500)], [True] * 500)
    assert len(table["id"]) == 40


def test_largest_gap_is_between_slices_of_ten_examples_or_more() -> None:
    slices = [{"noise": "none"}] * 60 + [{"noise": "typos"}] * 60 + [{"noise": "rare"}] * 3
    table = metrics.per_slice(slices, [True] * 60 + [True, False] * 30 + [False] * 3)
    gap = {"slice": "noise", "best": "none", "worst": "typos", "gap": 0.5}
    assert metrics.largest_gap(table) == gap
    assert metrics.largest_gap(metrics.per_slice(slices[:60], [True] * 60)) is None


def test_slices_are_in_the_order_of_their_numbers() -> None:
    values = ["161 to 320", "9" * 5000, "41 to 80", "a10", "a9", "", "²"]
    table = metrics.per_slice([{"x": v} for v in values], [True] * len(values))
    assert list(table["x"])[:3] == ["", "41 to 80", "161 to 320"]
    assert list(table["x"]).index("a9") < list(table["x"]).index("a10")


def test_schema_problems_are_those_of_the_most_similar_branch() -> None:
    from finetune_lora.helpdesk.tools import CALL_SCHEMA

    value = {"name": "book_callback", "arguments": {"hour": 25}}
    (problem,) = metrics.schema_problems(value, CALL_SCHEMA)
    assert "25" in problem
    assert metrics.schema_problems({"name": "none", "arguments": {}}, CALL_SCHEMA) == []
