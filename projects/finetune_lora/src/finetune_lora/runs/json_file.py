"""JSON files of values that JSON lacks: not a number and infinity become null.

write_json(folder / "run.json", {"loss": float("nan")})
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seedbed.files import write_text


def write_json(path: Path, value: Any) -> None:
    """Replace a file's content in one step by `to_json`, indented.

    >>> write_json(Path("run.json"), {"loss": float("nan")})
    >>> Path("run.json").read_text()
    '{\\n  "loss": null\\n}\\n'
    """
    write_text(path, to_json(value, indent=2) + "\n")


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON text of a `finite` value; other objects, such as paths, become strings.

    >>> to_json({"loss": float("inf"), "path": Path("a")})
    '{"loss": null, "path": "a"}'
    """
    return json.dumps(finite(value), ensure_ascii=False, default=str, indent=indent)


def finite(value: Any) -> Any:
    """A JSON value with null for not a number and infinity: JSON has neither.

    >>> finite([1.5, float("nan")])
    [1.5, None]
    """
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if getattr(value, "ndim", None) == 0:
        value = value.item()  # a scalar of numpy or torch
    return None if isinstance(value, float) and not math.isfinite(value) else value
