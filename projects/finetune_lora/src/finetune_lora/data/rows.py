"""The rows of a file, each with its line number: JSONL, a JSON array, CSV or Parquet.

A row that cannot be read is yielded with its problem, and the rows after it are still read. The
meaning of the columns is up to `convert.py`. UTF-8 and UTF-16 are recognized by their byte order
mark; without one, files are UTF-8.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from seedbed.errors import BadInput
from seedbed.files import BOM, decode_utf8, parse_json
from seedbed.safety.secrets import reason

_REPAIR = "Fix or remove the line."


class Row(NamedTuple):
    """`value` contains the columns; None with a `problem` where the row can't be read."""

    line: int
    value: dict[str, Any] | None
    problem: BadInput | None = None


def read_rows(path: Path) -> Iterator[Row]:
    """Every row that is not blank; `line` counts from 1 (in Parquet and JSON arrays: rows).

    Raises BadInput for a file that can't be read at all.
    """
    if path.is_dir():
        raise BadInput(
            f"{path} is a folder.", hint=f"Use a file in it, e.g. {path / 'train.jsonl'}"
        )
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise BadInput(
            f"{path} has an unsupported file type.",
            hint=f"Supported: {', '.join(_READERS)}, or hf:ORG/NAME@REVISION.",
        )
    try:
        yield from reader(path)
    except FileNotFoundError:
        raise BadInput(f"File not found: {path}.", hint="Check the path.") from None
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror or error}.") from None


def _open(path: Path) -> BinaryIO:
    """The file as UTF-8. Excel's "Unicode text" is UTF-16, which is converted in memory."""
    stream = path.open("rb")
    if stream.read(2) not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        stream.seek(0)
        return stream
    with stream:
        stream.seek(0)
        try:
            return io.BytesIO(stream.read().decode("utf-16").encode())
        except UnicodeError as error:
            raise BadInput(
                f"{path} is not valid UTF-16: {error}.", hint="Save the file as UTF-8."
            ) from None


def _read_json(path: Path) -> Iterator[Row]:
    with _open(path) as stream:
        start = stream.read(4096).removeprefix(BOM).lstrip()
    return (_read_array if start.startswith(b"[") else _read_lines)(path)


def _read_lines(path: Path) -> Iterator[Row]:
    with _open(path) as stream:
        for number, raw in enumerate(stream, 1):
            if number == 1:
                raw = raw.removeprefix(BOM)
            if raw.strip():
                yield _parsed(number, raw)


def _parsed(line: int, raw: bytes) -> Row:
    try:
        return _checked(line, parse_json(raw.rstrip()))
    except BadInput as error:
        return Row(line, None, BadInput(error.message, hint=error.hint or _REPAIR))


def _checked(line: int, value: object) -> Row:
    if isinstance(value, dict):
        return Row(line, value)
    problem = f"The row is a JSON {type(value).__name__}, not an object."
    return Row(line, None, BadInput(problem, hint='Use {"column": value, …}.'))


def _read_array(path: Path) -> Iterator[Row]:
    """The elements of one JSON array; `line` is the number of the element."""
    try:
        with _open(path) as stream:
            elements = json.loads(decode_utf8(stream.read().removeprefix(BOM)))
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    except json.JSONDecodeError as error:
        problem = error.msg.removesuffix(" starting at")
        raise BadInput(f"{path}:{error.lineno}: Invalid JSON: {problem}.", hint=_REPAIR) from None
    except RecursionError:
        raise BadInput(f"{path}: Invalid JSON: nested too deeply.", hint=_REPAIR) from None
    for number, element in enumerate(elements, 1):
        yield _checked(number, element)


def _read_csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)  # by default 128 KB a cell
    # Bytes that are not UTF-8 become surrogates, which the checks of texts find, row by row.
    with (
        _open(path) as stream,
        io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="") as lines,
    ):
        first = lines.readline()
        lines.seek(0)
        reader = csv.reader(lines, delimiter=max(",;\t|", key=first.count), strict=True)
        header: list[str] = []
        line = 1
        for cells in _records(path, reader):
            if not header:
                header = [cell.strip() for cell in cells]
            elif any(cell.strip() for cell in cells):
                yield _of_cells(line, header, cells)
            line = reader.line_num + 1


def _records(path: Path, reader: Any) -> Iterable[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        # After a broken quote the beginning of the next row is unknown.
        raise BadInput(f"{path}:{reader.line_num}: Invalid CSV: {error}.", hint=_REPAIR) from None


def _of_cells(line: int, header: list[str], cells: list[str]) -> Row:
    if len(cells) != len(header):
        problem = f"The row has {len(cells)} cells, but the header has {len(header)}."
        return Row(line, None, BadInput(problem, hint='Quote cells that contain commas: "a, b".'))
    # A table written by pandas may say "nan" where a cell was empty.
    there = [None if cell.strip().lower() in ("", "nan") else cell for cell in cells]
    return Row(line, dict(zip(header, there, strict=True)))


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with path.open("rb") as stream:
            line = 0
            for batch in pyarrow.parquet.ParquetFile(stream).iter_batches(1000):
                for value in batch.to_pylist():
                    line += 1
                    yield Row(line, value)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        raise BadInput(f"{path} is not a Parquet file: {reason(error)}") from None


_READERS = {
    ".jsonl": _read_json,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
}
