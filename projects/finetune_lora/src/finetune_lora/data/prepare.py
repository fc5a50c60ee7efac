"""From a source to train, dev and test: read, clean, split, measure, write, in this order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finetune_lora.data import card as cards
from finetune_lora.data.parts import Parts, divide
from finetune_lora.data.read import Reading, as_lines, load_dataset, read, rows
from finetune_lora.data.tokens import spread, token_lengths
from finetune_lora.example import Dataset
from seedbed.errors import BadInput, SeedbedError
from seedbed.files import new_folder, read_json
from seedbed.settings import Settings

_SHOWN = 5
_FEW = 10
_IMBALANCED = 5  # times as many rows of one label as of another


def prepare(
    source: str | Path,
    output: Path,
    *,
    dev: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    dev_data: str | Path | None = None,
    test_data: str | Path | None = None,
    base: str | None = None,
    max_tokens: int | None = None,
    columns: str = "",
    skip_bad: bool = False,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Write train.jsonl, dev.jsonl, test.jsonl, card.json and DATA_CARD.md; the card's facts.

    `dev` and `test` are shares of the rows; `dev_data` and `test_data` are sources to use instead.
    With `base`, lengths are counted in its tokens, and rows over `max_tokens` are counted.

    Bad rows raise, or with `skip_bad` go to rejected.jsonl, and the result has "rejected" with
    their count and the first five. `columns` renames columns (see `load_dataset`). All files appear
    together; the same source and seed give the same bytes. Raises BadInput and related errors.
    """
    _check(dev, test, max_tokens)
    _check_places(output, source, dev_data, test_data)
    bad: list[dict[str, Any]] = []
    reading = read(source, columns=columns, reject=_collector(bad) if skip_bad else None)
    fixed = {
        name: load_dataset(spec, labels=reading.dataset.labels or None, columns=columns).examples
        for name, spec in (("dev", dev_data), ("test", test_data))
        if spec
    }
    parts = divide(reading.dataset.examples, fixed, {"dev": dev, "test": test}, seed=seed)
    files = {
        name: as_lines(rows(Dataset(examples, reading.dataset.labels)))
        for name, examples in parts.splits.items()
    }
    card = {"source": str(source), "seed": seed, **_facts(reading, parts, files)}
    card["removed"] = {"refused": len(bad), "not_rated_up": reading.disliked, **parts.removed}
    _add_tokens(card, parts, base, max_tokens, settings)
    card["warnings"] = list(_warnings(card, parts))
    _write(output, files, bad, card)
    rejected = {"rows": len(bad), "first": bad[:_SHOWN]}
    return {**card, "output": str(output), "rejected": rejected}


def _collector(bad: list[dict[str, Any]]) -> Any:
    return lambda line, why: bad.append({"line": line, "reason": why})


def _check(dev: float, test: float, max_tokens: int | None) -> None:
    for name, share in (("dev", dev), ("test", test)):
        if not 0 <= share < 1:
            raise BadInput(f"Invalid value for --{name}: {share}.", hint="Use a share, e.g. 0.1.")
    if dev + test >= 1:
        raise BadInput(
            f"--dev {dev} and --test {test} leave no rows for training.",
            hint="Their sum must be less than 1.",
        )
    if max_tokens is not None and max_tokens < 1:
        raise BadInput(f"Invalid value for --max-tokens: {max_tokens}.", hint="Use 1 or more.")


def _check_places(output: Path, *sources: str | Path | None) -> None:
    if output.exists() and not output.is_dir():
        raise BadInput(f"{output} is a file, not a folder.", hint="Choose another --output.")
    for source in sources:
        if source is not None and output.resolve() in Path(source).resolve().parents:
            raise BadInput(f"{source} would be overwritten.", hint="Choose another --output.")
    others = sorted({path.name for path in output.glob("*")} - _written(output))
    if others:  # the folder is replaced as a whole
        raise BadInput(
            f"{output} contains other files, e.g. {others[0]}.", hint="Choose a new --output."
        )


