"""The records that a model is trained and tested on: the E2E data set, or generated ones.

    load_data("data/e2e")         # trainset.csv, devset.csv, testset_w_refs.csv, with mr and ref
    load_data(f"hf:{HUB}")        # from the Hugging Face hub (extra `hub`)
    load_data(None).test[0].references, load_data(None).sha256     # records.generate

E2E (Novikova et al. 2017, CC BY-SA 4.0) has 42,061 references for training; without trainset.csv,
the 4,672 of the development set are used. No meaning representation is in both sets.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from research_repro.papers.lora.records import Record, generate
from seedbed.errors import BadInput, ConfigError, MissingExtra, Unavailable
from seedbed.files import to_json
from seedbed.runs.quiet import quiet
from seedbed.safety.secrets import reason

# The revision with the data as Parquet files: `datasets` no longer runs the scripts of others.
HUB = "tuetschek/e2e_nlg@a1fd8dcb2b81207ecc5b7fd886f78fcee959eebc"
FILES = {"train": "trainset.csv", "dev": "devset.csv", "test": "testset_w_refs.csv"}
_HINT = f"Expected {', '.join(FILES.values())} with the columns mr and ref."
_COLUMNS = (("mr", "ref"), ("meaning_representation", "human_reference"))  # files, hub
_Rows = Iterable[tuple[str, Mapping[str, str | None]]]  # place, row


class Data(NamedTuple):
    """Records with different meaning representations, and a digest of all of them."""

    train: list[Record]
    test: list[Record]
    sha256: str


def load_data(source: str | None) -> Data:
    """The records of a folder, of hf:ORG/REPO@REVISION, or for None generated ones.

    Raises BadInput for a wrong folder, file or row, Unavailable if the hub cannot be reached.
    """
    if source is None:
        train, test = generate(0, 1000, "train"), generate(0, 630, "test")  # 630 are in E2E's
    else:
        parts = _hub_rows(source) if source.startswith("hf:") else _file_rows(source)
        sets = {split: _group(rows, f"{source}: {split}") for split, rows in parts.items()}
        dev = sets.get("dev", [])
        test = sets.get("test") or [r for r in dev if _digest([r]) < "3"]  # 3 of 16 digits
        in_test = {record.mr for record in test}
        train = [r for r in sets.get("train") or dev if r.mr not in in_test]
    for split, records in (("training", train), ("test", test)):
        if not records:
            raise BadInput(f"{source} contains no {split} records.", hint=_HINT)
    return Data(train, test, _digest([*train, *test]))


def slots_of(mr: str) -> dict[str, str]:
    """The slots of a meaning representation and their values.

    >>> slots_of("name[Blue Spice], customer rating[5 out of 5]")
    {'name': 'Blue Spice', 'customer rating': '5 out of 5'}
    """
    return dict(re.findall(r"(\w[\w ]*)\[(.+?)\]", mr))


def _digest(records: list[Record]) -> str:
    text = to_json([[record.mr, record.references] for record in records])
    return hashlib.sha256(text.encode()).hexdigest()


def _file_rows(source: str) -> dict[str, _Rows]:
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise BadInput(f"The data folder {source} does not exist.", hint=f"Set --data. {_HINT}")
    files = {split: folder / name for split, name in FILES.items() if (folder / name).exists()}
    if not files:
        names = ", ".join(sorted(path.name for path in folder.iterdir())[:8])
        raise BadInput(f"The data folder {source} contains {names or 'nothing'}.", hint=_HINT)
    return {split: _csv_rows(path) for split, path in files.items()}


def _csv_rows(path: Path) -> Iterator[tuple[str, Mapping[str, str | None]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            for row in reader:
                yield f"{path}, line {reader.line_num}", row
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} is not a CSV file in UTF-8: {error}.", hint=_HINT) from None


def _hub_rows(source: str) -> dict[str, _Rows]:
    repo, _, revision = source.removeprefix("hf:").partition("@")
    if not revision:
        raise ConfigError(f"{source} has no revision.", hint=f"Pin a commit, e.g. hf:{HUB}.")
    quiet()
    try:
        from datasets import load_dataset
    except ImportError:
        raise MissingExtra("datasets", "research-repro[hub]") from None
    try:
        parts = load_dataset(repo, revision=revision)
    except Exception as error:  # the hub's own errors, httpx's, and those of `datasets`
        hint = f"Without a network, set RESEARCH_DATA to a folder. {_HINT}"
        raise Unavailable(f"Cannot load {source}: {reason(error)}", hint=hint) from error
    return {
        {"validation": "dev"}.get(part, part): [(f"{source}, {part}", row) for row in rows]
        for part, rows in parts.items()
    }


def _group(rows: _Rows, source: str) -> list[Record]:
    """One record for each meaning representation, with all its references."""
    references: dict[str, list[str]] = {}
    for place, row in rows:
        mr_column, ref_column = next((pair for pair in _COLUMNS if {*pair} <= {*row}), ("", ""))
        if not mr_column:
            raise BadInput(f"{place}: the columns are {', '.join(map(str, row))}.", hint=_HINT)
        mr, text = ((row[column] or "").strip() for column in (mr_column, ref_column))
        if not text:
            raise BadInput(f"{place}: no reference for {mr!r}.", hint="Complete or delete the row.")
        if not slots_of(mr):
            raise BadInput(f"{place}: {mr!r} contains no slots.", hint="Expected: name[The Oak].")
        references.setdefault(mr, []).append(text)
    if not references:
        raise BadInput(f"{source} set is empty.", hint=_HINT)
    return [Record(mr, slots_of(mr), tuple(texts)) for mr, texts in references.items()]
