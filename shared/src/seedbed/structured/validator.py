"""Validate data against untrusted JSON schemas: nothing is fetched, and no pattern backtracks.

    is_valid(value, schema)
    [error.message for error in validator_for(schema).iter_errors(value)]

`jsonschema` alone downloads the target of a `$ref` to another address, and matches `pattern` with
Python's `re`, where a pattern can take forever. `schemas.validate` raises errors for people.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from seedbed.errors import BadInput
from seedbed.safety.patterns import compile_untrusted

Schema = dict[str, Any]


def is_valid(value: Any, schema: Any) -> bool:
    """Whether `value` is valid against `schema`; formats are not validated."""
    return bool(validator_for(schema).is_valid(value))


def validator_for(schema: Any) -> Any:
    """A `jsonschema` validator, draft 2020-12. Raises BadInput for `patternProperties`.

    The validator raises BadInput when it meets a pattern that `compile_untrusted` refuses, and
    `referencing.exceptions.Unresolvable` for a `$ref` that leaves the schema.

    >>> validator_for({"pattern": "^(a+)+$"}).is_valid("a" * 50 + "!")
    False
    """
    import referencing

    if '"patternProperties"' in json.dumps(schema):  # matched with `re` in several places
        raise BadInput("patternProperties is not supported.", hint="Use a simpler schema.")
    return _validator()(schema, registry=referencing.Registry())


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator, ValidationError
    from jsonschema.validators import extend

    def pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[Any]:
        if isinstance(instance, str) and not compile_untrusted(pattern).search(instance):
            yield ValidationError(f"{instance!r} does not match {pattern!r}")

    return extend(Draft202012Validator, {"pattern": pattern})  # type: ignore[no-untyped-call]
