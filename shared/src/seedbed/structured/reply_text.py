"""The answer inside a model's reply, without the thinking, fence or introduction around it.

    without_thinking("<think>Hm.</think>Yes.")              # "Yes."
    find_json('Sure! Here it is:\\n```json\\n[1]\\n```')       # [1]

Servers without a reasoning parser send thinking in tags as part of the text.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from seedbed.errors import InvalidReply

_THINKING = re.compile(r"\s*<(think|thinking|thought|reasoning)>", re.IGNORECASE)
# Some chat templates open the tag in the prompt, so that the reply only closes it.
_ONLY_END = re.compile(r"</(?:think|thinking)>\s*(?:\n|$)", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*```\w*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL | re.MULTILINE)
_MAX_STARTS = 200  # brackets in a text at which JSON is looked for


def without_thinking(text: str) -> str:
    """`text` without the thinking in tags at its beginning; "" if the thinking does not end.

    >>> without_thinking("<think>Is it 5?</think>\\n\\nIt is 5."), without_thinking("<think>Is")
    ('It is 5.', '')
    """
    while match := _THINKING.match(text):
        end = re.compile(f"</{match[1]}>", re.IGNORECASE).search(text, match.end())
        text = text[end.end() :].lstrip() if end else ""
    if match := _ONLY_END.search(text):
        text = text[match.end() :].lstrip()
    return text


def find_json(text: str) -> Any:
    """The JSON value in a reply: the reply itself, what is in its fence, or in its prose.

    Raises InvalidReply without one, or if several objects (or, without any, arrays) differ.

    >>> find_json('The result is {"sum": 3}, as you asked.')
    {'sum': 3}
    """
    try:
        return _loads(text)
    except ValueError:
        text = without_thinking(text)
    fences = _FENCE.findall(text)
    try:
        return _loads(fences[0] if len(fences) == 1 else text)
    except ValueError as error:
        problem = str(error)
    values = _embedded(text)
    values = [value for value in values if isinstance(value, dict)] or values
    if not values:
        raise InvalidReply(f"The reply is not JSON ({problem}): {text[:200]!r}")
    if any(value != values[0] for value in values):
        raise InvalidReply(f"The reply has {len(values)} JSON values: {text[:200]!r}")
    return values[0]


def _embedded(text: str) -> list[Any]:
    """The objects and arrays in a text; none if one of them is broken, whose parts look valid."""
    values, at = [], 0
    for _ in range(_MAX_STARTS):
        match = re.compile(r"[{\[]").search(text, at)
        if match is None:
            break
        try:
            value, at = _DECODER.raw_decode(text, match.start())
            values.append(value)
        except json.JSONDecodeError as error:
            if error.pos > match.end():
                return []
            at = match.end()  # a bracket of the prose, as in "[see below]"
        except (ValueError, RecursionError):
            return []
    return values


def _loads(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")  # NaN, Infinity: Python reads them, JSON has none


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is too large")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
