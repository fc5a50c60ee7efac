"""A file or a hub dataset as a validated Dataset, and a Dataset as rows again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finetune_lora.data.convert import convert, detect, parse_columns, renamed
from finetune_lora.data.hub import read_hub
from finetune_lora.data.rows import Row, read_rows
from finetune_lora.example import Dataset, Example
from seedbed.errors import BadInput, SeedbedError
from seedbed.models.prompts import load_prompt

_PACKAGE = __name__.partition(".")[0]
Reject = Callable[[int, str], None]
_LISTED = 20  # bad rows in an error


@dataclass(frozen=True)
class Reading:
    """A dataset with what is known of its origin. `disliked`: answers rated down or not at all."""

    dataset: Dataset
    format: str
    disliked: int = 0
    revision: str = ""
    licence: str = ""


def load_dataset(
    spec: str | Path,
    *,
    labels: Sequence[str] | None = None,
    allow_unseen: bool = False,
    columns: str = "",
) -> Dataset:
    """All examples of a file (.jsonl, .json, .csv, .tsv, .parquet) or of `hf:ORG/NAME@REV[:SPLIT]`.

    `labels`: for rows of text and label, those known from training; they make the instruction.
    A label that is not among them is an error, or stays as it is with `allow_unseen`. `columns`
    renames columns, as in `text=description,label=section`. Raises BadInput or a related error
    that names all bad rows with their lines.
    """
    return read(spec, labels=labels, allow_unseen=allow_unseen, columns=columns).dataset


def read(
    spec: str | Path,
    *,
    labels: Sequence[str] | None = None,
    allow_unseen: bool = False,
    columns: str = "",
    reject: Reject | None = None,
) -> Reading:
    """As `load_dataset`; with `reject`, a bad row is passed to it (line, reason) and left out."""
    name, revision, licence = str(spec), "", ""
    if name.startswith("hf:"):
        hub = read_hub(name)
        source_rows, revision, licence = hub.rows, hub.revision, hub.licence
    else:
        source_rows = read_rows(Path(spec))
    return replace(
        assemble(
            name,
            source_rows,
            labels=labels,
            allow_unseen=allow_unseen,
            columns=parse_columns(columns),
            reject=reject,
        ),
        revision=revision,
        licence=licence,
    )


def assemble(
    source: str,
    source_rows: Iterable[Row],
    *,
    labels: Sequence[str] | None = None,
    allow_unseen: bool = False,
    columns: Mapping[str, str] | None = None,
    reject: Reject | None = None,
) -> Reading:
    """The Reading of rows from anywhere; `source` is named in the texts of errors."""
    reader = _Reader(source, columns or {}, reject)
    examples = tuple(reader.examples(source_rows))
    reader.raise_problems()
    if not examples:
        raise BadInput(f"{source} {reader.emptiness()}")
    if reader.format == "labelled":
        names = tuple(sorted(set(labels or [str(e.label) for e in examples])))
        examples = tuple(reader.with_label(examples, names) if not allow_unseen else examples)
        reader.raise_problems()
        examples = instructed(examples, names)
    else:
        names = ()
    dataset = Dataset(examples, names, source)
    return Reading(
        replace(dataset, sha256=_digest(source, dataset)), reader.format, reader.disliked
    )


class _Reader:
    """Goes through the rows of one source: one format, errors with their place, counts."""

    def __init__(self, source: str, columns: Mapping[str, str], reject: Reject | None) -> None:
        self.source, self.columns, self.reject = source, columns, reject
        self.problems: list[tuple[int, SeedbedError]] = []
        self.format = ""
        self.read = self.disliked = self.rejected = 0

    def examples(self, rows: Iterable[Row]) -> Iterator[Example]:
        for row in rows:
            self.read += 1
            try:
                if row.problem or row.value is None:
                    raise row.problem or BadInput("The row cannot be read.")
                value = renamed(row.value, self.columns)
                self.format = self.format or detect(value)
                example = convert(value, self.format, row.line)
            except SeedbedError as error:
                self.refuse(row.line, error)
            else:
                self.disliked += example is None
                if example is not None:
                    yield example

    def with_label(self, examples: Iterable[Example], labels: Sequence[str]) -> Iterator[Example]:
        for example in examples:
            if example.label in labels:
                yield example
                continue
            there = ", ".join(labels[:12]) + (", …" if len(labels) > 12 else "")
            error = BadInput(
                f"Unknown label {example.label!r}. The training data has {len(labels)} "
                f"labels: {there}.",
                hint="Add training rows with this label, or remove the row.",
            )
            self.refuse(example.line, error)

    def refuse(self, line: int, error: SeedbedError) -> None:
        self.rejected += 1
        if self.reject is None:
            self.problems.append((line, error))
        else:
            self.reject(line, str(error))

    def raise_problems(self) -> None:
        """Raise one error for all bad rows, so that they can be fixed in one go."""
        if not self.problems:
            return
        line, first = self.problems[0]
        if len(self.problems) == 1:
            raise type(first)(f"{self.source}:{line}: {first.message}", hint=first.hint) from None
        listed = " ".join(f"Line {n}: {error.message}" for n, error in self.problems[:_LISTED])
        more = len(self.problems) - _LISTED
        raise type(first)(
            f"{self.source}:{line}: {len(self.problems)} rows are invalid. {listed}"
            + (f" And {more} more." if more > 0 else ""),
            hint="Fix them, or leave them out with `prepare --skip-bad`.",
        )

    def emptiness(self) -> str:
        if not self.read:
            return "is empty: the dataset needs at least one row."
        if self.disliked:
            return f"is not usable: none of its {self.disliked} answers was rated up."
        return f"contains no valid row: all {self.rejected} were rejected."


def instructed(examples: Iterable[Example], labels: Sequence[str]) -> tuple[Example, ...]:
    """Examples of text and label with the instruction that names the labels as first message."""
    text = load_prompt(_PACKAGE, "classify").render(labels=", ".join(labels))
    system = {"role": "system", "content": text}
    return tuple(replace(e, messages=(system, *e.messages[-2:])) for e in examples)


def rows(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL file that `load_dataset` reads back as this dataset."""
    for example in dataset.examples:
        row: dict[str, Any] = (
            {"text": example.text, "label": example.label}
            if dataset.is_classification
            else {"messages": list(example.messages)}
        )
        yield row | ({"tags": dict(example.tags)} if example.tags else {})


def as_lines(records: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in records).encode()


def _digest(source: str, dataset: Dataset) -> str:
    """Of the file's bytes, as `sha256sum` prints it; of the rows where there is no file."""
    path = Path(source)
    if source.startswith("hf:") or not path.is_file():
        return hashlib.sha256(as_lines(rows(dataset))).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def training_data(task: Mapping[str, Any]) -> Dataset | None:
    """What an adapter with this `task.json` was trained on, if the file is still as it was."""
    data = task.get("data") or {}
    try:
        dataset = load_dataset(data["path"], columns=data.get("columns", ""))
    except (SeedbedError, KeyError, OSError):
        return None
    return dataset if dataset.sha256 == data["sha256"] else None
