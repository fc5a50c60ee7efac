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
from seedbed.models.load import load_chat_model
from seedbed.structured.constrain import constrain
from seedbed.structured.grammar import Alt, Chars, Grammar, Lit, Matcher, Rep, Seq
from seedbed.structured.number_ranges import integer_range
from seedbed.structured.regex import FORMATS, compile_pattern

property_names = st.sampled_from(["a", "b", "name", "x y", "ü", 'q"'])
constants = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 500), st.floats(-5, 5), st.text(max_size=4)
)


def optional_keys(**parts):
    return st.fixed_dictionaries({}, optional=parts)


def union(*parts):
    """One dictionary of each strategy, merged."""
    return st.tuples(*parts).map(lambda dicts: {k: v for d in dicts for k, v in d.items()})


limits = st.one_of(st.integers(-100, 100), st.floats(-20, 20).map(lambda x: round(x, 3)))
string_schemas = union(
    st.just({"type": "string"}),
    optional_keys(
        minLength=st.integers(0, 6),
        maxLength=st.integers(0, 30),
        pattern=st.sampled_from(["^[a-z]+$", "^a|b$", r"\d{3}", r"^[A-Z]{2}-\d+$", '[^"]x']),
        format=st.sampled_from([*FORMATS, "unknown"]),
    ),
)
number_schemas = union(
    st.sampled_from([{"type": "integer"}, {"type": "number"}]),
    optional_keys(
        minimum=limits,
        maximum=limits,
        exclusiveMinimum=limits,
        exclusiveMaximum=limits,
    ),
)
leaf_schemas = st.one_of(
    string_schemas,
    number_schemas,
    st.sampled_from([{"type": "boolean"}, {"type": ["string", "null"]}, {}, True]),
    st.lists(constants, min_size=1, max_size=4).map(lambda v: {"enum": v}),
    constants.map(lambda v: {"const": v}),
    st.just({"$ref": "#/$defs/n"}),
)


def nested_schemas(inner):
    arrays = union(
        st.just({"type": "array"}),
        optional_keys(
            items=inner,
            prefixItems=st.lists(inner, min_size=1, max_size=2),
            minItems=st.integers(0, 3),
            maxItems=st.integers(0, 5),
            uniqueItems=st.booleans(),
        ),
    )
    objects = union(
        st.just({"type": "object"}),
        optional_keys(
            properties=st.dictionaries(property_names, inner, max_size=4),
            required=st.lists(property_names, max_size=3, unique=True),
            additionalProperties=st.one_of(st.booleans(), inner),
            minProperties=st.integers(0, 3),
            maxProperties=st.integers(0, 4),
        ),
    )
    branches = st.lists(inner, min_size=1, max_size=3)
    combined = st.one_of(
        *[branches.map(lambda s, k=k: {k: s}) for k in ("anyOf", "oneOf", "allOf")]
    )
    return st.one_of(arrays, objects, combined, union(combined, objects))


