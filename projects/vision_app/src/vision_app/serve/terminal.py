"""Results as text for a terminal, and as CSV; the input is the JSON of `vision.py`."""

from __future__ import annotations

import csv
import io
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
    ranking = ", ".join(f"{x['label']} {percent(x['confidence'])}" for x in result["labels"])
    return f"{result['file']}: {ranking if result['sure'] else f'not sure ({ranking})'}"


def fields(result: Result) -> str:
    """The fields of one document as a table: value, confidence, and the words it came from."""
    rows = []
    for name, value in result["fields"].items():
        evidence = result["evidence"].get(name) or {"text": "", "confidence": None}
        confidence = None if evidence["confidence"] is None else percent(evidence["confidence"])
        content = None if value is None else _short(_text(value))
        rows.append((name, content, confidence, _short(evidence["text"])))
    warnings = [f"warning: {warning}" for warning in result["warnings"]]
    lines = [result["file"], table(("field", "value", "confidence", "words"), rows)]
    return "\n".join([*lines, *warnings])


def answer(result: Result) -> str:
    """The answer to a question, with the words that support it."""
    support = [f"  from: {_short(item['text'])}" for item in result["evidence"]]
    return "\n".join([result["answer"], *support])


def summary(result: Result) -> str:
    """What `index` has done, with the files that could not be read."""
    names = ("added", "updated", "unchanged", "removed")
    failures = [f"error: {item['file']}: {item['reason']}" for item in result["failed"]]
    return "\n".join([*failures, ", ".join(f"{result[name]} {name}" for name in names)])


def hits(result: Sequence[Result]) -> str:
    """Search results, best first."""
    rows = [
        (f"{x['score']:.2f}", x["file"], ", ".join(x["labels"][:2]), _short(x["excerpt"], 40))
        for x in result
    ]
    return table(("score", "file", "labels", "text"), rows) if rows else "Nothing found."


def training(result: Result) -> str:
    """The figures of a training and how to use its result."""
    low, high = map(percent, result["interval"])
    sample = f"{result['images']} images of {len(result['labels'])} classes"
    use = command_line("vision-app", "classify", "FILE", "--model", f"path:{result['folder']}")
    return "\n".join(
        [
            *(f"skipped: {item['file']}: {item['error']}" for item in result["skipped"]),
            f"Held-out accuracy: {percent(result['accuracy'])} ({low} to {high}, {sample})",
            f"Use it: {use}",
        ]
    )


def csv_table(results: Sequence[Result]) -> str:
    """Results as CSV, with the fields as columns.

    A text that a spreadsheet would take for a formula begins with an apostrophe.

    >>> fields = {"total": -12.5, "date": None, "vendor": "=1+1"}
    >>> print(csv_table([{"file": "a.png", "fields": fields}]).strip())
    file,total,date,vendor
    a.png,-12.5,,'=1+1
    """
    rows = [{"file": x["file"], **x.get("fields", {"error": x.get("error")})} for x in results]
    columns = dict.fromkeys(column for row in rows for column in row)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return file.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if formula else _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def percent(share: float) -> str:
    """A share as a percentage; small ones are not shown as zero.

    >>> percent(0.873), percent(0.001)
    ('87 %', '< 1 %')
    """
    return f"{share * 100:.0f} %" if share >= 0.005 or share <= 0 else "< 1 %"


def _short(text: str, width: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
