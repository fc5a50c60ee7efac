"""Whatever the schema: what the grammar lets through is valid, and so is what was cut off.

The model is not needed for most of it: a random walk through the grammar stands for any model.
"""

import json
import random
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from seedbed.errors import BadInput
from seedbed.models.chat import load_chat_model
from seedbed.structured.constrain import constrain
from seedbed.structured.grammar import Alt, Chars, Grammar, Lit, Matcher, Rep, Seq
from seedbed.structured.number_ranges import integer_range
from seedbed.structured.regex import FORMATS, compile_pattern

names = st.sampled_from(["a", "b", "name", "x y", "ü", 'q"'])
values = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 500), st.floats(-5, 5), st.text(max_size=4)
)


def optional(**parts):
    return st.fixed_dictionaries({}, optional=parts)


def both(*parts):
    return st.tuples(*parts).map(lambda dicts: {k: v for d in dicts for k, v in d.items()})


limits = st.one_of(st.integers(-100, 100), st.floats(-20, 20).map(lambda x: round(x, 3)))
strings = both(
    st.just({"type": "string"}),
    optional(
        minLength=st.integers(0, 6),
        maxLength=st.integers(0, 30),
        pattern=st.sampled_from(["^[a-z]+$", "^a|b$", r"\d{3}", r"^[A-Z]{2}-\d+$", '[^"]x']),
        format=st.sampled_from([*FORMATS, "unknown"]),
    ),
)
numbers = both(
    st.sampled_from([{"type": "integer"}, {"type": "number"}]),
    optional(
        minimum=limits,
        maximum=limits,
        exclusiveMinimum=limits,
        exclusiveMaximum=limits,
        multipleOf=st.sampled_from([1, 2, 0.5, 7]),
    ),
)
leaves = st.one_of(
    strings,
    numbers,
    st.sampled_from([{"type": "boolean"}, {"type": ["string", "null"]}, {}, True]),
    st.lists(values, min_size=1, max_size=4).map(lambda v: {"enum": v}),
    values.map(lambda v: {"const": v}),
    st.just({"$ref": "#/$defs/n"}),
)


def larger(inner):
    arrays = both(
        st.just({"type": "array"}),
        optional(
            items=inner,
            prefixItems=st.lists(inner, min_size=1, max_size=2),
            minItems=st.integers(0, 3),
            maxItems=st.integers(0, 5),
            uniqueItems=st.booleans(),
        ),
    )
    objects = both(
        st.just({"type": "object"}),
        optional(
            properties=st.dictionaries(names, inner, max_size=4),
            required=st.lists(names, max_size=3, unique=True),
            additionalProperties=st.one_of(st.booleans(), inner),
            minProperties=st.integers(0, 3),
            maxProperties=st.integers(0, 4),
        ),
    )
    several = st.lists(inner, min_size=1, max_size=3)
    combined = st.one_of(*[several.map(lambda s, k=k: {k: s}) for k in ("anyOf", "oneOf", "allOf")])
    return st.one_of(arrays, objects, combined, both(combined, objects))


schemas = st.tuples(
    st.recursive(leaves, larger, max_leaves=6).filter(lambda s: isinstance(s, dict)),
    st.recursive(leaves, larger, max_leaves=4),
).map(lambda pair: {**pair[0], "$defs": {"n": pair[1]}})


