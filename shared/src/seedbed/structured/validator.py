"""Validate data against JSON schemas of strangers: nothing is fetched, and no pattern backtracks.

    validator_for(schema).is_valid(value)                 # of `jsonschema`, draft 2020-12
    [error.message for error in validator_for(schema).iter_errors(value)]

`jsonschema` alone downloads the target of a `$ref` to another address, and matches `pattern` with
Python's `re`, where a pattern can take for ever. Errors for people are made in `schemas`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from seedbed.errors import BadInput
from seedbed.safety.patterns import compile_untrusted

Errors = Iterator[Any]  # of jsonschema.ValidationError


def is_valid(value: Any, schema: Any) -> bool:
    """Whether `value` is valid against `schema`; formats are not validated.

    >>> is_valid(3, {"enum": [1, 2]})
    False
    """
    return bool(validator_for(schema).is_valid(value))


def validator_for(schema: Any) -> Any:
    """A `jsonschema` validator, draft 2020-12.

    It raises BadInput when it meets a pattern that `compile_untrusted` refuses, and
    `referencing.exceptions.Unresolvable` for a `$ref` that leaves the schema.

    >>> validator_for({"pattern": "^(a+)+$"}).is_valid("a" * 50 + "!")
    False
    """
    import referencing

    text = json.dumps(schema)
    if '"unevaluatedProperties"' in text and '"patternProperties"' in text:
        # What was evaluated is found out inside of jsonschema, with Python's `re`.
        raise BadInput("unevaluatedProperties beside patternProperties is not supported.")
    return _validator()(schema, registry=referencing.Registry())


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator, ValidationError
    from jsonschema.validators import extend

    original = Draft202012Validator.VALIDATORS

    def pattern(validator: Any, pattern: str, instance: Any, _: Any) -> Errors:
        if validator.is_type(instance, "string") and not _matches(pattern, instance):
            yield ValidationError(f"{instance!r} does not match {pattern!r}")

    def pattern_properties(validator: Any, patterns: Any, instance: Any, _: Any) -> Errors:
        if validator.is_type(instance, "object"):
            for pattern, schema in patterns.items():
                for name in filter(lambda name: _matches(pattern, name), instance):
                    yield from validator.descend(instance[name], schema, name, pattern)

    def additional_properties(validator: Any, rest: Any, instance: Any, schema: Any) -> Errors:
        # The original, with the names that match a pattern among the properties.
        names = dict(schema.get("properties", {}))
        if validator.is_type(instance, "object"):
            for pattern in schema.get("patternProperties", ()):
                names |= {name: True for name in instance if _matches(pattern, name)}
        yield from original["additionalProperties"](
            validator, rest, instance, {"properties": names}
        )

    return extend(  # type: ignore[no-untyped-call]
        Draft202012Validator,
        {
            "pattern": pattern,
            "patternProperties": pattern_properties,
            "additionalProperties": additional_properties,
        },
    )


def _matches(pattern: str, text: str) -> bool:
    return compile_untrusted(pattern).search(text) is not None
