"""The schema that a prompt describes."""

import json

import pytest

from seedbed.models.small_model.json_form import described_schema

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


def test_schema_in_the_prompt_is_used_and_the_last_one_wins():
    text = f"Follow this schema:\n```\n{json.dumps(PERSON, indent=2)}\n```\nAlice is 30."
    assert described_schema(text) == PERSON
    example = 'For {"properties": {"foo": {"type": "string"}}} the object {"foo": "x"} is right.'
    assert described_schema(f"{example} {text}") == PERSON


def test_example_in_the_prompt_gives_keys_and_types():
    text = 'Answer like {"n": 1, "ok": true, "tags": ["a"], "in": {"x": "y"}, "any": null}.'
    schema = described_schema(text)
    types = {name: part["type"] for name, part in schema["properties"].items()}
    assert schema["required"] == ["n", "ok", "tags", "in", "any"]
    assert types["n"] == "number" and types["ok"] == "boolean"
    assert schema["properties"]["tags"]["items"] == {"type": "string"}
    assert schema["properties"]["in"]["required"] == ["x"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Return JSON with the keys name and city: Yuki lives in Osaka.", ["name", "city"]),
        ('Use the keys "first name", "age" and "city".', ["first name", "age", "city"]),
        ("The fields are: `a`, `b`, and `c`.", ["a", "b", "c"]),
        ('Answer with the key "mood".', ["mood"]),
        ("Extract the date as JSON with day and month: 14 March.", ["day", "month"]),
    ],
)
def test_names_of_keys_in_the_prompt_are_required(text, names):
    assert described_schema(text)["required"] == names


@pytest.mark.parametrize(
    "text",
    [
        "Describe a cat as JSON.",
        "Which keys are on a piano?",
        'This came in: {"a": 1}. What is it?',
        "JSON with three colours",
        "{" * 5000,
    ],
)
def test_other_prompts_describe_no_schema(text):
    assert described_schema(text) is None