def walk(node, chance, fuel):
    """A random text of a grammar, short once the fuel is used up."""
    fuel[0] -= 1
    if fuel[0] < 0:
        return node.shortest
    if isinstance(node, Lit):
        return node.text
    if isinstance(node, Chars):
        low, high = chance.choice(node.ranges)
        return chr(chance.randint(low, min(high, low + 300)))
    if isinstance(node, Seq):
        return "".join([walk(part, chance, fuel) for part in node.parts])
    if isinstance(node, Alt):
        return walk(chance.choice(node.options), chance, fuel)
    assert isinstance(node, Rep)
    high = node.low + 3 if node.high is None else min(node.high, node.low + 3)
    times = chance.randint(node.low, high)
    return "".join([walk(node.part, chance, fuel) for _ in range(times)])


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(schemas, st.integers(0, 10**9))
def test_every_text_of_the_grammar_is_valid_and_so_is_every_beginning_of_one(schema, seed):
    try:
        constraint = constrain(schema)
    except BadInput:
        return  # refused before anything is generated
    chance, validator = random.Random(seed), Draft202012Validator(schema)
    text = walk(constraint.grammar.root, chance, [300])
    assert constraint.grammar.matches(text)
    if not constraint.unique:
        validator.validate(json.loads(text))
    cut = text[: chance.randint(0, len(text))]
    validator.validate(json.loads(constraint.finish(cut)))


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"not": {"type": "string"}}, "'not'"),
        ({"type": "string", "pattern": "(?=a)b"}, "assert"),
        ({"type": "array", "uniqueItems": True, "minItems": 3}, "uniqueItems"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "between its bounds"),
        ({"type": "string", "minLength": 5, "maxLength": 4}, "minLength"),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"$ref": "#/$defs/n"}}}, "itself"),
        ({"$ref": "https://example.com/schema"}, "does not point into"),
        ({"type": "nonsense"}, "Not a JSON schema"),
        ({"if": {"type": "string"}, "then": {"minLength": 3}}, "'if'"),
        (False, "'not'"),
    ],
)
def test_what_cannot_be_guaranteed_is_refused_by_name(schema, named):
    with pytest.raises(BadInput, match=re.escape(named)):
        constrain(schema)


def test_a_recursive_schema_ends():
    tree = {"type": "object", "properties": {"value": {"type": "integer"}}, "required": ["value"]}
    tree["properties"]["children"] = {"type": "array", "items": {"$ref": "#"}}
    text = constrain(tree).finish('{"value": 1, "children": [{"value": 2, "children": [')
    assert json.loads(text) == {"value": 1, "children": [{"value": 2, "children": []}]}


def test_equal_members_are_taken_out_where_they_must_differ():
    schema = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    assert json.loads(constrain(schema).finish("[1, 2, 1")) == [1, 2]


@pytest.mark.parametrize("bounds", [(0, 0), (3, 57), (-120, -7), (99, 1001), (None, 3), (5, None)])
def test_ranges_of_integers_are_exact(bounds):
    low, high = bounds
    grammar = Grammar(integer_range(low, high))
    for number in range(-150, 1100):
        inside = (low is None or number >= low) and (high is None or number <= high)
        assert grammar.matches(str(number)) == inside


@pytest.mark.parametrize("source", [*FORMATS.values(), r"^\S+@\w+$", r'^(foo|bar)*"$', "^[^\"']+$"])
def test_patterns_let_only_matches_through(source):
    chance = random.Random(0)
    for _ in range(30):
        text = json.loads('"' + walk(compile_pattern(source), chance, [200]) + '"')
        assert re.search(source, text)


def test_a_matcher_tells_what_may_follow():
    matcher = Matcher(constrain({"type": "string", "maxLength": 3}).grammar)
    assert matcher.feed('"abcd') == '"abc'
    assert matcher.broken
    assert matcher.rest() == '"'


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("tokens", [1, 7, 40])
def test_the_real_model_keeps_to_a_schema_at_any_token_limit(tokens):
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
    model = load_chat_model("smollm2", max_tokens=tokens).with_structured_output(schema)
    assert Draft202012Validator(schema).is_valid(model.invoke("Describe a film that you like."))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}, "minItems": 10**9},
        {"type": "string", "minLength": 10**12},
        {"enum": [f"value {n}" for n in range(50_000)]},
        {"oneOf": [{"const": n} for n in range(1000)]},
    ],
)
def test_a_schema_of_which_nobody_could_wait_for_an_answer_is_refused(schema):
    with pytest.raises(BadInput, match="cannot be guaranteed"):
        constrain(schema)


def test_many_values_are_written_as_a_tree_and_all_of_them_match():
    values = [f"value {n}" for n in range(300)]
    grammar = constrain({"enum": values}).grammar
    assert len(grammar.ebnf()) < 6000
    assert all(grammar.matches(f'"{value}"') for value in values)
    assert not grammar.matches('"value 300"')


@pytest.mark.parametrize("pattern", ["^(a*)*$", "^((a{1,99}){1,99}){1,99}$", "^(a?){50}b$"])
def test_an_ambiguous_pattern_is_matched_in_bounded_time(pattern):
    grammar = constrain({"type": "string", "pattern": pattern}).grammar
    end = "b" if pattern.endswith("b$") else ""
    assert grammar.matches(f'"{"a" * 40}{end}"')
    assert not grammar.matches(f'"{"a" * 40}c"')
