"""The rows of a file, each with its line number: JSONL, a JSON array, CSV or Parquet.

A row that cannot be read is yielded as its error, and the rows after it are still read. The meaning
of the columns is up to `convert.py`.
"""

from __future__ import annotations

import codecs
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from seedbed.errors import BadInput
from seedbed.safety.secrets import reason

_REPAIR = "Fix or remove the line."

Row = tuple[int, dict[str, Any] | BadInput]
"""The line of a row, and its columns, or why it cannot be read."""


def read_rows(path: Path) -> Iterator[Row]:
    """Every row that is not blank; lines count from 1 (in Parquet and JSON arrays: rows).

    Raises BadInput for a file that cannot be read at all.
    """
    if path.is_dir():
        hint = f"Use a file in it, e.g. {path / 'train.jsonl'}"
        raise BadInput(f"{path} is a folder.", hint=hint)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        hint = f"Supported: {', '.join(_READERS)}, or hf:ORG/NAME@REVISION."
        raise BadInput(f"{path} has an unsupported file type.", hint=hint)
    try:
        for line, value in reader(path):
            if not isinstance(value, dict | BadInput):
                problem = f"The row is a JSON {type(value).__name__}, not an object."
                value = BadInput(problem, hint='Use {"column": value, …}.')
            yield line, value
    except FileNotFoundError:
        raise BadInput(f"File not found: {path}.", hint="Check the path.") from None
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror or error}.") from None
    except UnicodeError as error:
        hint = "Save the file as UTF-8."
        raise BadInput(f"{path} is not valid UTF-16: {error}.", hint=hint) from None


def _open(path: Path, *, newline: str) -> TextIO:
    """As text: UTF-16 by its byte order mark (Excel's "Unicode text"), UTF-8 otherwise.

    Bytes that are not UTF-8 become surrogates, which `convert.py` reports row by row.
    """
    with path.open("rb") as stream:
        is_utf16 = stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if is_utf16 else "utf-8-sig"
    return path.open(encoding=encoding, errors="surrogateescape", newline=newline)


def _read_json(path: Path) -> Iterator[tuple[int, Any]]:
    with _open(path, newline="\n") as lines:  # JSON strings may contain other separators
        is_array = lines.read(4096).lstrip().startswith("[")
        lines.seek(0)
        if not is_array:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _parse(line.rstrip())
            return
        elements = _parse(lines.read())
    if isinstance(elements, BadInput):
        raise BadInput(f"{path}: {elements.message}", hint=elements.hint)
    yield from enumerate(elements, 1)


def _parse(text: str) -> Any | BadInput:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, " if error.lineno > 1 else ""
        problem = f"{error.msg.removesuffix(' at')} at {place}column {error.colno}"
        return BadInput(f"Invalid JSON: {problem}.", hint=_REPAIR)
    except RecursionError:
        return BadInput("The JSON is nested too deeply.", hint=_REPAIR)
    except BadInput as error:
        return error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises BadInput for a repeated key, where Python would keep the last value."""
    columns: dict[str, Any] = {}
    for key, value in pairs:
        if key in columns:
            raise BadInput(f"The key {key!r} is repeated.", hint=_REPAIR)
        columns[key] = value
    return columns


def _read_csv(path: Path) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(sys.maxsize)  # by default 128 KB a cell
    with _open(path, newline="") as lines:
        first = lines.readline()
        lines.seek(0)
        reader = csv.reader(lines, delimiter=max(",;\t|", key=first.count), strict=True)
        header: list[str] = []
        line = 1
        try:
            for cells in reader:
                if not header:
                    header = [cell.strip() for cell in cells]
                elif any(cell.strip() for cell in cells):
                    yield line, _of_cells(header, cells)
                line = reader.line_num + 1
        except csv.Error as error:
            # After a broken quote the beginning of the next row is unknown.
            where = f"{path}:{reader.line_num}"
            raise BadInput(f"{where}: Invalid CSV: {error}.", hint=_REPAIR) from None


def _of_cells(header: list[str], cells: list[str]) -> dict[str, Any] | BadInput:
    if len(cells) != len(header):
        problem = f"The row has {len(cells)} cells, but the header has {len(header)}."
        return BadInput(problem, hint='Quote cells that contain commas: "a, b".')
    # A table written by pandas may say "nan" where a cell was empty.
    values = [None if cell.strip().lower() in ("", "nan") else cell for cell in cells]
    return dict(zip(header, values, strict=True))


def _read_parquet(path: Path) -> Iterator[tuple[int, Any]]:
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.ParquetFile(path).read()
    except ArrowException as error:
        raise BadInput(f"{path} is not a Parquet file: {reason(error)}") from None
    yield from enumerate(table.to_pylist(), 1)


_READERS = {
    ".jsonl": _read_json,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
}
