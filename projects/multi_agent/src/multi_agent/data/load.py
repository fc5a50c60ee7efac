"""Copies CSV and Parquet files into a DuckDB file, in a child process of `database.py`.

load(b"", files=["data/flights.csv", "data/airlines.csv"], target="/tmp/tables.duckdb")
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multi_agent.data.schema import quoted
from seedbed.errors import BadInput

if TYPE_CHECKING:
    import duckdb

_MAX_MEMORY = 250_000_000  # bytes that DuckDB may use, as far as it counts them
_SAMPLE = 20_000  # rows of a CSV file that its types are inferred from
_NULLS = ["", "NA", "N/A", "n/a", "NULL", "null", "None", "NaN", "nan"]


def load(_: bytes, *, files: list[str], target: str) -> tuple[None, bytes]:
    """Copy CSV and Parquet files into a DuckDB file, one table per file."""
    import duckdb

    limits: dict[str, Any] = {"threads": 2, "memory_limit": f"{_MAX_MEMORY}B"}
    with duckdb.connect(target, config=limits) as connection:
        for file in map(Path, files):
            try:
                _load_file(connection, file)
            except duckdb.Error as error:
                raise BadInput(f"{file.name}: {str(error).splitlines()[0]}") from None
    return None, b""


def _load_file(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    import duckdb

    table = re.sub(r"\W+", "_", file.stem).strip("_") or "data"
    if file.suffix.lower() == ".parquet":
        connection.read_parquet(str(file)).create(table)
        return
    try:
        _read_csv(connection, str(file), _SAMPLE).create(table)
    except duckdb.Error:  # a text after thousands of numbers
        _read_csv(connection, str(file), -1).create(table)


def _read_csv(
    connection: duckdb.DuckDBPyConnection, file: str, sample: int
) -> duckdb.DuckDBPyRelation:
    """The rows of a CSV file: NA is no value among numbers, but may be Namibia among texts.

    Types are those of the first `sample` rows; -1: of all rows, which are in memory then.
    """
    # 1. The types without NA and the like.
    sniffed = connection.execute(
        "SELECT HasHeader, Columns, DateFormat, TimestampFormat"
        " FROM sniff_csv(?, nullstr = ?, sample_size = ?)",
        [file, _NULLS, sample],
    ).fetchall()
    has_header, columns, date, timestamp = sniffed[0]
    # 2. The values, and texts instead of those types where a column has NA.
    verbatim = connection.read_csv(file, header=has_header, sample_size=sample)
    types = dict(zip(verbatim.columns, verbatim.types, strict=True))
    nulls = ", ".join(f"'{null}'" for null in _NULLS)
    changes = []
    for column in columns:
        name, kind = quoted(column["name"]), column["type"]
        if types.get(column["name"]) == "VARCHAR" != kind:
            value = f"CASE WHEN {name} NOT IN ({nulls}) THEN {name} END"
            if style := {"DATE": date, "TIMESTAMP": timestamp}.get(kind):
                value = f"strptime({value}, '{style}')"
            changes.append(f"CAST({value} AS {kind}) AS {name}")
    return verbatim.project(f"* REPLACE ({', '.join(changes)})") if changes else verbatim