def _written(output: Path) -> set[str]:
    """The files that an earlier call wrote into a folder, and that are still the same."""
    try:
        splits = read_json(output / "card.json")["splits"]
        digests = {f"{name}.jsonl": facts["sha256"] for name, facts in splits.items()}
        files = {name: (output / name).read_bytes() for name in digests}
    except (OSError, SeedbedError, KeyError, TypeError, AttributeError):
        return set()
    same = {n for n, data in files.items() if hashlib.sha256(data).hexdigest() == digests[n]}
    return {*same, "rejected.jsonl", "DATA_CARD.md", "card.json"}


def _facts(reading: Reading, parts: Parts, files: Mapping[str, bytes]) -> dict[str, Any]:
    everything = [example for examples in parts.splits.values() for example in examples]
    return {
        "source_sha256": reading.dataset.sha256,
        "revision": reading.revision,
        "licence": reading.licence,
        "format": reading.format,
        "splits": {
            name: {
                **cards.describe(examples),
                "sha256": hashlib.sha256(files[name]).hexdigest(),
            }
            for name, examples in parts.splits.items()
        },
        "conflicts": parts.exact.conflicts,
        "ambiguous": parts.exact.ambiguous,
        "pii": cards.personal_data(everything),
    }


def _add_tokens(
    card: dict[str, Any],
    parts: Parts,
    base: str | None,
    max_tokens: int | None,
    settings: Settings | None,
) -> None:
    card["tokens"] = None
    if base is None:
        return
    over = 0
    for name, examples in parts.splits.items():
        lengths = token_lengths(examples, base, settings)
        card["splits"][name]["tokens"] = spread(lengths)
        over += sum(n > max_tokens for n in lengths) if max_tokens else 0
    card["tokens"] = {"base": base, "max_tokens": max_tokens, "truncated": over}


def _warnings(card: Mapping[str, Any], parts: Parts) -> Iterator[str]:
    if card["conflicts"]:
        first = "; ".join(", ".join(map(str, lines)) for lines in card["conflicts"][:_SHOWN])
        yield (
            f"{len(card['conflicts'])} texts have contradictory labels; all their rows "
            "were removed. "
            f"Lines: {first}{'; …' if len(card['conflicts']) > _SHOWN else ''}."
        )
    if card["ambiguous"]:
        yield f"{card['ambiguous']} questions have several answers; all kept in the same split."
    if parts.largest > 0.2:
        yield f"{parts.largest:.0%} of the rows are near duplicates of each other."
    if duplicates := card["removed"]["leaks"]:
        yield (
            f"{duplicates} rows also occur in the given dev or test data, apart from case, "
            "punctuation and numbers; they were removed from the splits before it."
        )
    labels = card["splits"]["train"]["labels"]
    if len(labels) == 1:
        yield f"All rows have the same label: {next(iter(labels))}."
    elif labels:
        most, rows = max(labels.items(), key=lambda item: item[1])
        if rows >= _IMBALANCED * min(labels.values()):
            share = rows / sum(labels.values())
            yield (
                f"The labels are imbalanced: {share:.0%} of the training rows are {most!r}, so "
                f"always answering {most!r} is right about as often. Compare with that baseline."
            )
    few = [f"{label} ({n})" for label, n in labels.items() if n < _FEW]
    if few:
        yield f"Labels with fewer than {_FEW} training rows: {', '.join(few[:20])}."
    if card["pii"]:
        kinds = ", ".join(f"{kind} in {n['rows']} rows" for kind, n in card["pii"].items())
        yield f"The model may reproduce personal data and secrets from the training data: {kinds}."
    if card["tokens"] and card["tokens"]["truncated"]:
        longer = card["tokens"]["truncated"]
        yield f"{longer} rows are longer than {card['tokens']['max_tokens']} tokens."


def _write(
    output: Path, parts: Mapping[str, bytes], bad: list[dict[str, Any]], card: dict[str, Any]
) -> None:
    """Write all files as one folder, which replaces that of an earlier call."""
    files = {f"{name}.jsonl": content for name, content in parts.items()}
    if bad:
        files["rejected.jsonl"] = as_lines(bad)
    files |= {"DATA_CARD.md": cards.as_markdown(card), "card.json": cards.as_json(card)}
    try:
        with new_folder(output.absolute()) as folder:
            for name, content in files.items():
                (folder / name).write_bytes(content)
    except OSError as error:
        raise BadInput(
            f"Cannot write to {output}: {error.strerror or error}.",
            hint="Free some disk space, or choose another --output.",
        ) from None
