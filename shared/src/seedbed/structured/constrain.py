"""Grammars that guarantee a JSON schema, for any model and any token limit.

    grammar = constrain({"type": "object", "properties": {"age": {"type": "integer"}}})
    sampling = Sampling(grammar=grammar.ebnf)
    text = grammar.complete(engine.submit(prompt, sampling).result().text)

A schema is either guaranteed or refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from seedbed.errors import BadInput, InvalidReply
from seedbed.structured.grammar import Grammar, Node, Unsupported
from seedbed.structured.schema_compiler import SchemaCompiler
from seedbed.structured.schemas import validate

MAX_EBNF = 200_000  # characters; XGrammar compiles more for seconds, while all requests wait


def constrain(schema: Mapping[str, Any] | bool) -> Grammar:
    """Compile a schema (draft 2020-12). Raises BadInput with the keyword that cannot be guaranteed,
    or where no value satisfies the schema.

    >>> constrain({"type": "array", "items": {"enum": ["red", "blue"]}}).complete('["red", "b')
    '["red", "blue"]'
    """
    return within_limit(Grammar(schema_node(schema)))


def schema_node(schema: Mapping[str, Any] | bool) -> Node:
    """`constrain` as a part of a larger grammar, whose size its caller checks."""
    from jsonschema import Draft202012Validator, SchemaError

    root: dict[str, Any] = dict(schema) if isinstance(schema, Mapping) else {}
    with _bad_input():
        if schema is False:
            raise Unsupported("the schema false allows no value")
        try:
            Draft202012Validator.check_schema(root)
        except SchemaError as error:
            raise BadInput(f"Not a JSON schema: {error.message} at {error.json_path}.") from None
        node = SchemaCompiler(root).compile(root)
        # Its shortest reply must be short enough, and valid: a reference may lead nowhere.
        validate(json.loads(node.shortest), root, "The reply")
    return node


def within_limit(grammar: Grammar) -> Grammar:
    """The grammar; raises BadInput if it is too large to be compiled for a request."""
    with _bad_input():
        if len(grammar.ebnf) > MAX_EBNF:
            raise Unsupported(f"its grammar has over {MAX_EBNF:,} characters")
    return grammar


@contextmanager
def _bad_input() -> Iterator[None]:
    try:
        yield
    except (Unsupported, InvalidReply) as error:
        reason = str(error).rstrip(".")
    except RecursionError:
        reason = "it refers to itself endlessly"
    else:
        return
    raise BadInput(f"The schema cannot be guaranteed: {reason}.", hint="Use a simpler schema.")
