"""JSON without the numbers that it lacks: NaN and infinity become null."""

from __future__ import annotations

import json
from typing import Any


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON text of a `finite` value."""
    return json.dumps(finite(value), ensure_ascii=False, indent=indent)


def finite(value: Any) -> Any:
    """A value as plain JSON: scalars of numpy and torch are numbers, other objects are strings.

    >>> finite({"loss": float("inf"), "steps": (1, float("nan"))})
    {'loss': None, 'steps': [1, None]}
    """
    return json.loads(json.dumps(value, default=_plain), parse_constant=lambda _: None)


def _plain(value: Any) -> Any:
    return value.item() if getattr(value, "ndim", None) == 0 else str(value)
