"""Requests to try on the page, from the data that the run was evaluated on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from finetune_lora.data.convert import convert, detect
from seedbed.errors import SeedbedError

_BEGINNING = 1 << 16  # bytes of a dataset that are read
_LONGEST = 120  # characters


def example_requests(run: Mapping[str, Any], count: int = 5) -> list[str]:
    """Short requests of the run's evaluation data, otherwise of its training data."""
    for source in (run.get("eval_data"), run.get("data")):
        path = str(source.get("path") or "") if isinstance(source, Mapping) else ""
        if path.endswith(".jsonl") and (texts := _requests(Path(path), count)):
            return texts
    return []


def _requests(path: Path, count: int) -> list[str]:
    texts: dict[str, None] = {}
    with suppress(OSError, ValueError, SeedbedError, AttributeError):
        with path.open("rb") as file:
            lines = file.read(_BEGINNING).splitlines()[:-1]
        for line in lines:
            row = json.loads(line)
            example = convert(row, detect(row))
            if example and 0 < len(example.text) <= _LONGEST:
                texts[example.text] = None
            if len(texts) == count:
                break
    return list(texts)
