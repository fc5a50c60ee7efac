"""What a model is shown of a database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from multi_agent.data.database import Database, open_database
from multi_agent.data.schema import Column, ForeignKey


def lines(database: Database) -> dict[str, str]:
    """The description by table."""
    return {line.partition(":")[0]: line for line in database.description.split("\n")}


def test_schema_has_tables_columns_and_keys(shop: Database) -> None:
    schema = shop.schema
    assert list(schema.columns) == ["customers", "open_orders", "order lines", "orders", "refunds"]
    assert schema.columns["orders"][0] == Column("id", "INTEGER", True)
    assert schema.columns["orders"][-1].name == "month"
    assert [column.key for column in schema.columns["order lines"]] == [False] * 4
    # One column, with the key of its target left out; not that of two columns.
    assert schema.foreign_keys == [ForeignKey("orders", "customer_id", "customers", "id")]


def test_description_has_sizes_keys_ranges_and_repeated_texts(shop: Database) -> None:
    assert lines(shop)["orders (30 rows)"] == (
        "orders (30 rows): id INTEGER key, customer_id INTEGER -> customers.id,"
        " placed_on TEXT (2025-01-03 to 2025-12-03),"
        " status TEXT ('open', 'paid', 'won''t pay'), total REAL (0.0 to 304.5),"
        " month TEXT (2025-01 to 2025-12)"
    )


def test_description_has_no_names_and_addresses(shop: Database) -> None:
    line = lines(shop)["customers (8 rows)"]
    assert line == (
        "customers (8 rows): id INTEGER key, name TEXT, email TEXT, country TEXT ('DE', 'AT'),"
        " photo BLOB"
    )
    assert "Holm" not in shop.description and "@" not in shop.description


def test_views_are_described_but_broken_ones(shop: Database) -> None:
    assert lines(shop)["open_orders (10 rows)"].endswith("double_total (0.0 to 567.0)")
    assert "broken" not in shop.description


def test_long_table_is_described_in_time(tmp_path: Path) -> None:
    path = tmp_path / "long.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE photos (id INTEGER PRIMARY KEY, kind TEXT, photo BLOB)")
        connection.execute("INSERT INTO photos VALUES (1, 'new', zeroblob(3000000))")
        connection.execute(
            "CREATE TABLE visits AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c"
            " LIMIT 20000) SELECT n, CASE WHEN n > 15000 THEN 'b' ELSE 'a' END AS kind FROM c"
        )
        connection.commit()
    with open_database(path) as database:
        assert database.description.split("\n") == [
            "photos (1 rows): id INTEGER key, kind TEXT, photo BLOB",
            "visits (20000 rows): n (1 to 20000), kind ('a', …)",
        ]
