"""`constrain`: texts of the grammar, and truncated ones that were completed, are valid.

Most tests need no model: a random walk through the grammar produces any text that a model could.
"""

import json
import random
import re
from typing import Annotated, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, TypeAdapter

from seedbed.errors import BadInput
from seedbed.structured.constrain import constrain
from seedbed.structured.grammar import Alt, Chars, Lit, Rep, Seq

property_names = st.sampled_from(["a", "b", "name", "x y", "ü", 'q"'])
constants = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 500), st.floats(-5, 5), st.text(max_size=4)
)
limits = st.one_of(st.integers(-100, 100), st.floats(-20, 20).map(lambda x: round(x, 3)))
patterns = st.sampled_from(
    ["^[a-z]+$", "^a|b$", r"\d{3}", r"^[A-Z]{2}-\d+$", '[^"]x', r"^\S+@\w+$"]
)


def with_keywords(schema, **keywords):
    return st.fixed_dictionaries({}, optional=keywords).map(lambda more: schema | more)


leaf_schemas = st.one_of(
    with_keywords({"type": "string"}, minLength=st.integers(0, 6), maxLength=st.integers(0, 30)),
    patterns.map(lambda pattern: {"type": "string", "pattern": pattern}),
    with_keywords(
        {"type": "integer"},
        **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), limits),
    ),
    st.sampled_from(
        [
            {"type": "number"},
            {"type": "number", "minimum": 0},
            {"type": "boolean"},
            {"type": ["string", "null"]},
            {},
        ]
    ),
    st.lists(constants, min_size=1, max_size=4).map(lambda v: {"enum": v}),
    constants.map(lambda v: {"const": v}),
    st.just({"$ref": "#/$defs/n"}),
)


def nested_schemas(inner):
    return st.one_of(
        with_keywords(
            {"type": "array"}, items=inner, minItems=st.integers(0, 3), maxItems=st.integers(0, 5)
        ),
        with_keywords(
            {"type": "object"},
            properties=st.dictionaries(property_names, inner, max_size=4),
            required=st.lists(property_names, max_size=3, unique=True),
            additionalProperties=st.one_of(st.booleans(), inner),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches}),
    )


schemas = st.tuples(
    st.recursive(leaf_schemas, nested_schemas, max_leaves=6),
    st.recursive(leaf_schemas, nested_schemas, max_leaves=4),
).map(lambda pair: {**pair[0], "$defs": {"n": pair[1]}})


def random_text(node, rng, budget):
    """A random text of a grammar, completed by the shortest one after `budget[0]` nodes."""
    budget[0] -= 1
    if budget[0] < 0:
        return node.shortest
    if isinstance(node, Lit):
        return node.text
    if isinstance(node, Chars):
        low, high = rng.choice(node.ranges)
        return chr(rng.randint(low, min(high, low + 300)))
    if isinstance(node, Seq):
        return "".join([random_text(part, rng, budget) for part in node.parts])
    if isinstance(node, Alt):
        return random_text(rng.choice(node.options), rng, budget)
    assert isinstance(node, Rep)
    high = node.low + 3 if node.high is None else min(node.high, node.low + 3)
    rounds = rng.randint(node.low, high)
    return "".join([random_text(node.part, rng, budget) for _ in range(rounds)])


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(schemas, st.integers(0, 10**9))
def test_constrain_any_schema_gives_valid_texts_whole_or_truncated(schema, seed):
    try:
        grammar = constrain(schema)
    except BadInput:
        return  # refused before anything is generated
    rng, validator = random.Random(seed), Draft202012Validator(schema)
    text = random_text(grammar.root, rng, [300])
    assert grammar.matches(text)
    validator.validate(json.loads(text))
    validator.validate(json.loads(grammar.complete(text[: rng.randint(0, len(text))])))


def tagged(*tags):
    branches = [{"properties": {"kind": {"const": tag}}, "required": ["kind"]} for tag in tags]
    return {"oneOf": branches, "discriminator": {"propertyName": "kind"}}


