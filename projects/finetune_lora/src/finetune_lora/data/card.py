"""The facts about prepared data that a reader needs, and their page in the hub's format."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from finetune_lora.example import Example
from seedbed.cli import markdown_table
from seedbed.safety.personal_data import find_pii

_SHOWN = 5  # conflicts in a warning
_IMBALANCED = 5  # times as many rows of one label as of another


def personal_data(examples: Iterable[Example]) -> dict[str, dict[str, int]]:
    """Kind → number of occurrences, and of rows with one. Nothing is quoted."""
    occurrences: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for example in examples:
        text = "\n\n".join(m["content"] for m in example.messages if m["role"] != "system")
        kinds = [finding.kind for finding in find_pii(text)]
        occurrences.update(kinds)
        rows.update(set(kinds))
    return {kind: {"found": n, "rows": rows[kind]} for kind, n in sorted(occurrences.items())}


def warnings(card: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each fact of a card that needs attention."""
    if conflicts := card["conflicts"]:
        lines = "; ".join(", ".join(map(str, lines)) for lines in conflicts[:_SHOWN])
        more = "; …" if len(conflicts) > _SHOWN else ""
        yield (
            f"{len(conflicts)} texts have contradictory labels; all their rows were removed. "
            f"Lines: {lines}{more}."
        )
    if leaks := card["removed"]["leaks"]:
        yield (
            f"{leaks} rows also occur in the given dev or test data, apart from case, "
            "punctuation and numbers; they were removed from the splits before it."
        )
    yield from _label_warnings(card["splits"]["train"]["labels"])


def _label_warnings(labels: Mapping[str, int]) -> Iterator[str]:
    """`labels` of the training rows, with their counts."""
    if not labels:
        return
    most, rows = max(labels.items(), key=lambda item: item[1])
    if len(labels) == 1:
        yield f"All rows have the same label: {most}."
    elif rows >= _IMBALANCED * min(labels.values()):
        yield (
            f"The labels are imbalanced: {rows / sum(labels.values()):.0%} of the training rows "
            f"are {most!r}, so always answering {most!r} is right about as often. Compare with "
            "that baseline."
        )


def public_name(source: str) -> str:
    """A dataset or model spec without the folders of this machine, which may name users or clients.

    >>> public_name("path:/home/anna/acme/base"), public_name("hf:org/name@main")
    ('path:base', 'hf:org/name@main')
    """
    if source.startswith("hf:"):
        return source
    name = PurePath(source.removeprefix("path:")).name
    return f"path:{name}" if source.startswith("path:") else name


def as_markdown(card: Mapping[str, Any]) -> str:
    """The page that the hub shows for a dataset: a header it can read, then the facts."""
    splits = card["splits"]
    train = splits["train"]["labels"]
    labels = {label for split in splits.values() for label in split["labels"]}
    return render(
        Path(__file__).with_name("data_card.md.jinja"),
        card=card,
        splits=[(name, s["rows"], f"`{s['sha256']}`") for name, s in splits.items()],
        labels=[
            (
                label,
                *(s["labels"].get(label, 0) for s in splits.values()),
                f"{train.get(label, 0) / sum(train.values()):.0%}",
            )
            for label in sorted(labels, key=lambda label: (-train.get(label, 0), label))
        ],
        removed=[(k.replace("_", " ").capitalize(), n) for k, n in card["removed"].items()],
        pii=[(kind, n["found"], n["rows"]) for kind, n in card["pii"].items()],
    )


def render(template: Path, **values: Any) -> str:
    """A card from its Jinja template, which can call `table` and the filter `public_name`."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined
    )
    environment.filters["public_name"] = public_name
    page = environment.from_string(template.read_text("utf-8"))
    return re.sub(r"\n{3,}", "\n\n", page.render(table=markdown_table, **values)).rstrip() + "\n"
