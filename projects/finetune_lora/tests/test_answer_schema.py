"""The schema that is learned from the answers of a dataset."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from finetune_lora.answer.answer_schema import allowed_values, learn_schema
from finetune_lora.data.read import load_dataset
from finetune_lora.example import Example
from finetune_lora.helpdesk import requests_file
from finetune_lora.helpdesk.tools import CALL_SCHEMA
from seedbed.structured.constrain import constrain


def answer(value: object) -> Example:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Example(({"role": "user", "content": "…"}, {"role": "assistant", "content": text}))


def call(name: str, **arguments: object) -> Example:
    return answer({"name": name, "arguments": arguments})


@pytest.fixture(scope="module")
def schema() -> dict:
    examples = []
    for n in range(60):
        system = ("vpn", "mail")[n % 2]
        examples += [
            call("reset", user=f"anna.{n}", system=system) if n % 4 else call("reset", user="bob"),
            call("status", ticket=f"T-{n * 37}"),
            call("order", quantity=n % 5 + 1, amount=n + 0.5),
            call("none"),
        ]
    learned = learn_schema(examples)
    assert learned is not None
    return learned


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ({"name": "reset", "arguments": {"user": "new.user9", "system": "vpn"}}, True),
        ({"name": "reset", "arguments": {"user": "New User"}}, False),
        ({"name": "reset", "arguments": {"user": "kim", "system": "wiki"}}, False),
        ({"name": "reset", "arguments": {}}, False),
        ({"name": "status", "arguments": {"ticket": "T-999999"}}, True),
        ({"name": "status", "arguments": {"ticket": "T-" + 20 * "9"}}, False),
        ({"name": "reset", "arguments": {"user": 40 * "a"}}, False),
        ({"name": "order", "arguments": {"quantity": 5, "amount": 99.25}}, True),
        ({"name": "order", "arguments": {"quantity": 60, "amount": 1}}, True),
        ({"name": "order", "arguments": {"quantity": 2, "amount": -1}}, False),
        ({"name": "none", "arguments": {}}, True),
        ({"name": "refund", "arguments": {}}, False),
    ],
)
def test_schema_allows_what_the_data_has_in_common(schema: dict, value: dict, valid: bool) -> None:
    assert constrain(schema).matches(json.dumps(value)) is valid


def test_fields_keep_the_order_of_the_answers() -> None:
    rows = [{"a": 1, "c": 2}, {"b": 1, "c": 2}, {"a": 1, "b": 2}] * 4
    learned = learn_schema([answer(row) for row in rows])
    assert learned is not None
    assert list(learned["properties"]) == ["a", "b", "c"]
    assert learned["required"] == []


def test_nested_values_lists_and_free_text() -> None:
    names = [f"{('Ann', 'Bo')[n % 2]} Lee {n}" for n in range(30)]
    rows = [{"who": {"name": name}, "tags": ["new", "x"], "note": None} for name in names]
    learned = learn_schema([answer(row) for row in rows])
    assert learned is not None
    properties = learned["properties"]
    assert properties["who"]["properties"]["name"] == {"type": "string", "minLength": 1}
    assert properties["tags"] == {"type": "array", "items": {"enum": ["new", "x"]}}
    assert properties["note"] == {"type": ["null"]}
    assert allowed_values(learned) == {
        "who.name": ["string, not empty"],
        "tags[]": ["new", "x"],
        "note": ["null"],
    }


VALUES = st.one_of(
    st.text(max_size=8), st.sampled_from(["", "a", "T-1"]), st.integers(), st.none(), st.booleans()
)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_schema_allows_every_answer_that_training_contains(rows: list[dict]) -> None:
    learned = learn_schema([answer(row) for row in rows])
    if learned is not None:
        validator = Draft202012Validator(learned)
        assert [row for row in rows if not validator.is_valid(row)] == []


def test_names_that_training_did_not_contain_are_allowed() -> None:
    rows = [{"customer": f"{('Ann', 'Bo', 'Cy')[n % 3]} Lee {n % 20}", "n": 1} for n in range(90)]
    learned = learn_schema([answer(row) for row in rows])
    assert learned is not None and "enum" not in learned["properties"]["customer"]


@pytest.mark.parametrize("text", ["Hello", "[1]", '{"a":1}', "{", "3"])
def test_other_answers_have_no_schema(text: str) -> None:
    assert learn_schema([answer({"a": 1}), answer(text)]) is None
    assert learn_schema([]) is None


def test_helpdesk_schema_allows_every_handwritten_answer() -> None:
    learned = learn_schema(load_dataset(requests_file("train")).examples)
    assert learned is not None
    grammar = constrain(learned)
    written = load_dataset(requests_file("handwritten")).examples
    assert [e.answer for e in written if not grammar.matches(e.answer)] == []
    # One branch for each tool of the schema that the tools define.
    names = {branch["properties"]["name"]["const"] for branch in learned["anyOf"]}
    assert names == {branch["properties"]["name"]["const"] for branch in CALL_SCHEMA["anyOf"]}
