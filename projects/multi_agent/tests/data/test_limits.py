"""Queries that would take hours or gigabytes end in one line, and the next one is answered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from multi_agent.data.database import Database, open_database
from seedbed.errors import BadInput, DeadlineExceeded

COUNT = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT {}) SELECT {} FROM c"


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Database]:
    """A CSV file, in DuckDB."""
    (tmp_path / "people.csv").write_text("name\nAnna\n")
    with open_database(tmp_path / "people.csv") as database:
        yield database


@pytest.mark.parametrize(
    "sql",
    [
        COUNT.format(-1, "max(x)"),
        COUNT.format(-1, "zeroblob(900000)"),  # few steps of SQLite, which take long
        "SELECT hex(zeroblob(490000)) LIKE '%' || hex(zeroblob(20000)) || '1%'",  # a single one
    ],
)
def test_query_of_sqlite_is_stopped_at_its_time_limit(shop: Database, sql: str) -> None:
    shop.query("SELECT 1")
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"more than 0\.3 s"):
        shop.query(sql, seconds=0.3, max_rows=10**9)
    assert time.monotonic() - started < 10  # 60 s without limits, for the last one
    assert shop.query("SELECT count(*) FROM orders").rows == ((30,),)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3",
        "SELECT levenshtein(repeat('a', 90000), repeat('b', 90000))",
    ],
)
def test_query_of_duckdb_is_stopped_at_its_time_limit(files: Database, sql: str) -> None:
    with pytest.raises(DeadlineExceeded, match=r"more than 0\.3 s"):
        files.query(sql, seconds=0.3)
    assert files.query("SELECT name FROM people").rows == (("Anna",),)


def test_value_that_is_too_large_is_refused(shop: Database) -> None:
    for sql in (COUNT.format(1000, "zeroblob(9900000)"), "SELECT hex(zeroblob(900000))"):
        with pytest.raises(BadInput, match="larger than 1 MB"):
            shop.query(sql)


def test_result_is_cut_at_4_mb(shop: Database, files: Database) -> None:
    for database, sql in (
        (shop, COUNT.format(100, "hex(zeroblob(50000))")),
        (files, "SELECT repeat('x', 100000) FROM range(100)"),
    ):
        rows = database.query(sql)
        assert rows.truncated and len(rows.rows) == 40
    with pytest.raises(BadInput, match="row of the result is too long"):
        files.query("SELECT repeat('x', 5000000)")


def test_queries_of_several_threads_run_side_by_side(shop: Database) -> None:
    def run(_: int) -> None:
        with pytest.raises(DeadlineExceeded):
            shop.query(COUNT.format(-1, "max(x)"), seconds=1)

    start = time.monotonic()
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(run, range(3)))
    assert time.monotonic() - start < 2.9  # one after the other, they take 3 s
