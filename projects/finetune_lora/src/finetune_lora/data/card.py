"""What a reader should know of prepared data, as facts and as a page in the hub's format.

It counts and describes; it changes nothing. Of personal data it tells kinds and counts, never what
was found.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from finetune_lora.data.tokens import spread
from finetune_lora.example import Example

_LANGUAGE_SAMPLE = 2000
_LONG_ENOUGH = 20
_LIKELY = 0.2  # share of the texts; smaller ones are mostly wrong guesses about short texts


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
    """Kind → how often it was found, and in how many rows."""
    from seedbed.safety.personal_data import find_pii

    found: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for example in examples:
        said = "\n\n".join(m["content"] for m in example.messages if m["role"] != "system")
        kinds = [finding.kind for finding in find_pii(said)]
        found.update(kinds)
        rows.update(set(kinds))
    return {kind: {"found": found[kind], "rows": rows[kind]} for kind in sorted(found)}


def languages(examples: Sequence[Example]) -> dict[str, Any]:
    """Guessed from at most 2000 questions, evenly taken; short ones are not guessed at."""
    import py3langid

    texts = [e.text for e in examples if len(e.text) >= _LONG_ENOUGH]
    step = max(1, -(-len(texts) // _LANGUAGE_SAMPLE))
    sample = texts[::step]
    counts = Counter(str(py3langid.classify(text)[0]) for text in sample)
    shares = {code: round(n / len(sample), 3) for code, n in sorted(counts.items())}
    return {"texts": len(sample), "shares": {c: s for c, s in shares.items() if s >= 0.01}}


def public_name(source: str) -> str:
    """A dataset or model spec without the folders of this machine, which may name users or clients.

    >>> public_name("path:/home/anna/acme/base"), public_name("hf:org/name@main")
    ('path:base', 'hf:org/name@main')
    """
    if source.startswith("hf:"):
        return source
    name = PurePath(source.removeprefix("path:")).name
    return f"path:{name}" if source.startswith("path:") else name


def likely_languages(card: Mapping[str, Any]) -> dict[str, float]:
    """Language code → share, for the languages of at least a fifth of the texts."""
    return {code: share for code, share in card["languages"]["shares"].items() if share >= _LIKELY}


def as_json(card: Mapping[str, Any]) -> bytes:
    return (json.dumps(card, ensure_ascii=False, indent=2) + "\n").encode()


def as_markdown(card: Mapping[str, Any]) -> bytes:
    """The page that the hub shows for a dataset: a header it can read, then the facts."""
    parts = [
        _header(card),
        "# Data card",
        _origin(card),
        "## Splits",
        _splits(card["splits"]),
        *_lengths(card),
        *_labels(card["splits"]),
        "## Removed rows",
        _removed(card["removed"]),
        "## Personal data and secrets",
        _personal(card["pii"]),
        *([f"## Warnings\n\n{_list(card['warnings'])}"] if card["warnings"] else []),
    ]
    return ("\n\n".join(parts) + "\n").encode()


def _header(card: Mapping[str, Any]) -> str:
    files = [
        {"split": "validation" if name == "dev" else name, "path": f"{name}.jsonl"}
        for name in card["splits"]
    ]
    task = "text-classification" if card["format"] == "labelled" else "text-generation"
    # JSON is YAML, and quotes whatever needs it.
    fields = {
        "license": card["licence"] or "unknown",
        "language": list(likely_languages(card)),
        "task_categories": [task],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    lines = [f"{key}: {json.dumps(value)}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _origin(card: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{code} {share:.0%}" for code, share in likely_languages(card).items())
    facts = {
        "Source": f"`{public_name(card['source'])}`",
        "Revision": card["revision"],
        "sha256 of the source": f"`{card['source_sha256']}`",
        "Licence": card["licence"] or "unknown",
        "Format": card["format"],
        "Seed": card["seed"],
        "Near duplicates": f"similarity above {card['near']}",
        "Language": f"{shares or 'unknown'} (guessed from {card['languages']['texts']} texts)",
    }
    return _list(f"{name}: {value}" for name, value in facts.items() if value != "")


def _splits(splits: Mapping[str, Any]) -> str:
    rows = [(name, s["rows"], f"`{s['sha256']}`") for name, s in splits.items()]
    return _table(("Split", "Rows", "sha256"), rows)


def _lengths(card: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, split in card["splits"].items():
        for what, lengths in split["characters"].items():
            rows.append((f"{name}, {what}, characters", *lengths.values()))
        if "tokens" in split:
            rows.append((f"{name}, tokens", *split["tokens"].values()))
    table = _table(("", "min", "p50", "p95", "max", "total"), rows)
    if not card["tokens"]:
        return ["## Lengths", table]
    base = public_name(card["tokens"]["base"])
    limit, over = card["tokens"]["max_tokens"], card["tokens"]["truncated"]
    note = f"Tokens are counted with the tokenizer and chat template of `{base}`."
    if limit is not None:
        note += f" {over} rows are longer than {limit} tokens; training rejects or truncates them."
    return ["## Lengths", table, note]


def _labels(splits: Mapping[str, Any]) -> list[str]:
    names = sorted({label for split in splits.values() for label in split["labels"]})
    rows = [(name, *(s["labels"].get(name, 0) for s in splits.values())) for name in names]
    return ["## Labels", _table(("Label", *splits), rows)] if names else []


def _removed(removed: Mapping[str, Any]) -> str:
    rows = [(name.replace("_", " ").capitalize(), count) for name, count in removed.items()]
    return _table(("Reason", "Rows"), rows)


def _personal(found: Mapping[str, Mapping[str, int]]) -> str:
    if not found:
        return "Patterns and checksums found none. That does not prove that the data contains none."
    return _table(("Kind", "Found", "Rows"), [(k, f["found"], f["rows"]) for k, f in found.items()])


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


def _list(items: Any) -> str:
    return "\n".join(f"- {item}" for item in items)
