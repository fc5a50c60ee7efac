"""The facts about prepared data that a reader needs, as JSON and as a page in the hub's format.

Personal data is counted by kind and never quoted.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from finetune_lora.data.tokens import spread
from finetune_lora.example import Example
from seedbed.cli import markdown_table


def describe(examples: Sequence[Example]) -> dict[str, Any]:
    """Counts of one split: rows, characters of question and answer, labels, tags."""
    labels = Counter(e.label for e in examples if e.label is not None)
    tags: dict[str, Counter[str]] = {}
    for example in examples:
        for tag, value in example.tags.items():
            tags.setdefault(tag, Counter())[value] += 1
    return {
        "rows": len(examples),
        "characters": {
            "question": spread([len(e.text) for e in examples]),
            "answer": spread([len(e.answer) for e in examples]),
        },
        "labels": dict(sorted(labels.items())),
        # A tag with a value for every row is an id, of which no table is wanted.
        "tags": {t: dict(sorted(c.items())) for t, c in sorted(tags.items()) if len(c) <= 50},
    }


def personal_data(examples: Sequence[Example]) -> dict[str, dict[str, int]]:
    """Kind → number of occurrences, and of rows with one."""
    from seedbed.safety.personal_data import find_pii

    findings: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for example in examples:
        text = "\n\n".join(m["content"] for m in example.messages if m["role"] != "system")
        kinds = [finding.kind for finding in find_pii(text)]
        findings.update(kinds)
        rows.update(set(kinds))
    return {kind: {"found": findings[kind], "rows": rows[kind]} for kind in sorted(findings)}


def public_name(source: str) -> str:
    """A dataset or model spec without the folders of this machine, which may name users or clients.

    >>> public_name("path:/home/anna/acme/base"), public_name("hf:org/name@main")
    ('path:base', 'hf:org/name@main')
    """
    if source.startswith("hf:"):
        return source
    name = PurePath(source.removeprefix("path:")).name
    return f"path:{name}" if source.startswith("path:") else name


def as_json(card: Mapping[str, Any]) -> bytes:
    """The content of card.json."""
    return (json.dumps(card, ensure_ascii=False, indent=2) + "\n").encode()


def as_markdown(card: Mapping[str, Any]) -> bytes:
    """The page that the hub shows for a dataset: a header it can read, then the facts."""
    text = render(
        Path(__file__).with_name("data_card.md.jinja"),
        card=card,
        splits=[(name, s["rows"], f"`{s['sha256']}`") for name, s in card["splits"].items()],
        lengths=_lengths(card["splits"]),
        labels=_labels(card["splits"]),
        removed=[(k.replace("_", " ").capitalize(), n) for k, n in card["removed"].items()],
        pii=[(kind, n["found"], n["rows"]) for kind, n in card["pii"].items()],
    )
    return text.encode("utf-8", "replace")


def render(template: Path, **values: Any) -> str:
    """A card from its Jinja template, which can call `table` and the filter `public_name`."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined
    )
    environment.filters["public_name"] = public_name
    text = environment.from_string(template.read_text("utf-8")).render(
        table=markdown_table, **values
    )
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def _lengths(splits: Mapping[str, Any]) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = []
    for name, split in splits.items():
        for what, lengths in split["characters"].items():
            rows.append((f"{name}, {what}, characters", *lengths.values()))
        if "tokens" in split:
            rows.append((f"{name}, tokens", *split["tokens"].values()))
    return rows


def _labels(splits: Mapping[str, Any]) -> list[Sequence[object]]:
    """The rows of each label in each split, the most frequent first, and its share of train."""
    train = splits["train"]["labels"]
    names = {label for split in splits.values() for label in split["labels"]}
    order = sorted(names, key=lambda name: (-train.get(name, 0), name))
    total = sum(train.values())
    return [
        (
            name,
            *(split["labels"].get(name, 0) for split in splits.values()),
            f"{train.get(name, 0) / total:.0%}",
        )
        for name in order
    ]
