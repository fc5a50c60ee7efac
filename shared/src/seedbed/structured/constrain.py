"""Replies that are valid against a JSON schema, for any model and any token limit.

    constraint = constrain({"type": "object", "properties": {"age": {"type": "integer"}}})
    sampling = Sampling(grammar=constraint.grammar.ebnf())
    text = constraint.finish(engine.submit(prompt, sampling).result().text)

OpenVINO accepts a JSON schema too, but its compiler silently ignores keywords (see the package),
and a reply that reaches the token limit is not valid JSON. Here a schema is either guaranteed or
refused. How a chat model resumes a reply that left the grammar is in
`seedbed.models.local.answer_in_progress`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seedbed.errors import BadInput, InvalidReply
from seedbed.structured.grammar import Grammar, Matcher, Unsupported
from seedbed.structured.schema_compiler import compile_schema, json_text
from seedbed.structured.schemas import validate
from seedbed.structured.validator import is_valid, validator_for

MAX_EBNF = 200_000  # characters; XGrammar compiles more for seconds, while all requests wait


@dataclass(frozen=True)
class Constraint:
    """A schema and its grammar. `finish` enforces what the grammar cannot: `uniqueItems`."""

    schema: Mapping[str, Any]
    grammar: Grammar

    @property
    def unique(self) -> bool:
        """Whether `finish` may remove repeated members of arrays, so a text is not final yet."""
        return '"uniqueItems"' in json.dumps(self.schema)

    def finish(self, text: str) -> str:
        """The valid reply that `text` begins, where the text was cut off or left the grammar.

        >>> constrain({"type": "array", "items": {"enum": ["red", "blue"]}}).finish('["red", "b')
        '["red", "blue"]'
        """
        # 1. Keep the part that follows the grammar, and add the shortest rest.
        matcher = Matcher(self.grammar)
        text = matcher.feed(text) + matcher.rest()
        # 2. Remove repeated members where they must differ.
        if self.unique:
            text = _without_repeats(text, self.schema)
        # 3. Validate, so that a fault of the compiler cannot go unnoticed.
        validate(json.loads(text), dict(self.schema), "The reply")
        return text


def constrain(schema: Mapping[str, Any] | bool) -> Constraint:
    """Compile a schema (draft 2020-12). Raises BadInput with the keyword that cannot be guaranteed,
    or where no value satisfies the schema.

    >>> constrain({"type": "integer", "minimum": 10}).finish("")
    '10'
    """
    from jsonschema import Draft202012Validator, SchemaError

    root: dict[str, Any] = dict(schema) if isinstance(schema, Mapping) else _from_boolean(schema)
    hint = "Use a simpler schema."
    try:
        Draft202012Validator.check_schema(root)
        constraint = Constraint(root, Grammar(compile_schema(root)))
        if len(constraint.grammar.ebnf()) > MAX_EBNF:
            raise Unsupported(f"its grammar has over {MAX_EBNF:,} characters")
        constraint.finish("")  # its shortest reply must be short enough, and valid
    except SchemaError as error:
        raise BadInput(f"Not a JSON schema: {error.message} at {error.json_path}.") from None
    except Unsupported as error:
        raise BadInput(f"The schema cannot be guaranteed: {error}.", hint=hint) from None
    except RecursionError:
        raise BadInput(
            "The schema cannot be guaranteed: it refers to itself endlessly.", hint=hint
        ) from None
    except InvalidReply as error:
        raise BadInput(f"The schema cannot be guaranteed: {error}", hint=hint) from None
    return constraint


def _from_boolean(schema: bool) -> dict[str, Any]:
    return {} if schema else {"not": {}}


def _without_repeats(text: str, schema: Mapping[str, Any]) -> str:
    """The JSON text with repeated members removed from every array that must be unique."""
    value = json.loads(text)
    validator = validator_for(schema)
    while errors := [
        error
        for error in _all_errors(validator.iter_errors(value))
        if error.validator == "uniqueItems"
    ]:
        array = errors[0].instance
        members: list[Any] = []
        for item in array:
            if not any(is_valid(item, {"const": member}) for member in members):
                members.append(item)
        array[:] = members
        text = json_text(value)
    return text


def _all_errors(errors: Iterable[Any]) -> Iterator[Any]:
    """The errors with those inside the branches of `anyOf` and `oneOf`."""
    for error in errors:
        yield error
        yield from _all_errors(error.context)
