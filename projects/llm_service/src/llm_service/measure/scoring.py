"""Whether an answer is right: against a JSON schema, or as a call of the expected tool.

It knows answers and what was expected of them, and no service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any


def schema_error(text: str, schema: Any) -> str:
    """Why `text` is not JSON that is valid against `schema`, formats too; "" if it is."""
    import jsonschema

    try:
        value = json.loads(text)
    except ValueError as error:
        return f"no JSON: {error}"
    checker = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    found = next(iter(checker.iter_errors(value)), None)
    return "" if found is None else found.message[:200]


def judge_calls(
    row: Mapping[str, Any],
    calls: Sequence[Mapping[str, str]],
    defined: Mapping[str, Mapping[str, Any]],
) -> dict[str, int]:
    """What of a request's calls was right, as 0 and 1; only what the request can show."""
    choice, expected = row["tool_choice"], row["expect"]
    found: dict[str, int] = {}
    if calls:
        found["tool_parses"] = int(
            all(
                call["name"] in row["tools"]
                and not schema_error(
                    call["arguments"], defined[call["name"]]["function"]["parameters"]
                )
                for call in calls
            )
        )
    if choice == "none":
        found["choice_kept"] = int(not calls)
    elif choice == "required":
        found["choice_kept"] = int(bool(calls))
    elif isinstance(choice, dict):
        found["choice_kept"] = int({c["name"] for c in calls} == {choice["function"]["name"]})
    if expected is None:
        if choice == "auto":
            found["no_tool_right"] = int(not calls)
        return found
    right = len(calls) == 1 and calls[0]["name"] == expected["name"]
    if choice in ("auto", "required"):
        found["tool_right"] = int(right)
    found["tool_arguments_right"] = int(
        right and arguments_match(calls[0]["arguments"], expected["arguments"], row.get("free", ()))
    )
    return found


def arguments_match(text: str, expected: Mapping[str, Any], free: Sequence[str] = ()) -> bool:
    """Whether a call's arguments are those expected, and no others but the `free` ones. An expected
    list of texts holds alternatives where the argument is a text; "*" stands for anything."""
    try:
        given = json.loads(text)
    except ValueError:
        return False
    if not isinstance(given, dict) or not expected.keys() <= given.keys():
        return False
    if set(given) - set(expected) - set(free):
        return False
    return all(_same(given[name], value) for name, value in expected.items())


def object_matches(text: str, expected: Mapping[str, Any]) -> bool:
    """Whether a text is a JSON object with members, among them those expected (as above)."""
    try:
        given = json.loads(text)
    except ValueError:
        return False
    return (
        isinstance(given, dict)
        and bool(given)
        and all(name in given and _same(given[name], value) for name, value in expected.items())
    )


def is_prose(text: str) -> bool:
    """Whether a text is not empty, nor JSON, nor a call in some other form.

    >>> is_prose("It is 9 degrees."), is_prose('{"name": "weather", "arguments": {}}')
    (True, False)
    """
    return bool(text.strip()) and text.lstrip()[0] not in "{[<" and '"arguments"' not in text


def states_result(text: str, row: Mapping[str, Any]) -> bool:
    """Whether a text has all of a case's `facts` (a list holds alternatives), and no number that is
    in neither the question nor the call nor its result."""
    plain = text.casefold()
    facts = ([fact] if isinstance(fact, str) else fact for fact in row["facts"])
    source = f"{row['prompt']} {json.dumps(row['arguments'])} {row['result']}"
    return all(any(word.casefold() in plain for word in words) for words in facts) and _numbers(
        text
    ) <= _numbers(source)


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:\.\d+)?", text.replace(",", "")))


def _same(given: Any, expected: Any) -> bool:
    if expected == "*":
        return bool(given)
    if isinstance(expected, list) and not isinstance(given, list):
        return any(_same(given, one) for one in expected)
    if isinstance(expected, str) and isinstance(given, str):
        return " ".join(given.split()).casefold() == expected.casefold()
    return type(given) in (type(expected), *((int, float) if _number(expected) else ())) and bool(
        given == expected
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
