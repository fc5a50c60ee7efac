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
_DIALECT = "header = true, delim = $delim, quote = $quote, escape = $escape, skip = $skip"


def load(_: bytes, *, files: list[str], target: str) -> tuple[None, bytes]:
    """Copy CSV and Parquet files into a DuckDB file, one table per file."""
    import duckdb

    limits: dict[str, Any] = {"threads": 2, "memory_limit": f"{_MAX_MEMORY}B"}
    with duckdb.connect(target, config=limits) as connection:
        for file in map(Path, files):
            table = quoted(re.sub(r"\W+", "_", file.stem).strip("_") or "data")
            try:
                if file.suffix.lower() == ".parquet":
                    connection.read_parquet(str(file)).create(table)
                else:
                    _load_csv(connection, table, str(file))
            except duckdb.Error as error:
                raise BadInput(f"{file.name}: {str(error).splitlines()[0]}") from None
    return None, b""


def _load_csv(connection: duckdb.DuckDBPyConnection, table: str, file: str) -> None:
    """Read a file twice: NA is no value among numbers, but may be Namibia among texts."""
    import duckdb

    for sample in (_SAMPLE, -1):  # all rows, in memory, for a text after thousands of numbers
        options: dict[str, Any] = {"file": file, "nulls": _NULLS, "sample": sample}
        # 1. The format and the types, without NA and the like.
        *dialect, columns = connection.execute(
            "SELECT Delimiter, Quote, Escape, SkipRows, Columns FROM"
            " sniff_csv($file, header = true, nullstr = $nulls, sample_size = $sample)",
            options,
        ).fetchall()[0]
        values = ["" if value == "(empty)" else value for value in dialect]
        options |= zip(("delim", "quote", "escape", "skip"), values, strict=True)
        # 2. Texts from the first reading, other values from the second.
        selected = ", ".join(
            f"{'verbatim' if column['type'] == 'VARCHAR' else 'typed'}.{quoted(column['name'])}"
            for column in columns
        )
        try:
            connection.execute(
                f"CREATE TABLE {table} AS SELECT {selected}"
                f" FROM read_csv($file, {_DIALECT}, all_varchar = true) AS verbatim POSITIONAL JOIN"
                f" read_csv($file, {_DIALECT}, nullstr = $nulls, sample_size = $sample) AS typed",
                options,
            )
            return
        except duckdb.Error:
            if sample == -1:
                raise
