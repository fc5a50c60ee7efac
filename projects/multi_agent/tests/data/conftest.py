"""A shop in SQLite, for tests of queries and of the schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from multi_agent.data.database import Database, open_database

SCRIPT = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT, country TEXT, photo BLOB);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER REFERENCES Customers,
    placed_on TEXT,
    status TEXT,
    total REAL,
    month TEXT GENERATED ALWAYS AS (substr(placed_on, 1, 7))
);
CREATE TABLE "order lines" (
    "order" INTEGER, line INTEGER, "unit price" REAL, note TEXT, PRIMARY KEY ("order", line)
);
CREATE TABLE refunds ("order" INTEGER, line INTEGER,
    FOREIGN KEY ("order", line) REFERENCES "order lines" ("order", line));
CREATE VIEW open_orders AS SELECT id, total * 2 AS double_total FROM orders WHERE status = 'open';
CREATE TABLE dropped (id INTEGER);
CREATE VIEW broken AS SELECT id FROM dropped;
DROP TABLE dropped;
"""


@pytest.fixture
def shop_file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.sqlite"
    names = ["Anna", "Bo", "Anna", "Dora", "Emil", "Finn", "Gina", "Anna"]
    customers = [
        (f"{name} Holm", f"{name.lower()}{n}@example.com", "DE" if n % 3 else "AT", b"\x01" * n)
        for n, name in enumerate(names)
    ]
    states = ["open", "paid", "won't pay"]
    orders = [(1 + n % 8, f"2025-{1 + n % 12:02}-03", states[n % 3], 10.5 * n) for n in range(30)]
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCRIPT)
        connection.executemany(
            "INSERT INTO customers (name, email, country, photo) VALUES (?, ?, ?, ?)", customers
        )
        connection.executemany(
            "INSERT INTO orders (customer_id, placed_on, status, total) VALUES (?, ?, ?, ?)", orders
        )
        connection.commit()
    return path


@pytest.fixture
def shop(shop_file: Path) -> Iterator[Database]:
    with open_database(shop_file) as database:
        yield database
