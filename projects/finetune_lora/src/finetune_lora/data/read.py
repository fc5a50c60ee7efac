"""A file or a hub dataset as a validated Dataset, and a Dataset as rows again."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from finetune_lora.data.convert import convert, detect, parse_columns, renamed
from finetune_lora.data.hub import read_hub
from finetune_lora.data.rows import Row, read_rows
from finetune_lora.example import Dataset, Example
from seedbed.errors import BadInput, SeedbedError
from seedbed.models.prompts import load_prompt

_LISTED = 20  # bad rows in an error


def load_dataset(
    spec: str | Path,
    *,
    labels: Sequence[str] | None = None,
    allow_unseen: bool = False,
    columns: str = "",
    skip_bad: bool = False,
) -> Dataset:
    """All examples of a file (.jsonl, .json, .csv, .tsv, .parquet) or of `hf:ORG/NAME@REV[:SPLIT]`.

    `labels`: for rows of text and label, the labels of the training data, which the instruction
    lists. Any other label is an error, or stays as it is with `allow_unseen`. `columns`
    renames columns, as in `text=description,label=section`. Raises BadInput or a related error
    that names all bad rows with their lines, unless `skip_bad`.
    """
    source = str(spec)
    options = (tuple(labels or ()), allow_unseen, columns)
    if source.startswith("hf:"):
        rows, revision, licence = read_hub(source)
        dataset = assemble(source, rows, *options)
        digest = hashlib.sha256(as_lines(to_rows(dataset))).hexdigest()
        dataset = replace(dataset, sha256=digest, revision=revision, licence=licence)
    else:
        dataset = _load_file(source, file_digest(Path(source)), *options)
    if dataset.rejected and not skip_bad:
        raise _summary(source, dataset.rejected)
    if dataset.examples:
        return dataset
    problem = "is empty: the dataset needs at least one row"
    if dataset.disliked:
        problem = f"is not usable: none of its {dataset.disliked} answers was rated up"
    elif dataset.rejected:
        problem = f"contains no valid row: all {len(dataset.rejected)} were rejected"
    raise BadInput(f"{source} {problem}.")


@functools.lru_cache(maxsize=4)
def _load_file(
    path: str, sha256: str, labels: tuple[str, ...], allow_unseen: bool, columns: str
) -> Dataset:
    """Training, export and evaluation read the same data: in one process it is parsed once."""
    rows = read_rows(Path(path))
    return replace(assemble(path, rows, labels, allow_unseen, columns), sha256=sha256)


def file_digest(path: Path) -> str:
    """As `sha256sum` prints it; empty for a path that is not a file, which `read_rows` reports."""
    if not path.is_file():
        return ""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def assemble(
    source: str,
    rows: Iterable[Row],
    labels: Sequence[str] = (),
    allow_unseen: bool = False,
    columns: str = "",
) -> Dataset:
    """The Dataset of rows from anywhere, without a digest; invalid rows are in `rejected`."""
    renames = parse_columns(columns)
    examples: list[Example] = []
    rejected: list[tuple[int, SeedbedError]] = []
    disliked = 0
    format = ""
    for line, row in rows:
        try:
            if isinstance(row, BadInput):
                raise row
            row = renamed(row, renames)
            format = format or detect(row)
            example = convert(row, format, line)
        except SeedbedError as error:
            rejected.append((line, error))
            continue
        if example is None:
            disliked += 1
        else:
            examples.append(example)
    names: tuple[str, ...] = ()
    if format == "labelled":
        names = tuple(sorted(set(labels or (str(e.label) for e in examples))))
        if not allow_unseen:
            rejected += [(e.line, _unseen(e, names)) for e in examples if e.label not in names]
            rejected.sort(key=lambda bad: bad[0])
            examples = [e for e in examples if e.label in names]
        instruction = load_prompt("finetune_lora", "classify").render(labels=", ".join(names))
        system = {"role": "system", "content": instruction}
        examples = [replace(e, messages=(system, *e.messages)) for e in examples]
    dataset = Dataset(tuple(examples), names, source)
    return replace(dataset, format=format, rejected=tuple(rejected), disliked=disliked)


def _unseen(example: Example, labels: Sequence[str]) -> BadInput:
    listed = ", ".join(labels[:12]) + (", …" if len(labels) > 12 else "")
    return BadInput(
        f"Unknown label {example.label!r}. The training data has {len(labels)} labels: {listed}.",
        hint="Add training rows with this label, or remove the row.",
    )


def _summary(source: str, rejected: Sequence[tuple[int, SeedbedError]]) -> SeedbedError:
    line, first = rejected[0]
    if len(rejected) == 1:
        return type(first)(f"{source}:{line}: {first.message}", hint=first.hint)
    listed = " ".join(f"Line {n}: {error.message}" for n, error in rejected[:_LISTED])
    more = len(rejected) - _LISTED
    return type(first)(
        f"{source}:{line}: {len(rejected)} rows are invalid. {listed}"
        + (f" And {more} more." if more > 0 else ""),
        hint="Fix them, or leave them out with `prepare --skip-bad`.",
    )


def to_rows(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL file that `load_dataset` reads back as this dataset."""
    for example in dataset.examples:
        row: dict[str, Any] = (
            {"text": example.text, "label": example.label}
            if dataset.is_classification
            else {"messages": list(example.messages)}
        )
        yield row | ({"tags": dict(example.tags)} if example.tags else {})


def as_lines(records: Iterable[dict[str, Any]]) -> bytes:
    """Objects as JSONL."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in records).encode()


def training_data(task: Mapping[str, Any]) -> Dataset | None:
    """What an adapter with this `task.json` was trained on, if the file is still as it was."""
    data = task.get("data") or {}
    try:
        dataset = load_dataset(data["path"], columns=data.get("columns", ""))
    except (SeedbedError, KeyError, OSError):
        return None
    return dataset if dataset.sha256 == data["sha256"] else None
