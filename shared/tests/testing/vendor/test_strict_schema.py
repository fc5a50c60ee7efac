"""Schemas that the vendors' strict modes refuse."""

import pytest
from pydantic import BaseModel

from seedbed.testing.vendor.strict_schema import anthropic_strict_problem, openai_strict_problem

TEXT = {"type": "string"}


def closed(**properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def nested(levels):
    return closed(a=nested(levels - 1)) if levels else TEXT


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"anyOf": [closed(a=TEXT)]}, "schema must be a JSON Schema of 'type: \"object\"'"),
        ({**closed(a=TEXT), "anyOf": []}, "schema must be a JSON Schema"),
        ({"type": "array", "items": TEXT}, "got 'type: \"array\"'"),
        ({**closed(a=TEXT), "additionalProperties": True}, "In context=(), 'additionalProperties'"),
        (closed(a={"type": "object", "properties": {}}), "In context=('properties', 'a'), 'addit"),
        ({**closed(a=TEXT), "required": []}, "Missing 'a'."),
        ({**closed(a=TEXT), "required": ["a", "b"]}, "unknown key 'b'"),
        (closed(a={**TEXT, "minLength": 1}), "'minLength' is not permitted."),
        (closed(a={**TEXT, "default": ""}), "'default' is not permitted."),
        (closed(a={"oneOf": [TEXT]}), "'oneOf' is not permitted."),
        (closed(a={"type": "array", "items": {**TEXT, "allOf": []}}), "'allOf' is not permitted."),
        (closed(a={"type": "array"}), "array schema missing items."),
        (closed(a={}), "schema must have a 'type' key."),
        (closed(a={"$ref": "#/$defs/A", "description": "x"}), "$ref cannot have keywords"),
        (closed(a={**TEXT, "format": "uri"}), "'uri' is not a valid format."),
        (closed(a={**TEXT, "pattern": "(?=a)b"}), "lookarounds"),
        ({**closed(a=TEXT), "$defs": {"B": {"type": "object"}}}, "In context=('$defs', 'B')"),
        (nested(11), "11 levels of nesting exceeds limit of 10."),
        (closed(**{f"p{n}": TEXT for n in range(5001)}), "5001 properties exceeds limit of 5000."),
        (closed(a={"enum": list(range(1001))}), "received 1001"),
        (closed(a={"enum": ["x" * 1000] * 121}), "exceeds limit of 120000"),
    ],
)
def test_openai_strict_mode_refuses(schema, problem):
    assert problem in (openai_strict_problem(schema) or "")


@pytest.mark.parametrize(
    "schema",
    [
        nested(10),
        closed(a={"type": ["string", "null"], "enum": ["x", None]}, b={"anyOf": [TEXT, nested(1)]}),
        closed(a={"type": "number", "minimum": 0, "multipleOf": 0.5}, b={**TEXT, "format": "date"}),
        {**closed(a={"$ref": "#/$defs/A"}), "$defs": {"A": closed(next={"$ref": "#/$defs/A"})}},
    ],
)
def test_openai_strict_mode_takes(schema):
    assert openai_strict_problem(schema) is None


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "object", "properties": {}}, "'additionalProperties' must be explicitly set"),
        (closed(a={"type": "integer", "minimum": 0}), "For 'integer' type, property 'minimum'"),
        (closed(a={**TEXT, "maxLength": 5}), "property 'maxLength' is not supported"),
        (closed(a={"type": "array", "items": TEXT, "minItems": 2}), "other than 0 or 1"),
        (closed(a={"$ref": "https://example.org/a.json"}), "External $ref"),
        (
            {**closed(a={"$ref": "#/$defs/A"}), "$defs": {"A": closed(b={"$ref": "#/$defs/A"})}},
            "Recursive schemas",
        ),
    ],
)
def test_anthropic_strict_mode_refuses(schema, problem):
    assert problem in (anthropic_strict_problem(schema) or "")


def test_anthropic_strict_mode_takes_optional_properties_and_references():
    schema = {**closed(a={"$ref": "#/$defs/A"}, b=TEXT), "required": ["a"]}
    assert anthropic_strict_problem({**schema, "$defs": {"A": closed(c=TEXT)}}) is None


def test_schema_of_a_pydantic_model_is_refused_unless_it_forbids_extra_fields():
    class Answer(BaseModel):
        text: str

    class Closed(Answer, extra="forbid"):
        pass

    assert "additionalProperties" in openai_strict_problem(Answer.model_json_schema())
    assert openai_strict_problem(Closed.model_json_schema()) is None
