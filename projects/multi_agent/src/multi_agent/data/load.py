"""Copies CSV and Parquet files into a DuckDB file, in a child process of `database.py`.

load(b"", files=["data/flights.csv", "data/airlines.csv"], target="/tmp/tables.duckdb")
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from multi_agent.data.schema import quoted
from seedbed.errors import BadInput

_MAX_MEMORY = 250_000_000  # bytes that DuckDB may use, as far as it counts them
_NULLS = ["", "NA", "N/A", "n/a", "NULL", "null", "None", "NaN", "nan"]


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
                    connection.execute(
                        f"CREATE TABLE {table} AS SELECT * FROM read_csv($file, header = true,"
                        " nullstr = $nulls, sample_size = -1)",  # all rows decide on the types
                        {"file": str(file), "nulls": _NULLS},
                    )
            except duckdb.Error as error:
                raise BadInput(f"{file.name}: {str(error).splitlines()[0]}") from None
    return None, b""
