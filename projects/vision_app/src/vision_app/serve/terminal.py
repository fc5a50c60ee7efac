"""Results as text for a terminal, and as rows for CSV; the input is the JSON of `vision.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from seedbed.cli import command_line, table

Result = Mapping[str, Any]


def labels(result: Result) -> str:
    """The labels of one image, or that the classifier is not sure.

    >>> mug = {"label": "mug", "confidence": 0.9}
    >>> print(labels({"file": "a.jpg", "sure": True, "labels": [mug]}))
    a.jpg: mug 90 %
    """
    ranking = ", ".join(
        f"{item['label']} {_percent(item['confidence'])}" for item in result["labels"]
    )
    return f"{result['file']}: {ranking if result['sure'] else f'not sure ({ranking})'}"


def fields(result: Result) -> str:
    """The fields of one document as a table: value, confidence, and the words it came from."""
    rows = []
    for name, value in result["fields"].items():
        evidence = result["evidence"].get(name)
        confidence = _percent(evidence["confidence"]) if evidence else "–"
        words = _short(evidence["text"]) if evidence else ""
        rows.append((name, _short(_text(value)) if value is not None else "–", confidence, words))
    warnings = [f"warning: {warning}" for warning in result["warnings"]]
    lines = [str(result["file"]), table(("field", "value", "confidence", "words"), rows)]
    return "\n".join([*lines, *warnings])


def description(result: Result) -> str:
    """The caption of one image."""
    return f"{result['file']}: {result['description']}"


def answer(result: Result) -> str:
    """The answer to a question, with the words that support it."""
    support = [f"  from: {_short(item['text'])}" for item in result["evidence"]]
    return "\n".join([str(result["answer"]), *support])


def detections(result: Result) -> str:
    """The objects in an image, best first."""
    rows = [
        (item["label"], _percent(item["confidence"]), _box(item["box"]))
        for item in result["detections"]
    ]
    return table(("object", "confidence", "box"), rows) if rows else "Nothing found."


def summary(result: Result) -> str:
    """What `index` has done, with the files that could not be read."""
    counts = ", ".join(
        f"{result[name]} {name}" for name in ("added", "updated", "unchanged", "removed")
    )
    failures = [f"error: {item['file']}: {item['reason']}" for item in result["failed"]]
    return "\n".join([*failures, counts])


def hits(result: Sequence[Result]) -> str:
    """Search results, best first."""
    rows = [
        (
            f"{hit['score']:.2f}",
            hit["file"],
            ", ".join(hit["labels"][:2]),
            _short(hit["excerpt"], 40),
        )
        for hit in result
    ]
    return table(("score", "file", "labels", "text"), rows) if rows else "Nothing found."


def groups(result: Sequence[Sequence[str]]) -> str:
    """Groups of images that look the same, separated by empty lines."""
    return "\n\n".join("\n".join(group) for group in result) or "No duplicates found."


def training(result: Result) -> str:
    """The figures of a training and how to use its result."""
    low, high = (_percent(share) for share in result["interval"])
    problems = [f"skipped: {item['file']}: {item['error']}" for item in result["skipped"]]
    problems += [f"warning: {warning}" for warning in result["warnings"]]
    use = command_line("vision-app", "classify", "FILE", "--model", f"path:{result['folder']}")
    lines = [
        f"Held-out accuracy: {_percent(result['accuracy'])} ({low} to {high}, "
        f"{result['images']} images of {len(result['labels'])} classes)",
        f"Use it: {use}",
    ]
    return "\n".join([*problems, *lines])


def csv_row(result: Result) -> dict[str, str]:
    """One result as a row: scalars as they are, fields and the best label as columns.

    >>> csv_row({"file": "a.png", "fields": {"total": 12.5, "date": None}, "evidence": {}})
    {'file': 'a.png', 'total': '12.5', 'date': ''}
    """
    row = {"file": str(result["file"])}
    for number, item in enumerate(result.get("labels", ()), 1):
        row |= {
            f"label_{number}": item["label"],
            f"confidence_{number}": f"{item['confidence']:.4f}",
        }
    row |= {
        name: "" if value is None else _text(value)
        for name, value in result.get("fields", {}).items()
    }
    for name in ("sure", "error"):
        if name in result:
            row[name] = str(result[name])
    return row


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _short(text: str, width: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _box(box: Sequence[float]) -> str:
    return " ".join(f"{value:.0f}" for value in box)
