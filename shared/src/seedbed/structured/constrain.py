"""Answers that are valid against a JSON schema, whatever the model and wherever it is cut off.

Why not give the schema to OpenVINO: its compiler ignores keywords in 13 of 19 ordinary schemas (see
the package), and an answer that reaches its token limit is not valid JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seedbed.errors import BadInput
from seedbed.structured.grammar import Grammar, Matcher
from seedbed.structured.json_grammar import FAILURES, fits, schema_node, text_of
from seedbed.structured.schemas import InvalidReply, check

MOST_GRAMMAR = 200_000  # its compiler, which all requests wait for, takes seconds for more


@dataclass(frozen=True)
class Constraint:
    """A grammar for one schema, and its last rules that no grammar can hold."""

    schema: Mapping[str, Any]
    grammar: Grammar

    @property
    def unique(self) -> bool:
        """Whether repeated members of arrays may have to be taken out at the end."""
        return '"uniqueItems"' in json.dumps(self.schema)

    def finish(self, text: str) -> str:
        """A valid answer out of `text`, which was cut off anywhere or left the grammar: what
        follows the grammar, with the shortest rest, and no equal members where they must differ.
        """
        matcher = Matcher(self.grammar)
        text = matcher.feed(text) + matcher.rest()
        if self.unique:
            text = _without_repeats(text, self.schema)
        check(json.loads(text), dict(self.schema), "The reply")
        return text


def constrain(schema: Mapping[str, Any] | bool) -> Constraint:
    """Compile a schema. BadInput names the keyword that cannot be guaranteed, or says that
    nothing satisfies the schema."""
    from jsonschema import Draft202012Validator, SchemaError

    root: dict[str, Any] = dict(schema) if isinstance(schema, Mapping) else _boolean(schema)
    try:
        Draft202012Validator.check_schema(root)
        grammar = Grammar(schema_node(root))
        if len(grammar.ebnf()) > MOST_GRAMMAR:
            raise BadInput(
                f"The schema cannot be guaranteed: it takes over {MOST_GRAMMAR:,} characters of "
                "grammar.",
                hint="Use a simpler schema.",
            )
        Constraint(root, grammar).finish("")
    except SchemaError as error:
        raise BadInput(f"Not a JSON schema: {error.message} at {error.json_path}.") from None
    except FAILURES as error:
        raise BadInput(
            f"The schema cannot be guaranteed: {error}.", hint="Use a simpler schema."
        ) from None
    except RecursionError:
        raise BadInput("The schema cannot be guaranteed: it refers to itself endlessly.") from None
    except InvalidReply as error:
        raise BadInput(f"The schema cannot be guaranteed: {error}") from None
    return Constraint(root, grammar)


def _boolean(schema: bool) -> dict[str, Any]:
    return {} if schema else {"not": {}}


def _without_repeats(text: str, schema: Mapping[str, Any]) -> str:
    from jsonschema import Draft202012Validator

    value = json.loads(text)
    validator = Draft202012Validator(schema)
    while errors := [
        e for e in _leaves(validator.iter_errors(value)) if e.validator == "uniqueItems"
    ]:
        repeated = errors[0].instance
        kept: list[Any] = []
        for item in repeated:
            if not any(fits(item, {"const": other}) for other in kept):
                kept.append(item)
        repeated[:] = kept
        text = text_of(value)
    return text


def _leaves(errors: Iterable[Any]) -> Iterator[Any]:
    for error in errors:
        yield error
        yield from _leaves(error.context)