REFUSED = {
    "not": ({"not": {"type": "string"}}, "'not'"),
    "unique items": ({"type": "array", "uniqueItems": True}, "'uniqueItems' is not supported"),
    "decimal limit": ({"type": "number", "maximum": 1}, "'maximum' of a number"),
    "length beside a pattern": (
        {"type": "string", "pattern": "^a+$", "maxLength": 3},
        "'maxLength' beside 'pattern'",
    ),
    "limit beside a reference": (
        {"$ref": "#/$defs/n", "minimum": 3, "$defs": {"n": {"type": "integer"}}},
        "'minimum' beside '$ref'",
    ),
    "oneOf with a common tag": (tagged("cat", "cat"), "'oneOf' is only supported"),
    "look-ahead": ({"type": "string", "pattern": "(?=a)b"}, "no look-around"),
    "empty range": ({"type": "integer", "minimum": 5, "maximum": 4}, "between its bounds"),
    "endless reference": ({"$ref": "#/$defs/n", "$defs": {"n": {"$ref": "#/$defs/n"}}}, "itself"),
    "external reference": ({"$ref": "https://example.com/schema"}, "does not point into"),
    "unknown type": ({"type": "nonsense"}, "Not a JSON schema"),
    "long enum": ({"enum": [f"value {n}" for n in range(501)]}, "'enum'"),
    "too many items": (
        {"type": "array", "items": {"type": "string"}, "minItems": 10**9},
        "cannot be guaranteed",
    ),
    "too many references": (
        {
            "$ref": "#/$defs/0",
            "$defs": {
                "9": {"type": "string"},
                **{
                    f"{n}": {
                        "type": "object",
                        "properties": {name: {"$ref": f"#/$defs/{n + 1}"} for name in "abcd"},
                        "required": list("abcd"),
                    }
                    for n in range(9)
                },
            },
        },
        "over 100,000 characters",
    ),
}


@pytest.mark.parametrize(("schema", "reason"), REFUSED.values(), ids=REFUSED)
def test_constrain_refuses_schema_with_reason(schema, reason):
    with pytest.raises(BadInput, match=re.escape(reason)):
        constrain(schema)


def test_constrain_accepts_the_tagged_union_of_pydantic():
    class Cat(BaseModel):
        kind: Literal["cat"]
        lives: int = Field(ge=0, le=9)

    class Dog(BaseModel):
        kind: Literal["dog", "puppy"]

    pets = TypeAdapter(list[Annotated[Cat | Dog, Field(discriminator="kind")]])
    schema = pets.json_schema()
    assert "oneOf" in schema["items"]
    grammar = constrain(schema)
    assert grammar.matches('[{"kind": "cat", "lives": 7}, {"kind": "puppy"}]')
    assert not grammar.matches('[{"kind": "dog", "lives": 7}]')


def test_constrain_recursive_schema_is_finite():
    tree = {"type": "object", "properties": {"value": {"type": "integer"}}, "required": ["value"]}
    tree["properties"]["children"] = {"type": "array", "items": {"$ref": "#"}}
    text = constrain(tree).complete('{"value": 1, "children": [{"value": 2, "children": [')
    assert json.loads(text) == {"value": 1, "children": [{"value": 2, "children": []}]}


@pytest.mark.parametrize("bounds", [(0, 0), (3, 57), (-120, -7), (-30, 3), (99, 1001), (5, None)])
def test_integers_in_range_match_exactly(bounds):
    limits = dict(zip(("minimum", "maximum"), bounds, strict=True))
    schema = {"type": "integer", **{k: v for k, v in limits.items() if v is not None}}
    grammar, validator = constrain(schema), Draft202012Validator(schema)
    for number in range(-150, 1100):
        assert grammar.matches(str(number)) == validator.is_valid(number)
    assert not grammar.matches("007")


@pytest.mark.parametrize("pattern", ["^(a*)*$", "^((a{1,9}){1,9}){1,9}$", "^(a?){50}b$"])
def test_ambiguous_pattern_is_matched_in_bounded_time(pattern):
    grammar = constrain({"type": "string", "pattern": pattern})
    end = "b" if pattern.endswith("b$") else ""
    assert grammar.matches(f'"{"a" * 40}{end}"')
    assert not grammar.matches(f'"{"a" * 40}c"')