schemas = st.tuples(
    st.recursive(leaf_schemas, nested_schemas, max_leaves=6).filter(lambda s: isinstance(s, dict)),
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
        constraint = constrain(schema)
    except BadInput:
        return  # refused before anything is generated
    rng, validator = random.Random(seed), Draft202012Validator(schema)
    text = random_text(constraint.grammar.root, rng, [300])
    assert constraint.grammar.matches(text)
    if not constraint.unique:
        validator.validate(json.loads(text))
    truncated = text[: rng.randint(0, len(text))]
    validator.validate(json.loads(constraint.finish(truncated)))


REFUSED = {
    "not": ({"not": {"type": "string"}}, "'not'"),
    "look-ahead": ({"type": "string", "pattern": "(?=a)b"}, "no look-around"),
    "unique items without enum": (
        {"type": "array", "uniqueItems": True, "minItems": 3},
        "uniqueItems",
    ),
    "unique items with positions": (
        {"type": "array", "prefixItems": [{}], "uniqueItems": True},
        "'uniqueItems' together with 'prefixItems'",
    ),
    "empty range": ({"type": "integer", "minimum": 5, "maximum": 4}, "between its bounds"),
    "empty length": ({"type": "string", "minLength": 5, "maxLength": 4}, "minLength"),
    "endless reference": ({"$ref": "#/$defs/n", "$defs": {"n": {"$ref": "#/$defs/n"}}}, "itself"),
    "external reference": ({"$ref": "https://example.com/schema"}, "does not point into"),
    "unknown type": ({"type": "nonsense"}, "Not a JSON schema"),
    "if": ({"if": {"type": "string"}, "then": {"minLength": 3}}, "'if'"),
    "false": (False, "'not'"),
    "oneOf with overlapping patterns": (
        {"oneOf": [{"type": "string", "pattern": p} for p in ("^a.c$", "^ab.$")]},
        "'oneOf'",
    ),
    "oneOf with a common tag": (
        {
            "oneOf": [
                {"properties": {"kind": {"enum": kinds}}, "required": ["kind"]}
                for kinds in (["cat", "dog"], ["dog", "cow"])
            ]
        },
        "'oneOf'",
    ),
    "multipleOf": ({"type": "integer", "multipleOf": 5}, "'multipleOf'"),
    "propertyNames": ({"type": "object", "propertyNames": {"enum": ["a"]}}, "'propertyNames'"),
    "unevaluatedProperties": (
        {"type": "object", "unevaluatedProperties": False},
        "'unevaluatedProperties'",
    ),
    "number of declared properties": (
        {"type": "object", "properties": {"a": {}, "b": {}}, "minProperties": 1},
        "'minProperties'",
    ),
    "number of forbidden properties": (
        {"type": "object", "additionalProperties": False, "minProperties": 1},
        "'minProperties'",
    ),
    "decimal limit": ({"type": "number", "minimum": 0.5}, "'minimum'"),
    "two anyOf": (
        {"allOf": [{"anyOf": [{"minimum": n}, {"maximum": -n}]} for n in (1, 2)]},
        "'anyOf'",
    ),
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
    "too many characters": ({"type": "string", "minLength": 10**12}, "cannot be guaranteed"),
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
    grammar = constrain(schema).grammar
    assert grammar.matches('[{"kind": "cat", "lives": 7}, {"kind": "puppy"}]')
    assert not grammar.matches('[{"kind": "dog", "lives": 7}]')


def test_constrain_recursive_schema_is_finite():
    tree = {"type": "object", "properties": {"value": {"type": "integer"}}, "required": ["value"]}
    tree["properties"]["children"] = {"type": "array", "items": {"$ref": "#"}}
    text = constrain(tree).finish('{"value": 1, "children": [{"value": 2, "children": [')
    assert json.loads(text) == {"value": 1, "children": [{"value": 2, "children": []}]}


def test_finish_removes_repeated_members_of_unique_array():
    schema = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    assert json.loads(constrain(schema).finish("[1, 2, 1")) == [1, 2]


@pytest.mark.parametrize("bounds", [(0, 0), (3, 57), (-120, -7), (99, 1001), (-30, 3), (5, 10**15)])
def test_integer_range_matches_exactly_the_integers_in_range(bounds):
    low, high = bounds
    grammar = Grammar(integer_range(low, high))
    for number in range(-150, 1100):
        assert grammar.matches(str(number)) == (low <= number <= high)


@pytest.mark.parametrize("low", ["minimum", "exclusiveMinimum"])
@pytest.mark.parametrize("high", ["maximum", "exclusiveMaximum"])
@pytest.mark.parametrize("bounds", [(0, 1), (-3, 2), (-11, -9), (9, 21), (4, 4)])
def test_decimal_range_matches_exactly_the_numbers_in_range(low, high, bounds):
    schema = {"type": "number", low: bounds[0], high: bounds[1]}
    if bounds == (4, 4) and (low, high) != ("minimum", "maximum"):
        with pytest.raises(BadInput, match="no number is between its bounds"):
            constrain(schema)
        return
    grammar, validator = constrain(schema).grammar, Draft202012Validator(schema)
    for hundredths in range(-1200, 2200):
        number = hundredths / 100
        text = f"{number:g}"
        assert grammar.matches(text) == validator.is_valid(number), text


@pytest.mark.parametrize("source", [*FORMATS.values(), r"^\S+@\w+$", r'^(foo|bar)*"$', "^[^\"']+$"])
def test_compile_pattern_matches_only_texts_of_the_pattern(source):
    rng = random.Random(0)
    for _ in range(30):
        text = json.loads('"' + random_text(compile_pattern(source), rng, [200]) + '"')
        assert re.search(source, text)


def test_matcher_stops_at_max_length_and_completes_the_string():
    matcher = Matcher(constrain({"type": "string", "maxLength": 3}).grammar)
    assert matcher.feed('"abcd') == '"abc'
    assert matcher.broken
    assert matcher.rest() == '"'


def test_long_enum_matches_its_values_only():
    values = [f"value {n}" for n in range(500)]
    grammar = constrain({"enum": values}).grammar
    assert all(grammar.matches(f'"{value}"') for value in values)
    assert not grammar.matches('"value 500"')


@pytest.mark.parametrize("pattern", ["^(a*)*$", "^((a{1,9}){1,9}){1,9}$", "^(a?){50}b$"])
def test_ambiguous_pattern_is_matched_in_bounded_time(pattern):
    grammar = constrain({"type": "string", "pattern": pattern}).grammar
    end = "b" if pattern.endswith("b$") else ""
    assert grammar.matches(f'"{"a" * 40}{end}"')
    assert not grammar.matches(f'"{"a" * 40}c"')


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("max_tokens", [1, 7, 40])
def test_real_model_follows_schema_at_any_token_limit(max_tokens):
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "minLength": 2, "maxLength": 30},
            "rating": {"type": "number", "exclusiveMinimum": 0, "maximum": 5},
            "released": {"type": "string", "format": "date"},
            "genre": {"enum": ["drama", "comedy"]},
            "cast": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        },
        "required": ["title", "rating", "released", "genre"],
    }
    model = load_chat_model("smollm2", max_tokens=max_tokens).with_structured_output(schema)
    assert Draft202012Validator(schema).is_valid(model.invoke("Describe a film that you like."))
