"""From a source to train, dev and test: read, clean, split, describe and write."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from finetune_lora.data import clean
from finetune_lora.data.card import as_markdown, personal_data, warnings
from finetune_lora.data.read import as_lines, file_digest, load_dataset, to_rows
from finetune_lora.data.split import assign
from finetune_lora.example import Dataset
from seedbed.errors import BadInput, SeedbedError
from seedbed.files import disk_errors, new_folder, read_json


def prepare(
    source: str | Path,
    output: Path,
    *,
    dev: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    dev_data: str | Path | None = None,
    test_data: str | Path | None = None,
    columns: str = "",
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Write train.jsonl, dev.jsonl, test.jsonl, card.json and DATA_CARD.md; the card's facts.

    `dev` and `test` are shares of the rows; `dev_data` and `test_data` are sources to use instead:
    a test set stays as it is, its questions are removed from the dev set, and those of both from
    train. Bad rows raise, or with `skip_bad` go to rejected.jsonl. `columns` renames columns (see
    `load_dataset`). All files appear together; the same source and seed give the same bytes. Raises
    BadInput, also if nothing is left or too little to split, and related errors.
    """
    if min(dev, test) < 0 or dev + test >= 1:
        raise BadInput(
            f"--dev {dev} and --test {test} are not shares that leave rows for training.",
            hint="Use shares from 0 with a sum below 1, e.g. 0.1.",
        )
    _check_places(output, source, dev_data, test_data)
    # 1. Read the source and the given splits.
    data = load_dataset(source, columns=columns, skip_bad=skip_bad)
    held = {
        name: list(load_dataset(spec, labels=data.labels, columns=columns).examples)
        for name, spec in (("dev", dev_data), ("test", test_data))
        if spec
    }
    # 2. Remove duplicates, and questions that are in the given splits.
    removed = clean.Removed()
    pool = clean.without_duplicates(data.examples, removed)
    if len(held) == 2:
        held["dev"] = clean.without_leaks(held["dev"], held["test"], removed)
    pool = clean.without_leaks(pool, [e for examples in held.values() for e in examples], removed)
    pool = clean.without_near_duplicates(pool, removed)
    if not pool:
        counts = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in removed.rows.items() if n)
        raise BadInput(f"No rows are left for training ({counts}).", hint="Use other data.")
    # 3. Split the rest; equal questions stay on one side.
    shares = {name: s for name, s in (("dev", dev), ("test", test)) if name not in held}
    names = assign([clean.spoken(e) for e in pool], [e.label or "" for e in pool], shares, seed)
    splits = {
        split: held.get(split) or [e for e, name in zip(pool, names, strict=True) if name == split]
        for split in ("train", "dev", "test")
    }
    splits = {split: examples for split, examples in splits.items() if examples}
    # 4. Describe and write them.
    files = {
        f"{split}.jsonl": as_lines(to_rows(Dataset(tuple(examples), data.labels)))
        for split, examples in splits.items()
    }
    facts = {
        split: {
            "rows": len(examples),
            "labels": Counter(e.label for e in examples if e.label is not None),
            "sha256": hashlib.sha256(files[f"{split}.jsonl"]).hexdigest(),
        }
        for split, examples in splits.items()
    }
    card: dict[str, Any] = {
        "source": str(source),
        "source_sha256": data.sha256,
        "revision": data.revision,
        "licence": data.licence,
        "format": data.format,
        "seed": seed,
        "splits": facts,
        "removed": {"refused": len(data.rejected), "not_rated_up": data.disliked, **removed.rows},
        "conflicts": removed.conflicts,
        "pii": personal_data([e for examples in splits.values() for e in examples]),
    }
    card["warnings"] = list(warnings(card))
    if data.rejected:
        rejected = ({"line": line, "reason": str(error)} for line, error in data.rejected)
        files["rejected.jsonl"] = as_lines(rejected)
    files["DATA_CARD.md"] = as_markdown(card).encode("utf-8", "replace")
    files["card.json"] = (json.dumps(card, ensure_ascii=False, indent=2) + "\n").encode()
    with disk_errors("The dataset", output), new_folder(output.absolute()) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
    return {**card, "output": str(output)}


def _check_places(output: Path, *sources: str | Path | None) -> None:
    if output.exists() and not output.is_dir():
        raise BadInput(f"{output} is a file, not a folder.", hint="Choose another --output.")
    for source in sources:
        if source is not None and output.resolve() in Path(source).resolve().parents:
            raise BadInput(f"{source} would be overwritten.", hint="Choose another --output.")
    others = sorted({path.name for path in output.glob("*")} - _written(output))
    if others:  # the folder is replaced as a whole
        problem = f"{output} contains other files, e.g. {others[0]}."
        raise BadInput(problem, hint="Choose a new --output.")


def _written(output: Path) -> set[str]:
    """The files that an earlier call wrote into a folder, and that are still the same."""
    try:
        splits = read_json(output / "card.json")["splits"]
        digests = {f"{name}.jsonl": facts["sha256"] for name, facts in splits.items()}
        same = {name for name in digests if file_digest(output / name) == digests[name]}
    except (OSError, SeedbedError, KeyError, TypeError, AttributeError):
        return set()
    return {*same, "rejected.jsonl", "DATA_CARD.md", "card.json"}
