"""The sample shop: a database of an outdoor store, and the folder of its policies.

    path = ensure_shop(Path("var/multi_agent"))     # var/multi_agent/shop.sqlite
    documents = sample_documents()                  # Markdown files beside this module

The tables are described in `schema.sql`. Orders run from January 2024 to September 2025 and are
drawn from a fixed seed, so that a question about them always has the same answer; the tasks in
`eval/tasks.jsonl` depend on it. Nothing is relative to today.
"""

from __future__ import annotations

import csv
import random
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import Any

from seedbed.files import write_bytes

FOLDER = Path(__file__).parent
CITIES = {
    "Germany": ("Hamburg", "Leipzig", "Freiburg"),
    "Austria": ("Innsbruck", "Graz"),
    "France": ("Grenoble", "Lyon"),
    "Netherlands": ("Utrecht",),
    "Denmark": ("Aarhus",),
    "Switzerland": ("Bern",),
}
FIRST_NAMES = "Agnes Bjorn Celine Dennis Emma Florian Greta Hugo Ida Julien Katrin Lukas".split()
LAST_NAMES = "Bauer Claes Dupont Egger Friis Gerber Hansen Jansen Keller Leroy Moser Nissen".split()
FIRST_DAY, LAST_DAY = date(2024, 1, 2), date(2025, 9, 28)
_SEED = 20_250_928
_MONTH_WEIGHTS = (2, 2, 3, 4, 6, 7, 6, 4, 3, 2, 5, 7)  # January to December


def ensure_shop(folder: Path) -> Path:
    """The sample shop's database, `shop.sqlite` in `folder`, created at the first call.

    A file with other content, such as one of an earlier release, is replaced in one step. Raises
    OSError if the folder cannot be written.

    >>> with sqlite3.connect(ensure_shop(Path())) as shop:
    ...     shop.execute("SELECT count(*) FROM orders").fetchone()
    (320,)
    """
    path = folder / "shop.sqlite"
    data = _build_shop()
    if not path.is_file() or path.read_bytes() != data:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)
    return path


def sample_documents() -> Path:
    """The folder of the shop's policies.

    >>> (sample_documents() / "returns.md").is_file()
    True
    """
    return FOLDER / "policies"


def _build_shop() -> bytes:
    """The content of the database file; takes about 50 ms."""
    rng = random.Random(_SEED)
    shop = sqlite3.connect(":memory:")
    try:
        shop.executescript((FOLDER / "schema.sql").read_text(encoding="utf-8"))
        # 1. Customers and products, which orders refer to.
        _insert(shop, "customers", _customers(rng))
        with (FOLDER / "products.csv").open(encoding="utf-8", newline="") as file:
            products = list(csv.DictReader(file))
        categories = list(dict.fromkeys(row["category"] for row in products))
        _insert(shop, "categories", enumerate(categories, 1))
        _insert(shop, "products", _products(products, categories))
        # 2. Orders with what follows from each: payment, shipment, returns.
        prices = [int(row["price_cents"]) for row in products]
        days = sorted(_random_day(rng) for _ in range(320))
        for number, day in enumerate(days, 5001):
            _insert_order(shop, rng, number, day, prices)
        shop.commit()
        return shop.serialize()
    finally:
        shop.close()


def _insert(shop: sqlite3.Connection, table: str, rows: Any) -> None:
    for row in rows:
        places = ", ".join("?" * len(row))
        shop.execute(f"INSERT INTO {table} VALUES ({places})", row)


def _customers(rng: random.Random) -> Iterator[Sequence[Any]]:
    names = rng.sample(list(product(FIRST_NAMES, LAST_NAMES)), 80)
    for number, (first, last) in enumerate(names, 1):
        country = rng.choices(list(CITIES), (9, 4, 4, 3, 2, 2))[0]
        joined = date(2021, 3, 1) + timedelta(days=rng.randrange(1000))
        yield (
            number,
            f"{first} {last}",
            f"{first}.{last}@example.com".lower(),
            country,
            rng.choice(CITIES[country]),
            rng.choices(("basic", "silver", "gold"), (6, 3, 1))[0],
            joined.isoformat(),
            int(rng.random() < 0.45),
        )


def _products(rows: list[dict[str, str]], categories: list[str]) -> Iterator[Sequence[Any]]:
    for number, row in enumerate(rows, 1):
        category = categories.index(row["category"]) + 1
        amounts = (int(row[name]) for name in ("price_cents", "weight_g", "stock"))
        yield (number, row["sku"], row["name"], category, *amounts)


def _random_day(rng: random.Random) -> date:
    """A day of the shop's history, more often in the seasons of hiking and of presents."""
    while True:
        day = FIRST_DAY + timedelta(days=rng.randrange((LAST_DAY - FIRST_DAY).days + 1))
        if rng.random() < _MONTH_WEIGHTS[day.month - 1] / max(_MONTH_WEIGHTS):
            return day


def _insert_order(
    shop: sqlite3.Connection, rng: random.Random, number: int, day: date, prices: list[int]
) -> None:
    """One order with its items, and its payment, shipment and returns."""
    # 1. The order and its items; some orders of 2024 were placed during a sale.
    status = "cancelled" if rng.random() < 0.08 else "delivered"
    if status != "cancelled" and day > LAST_DAY - timedelta(days=14):
        status = rng.choice(("paid", "shipped"))
    channel = rng.choices(("web", "app", "phone", "store"), (10, 5, 1, 2))[0]
    _insert(shop, "orders", [(number, rng.randint(1, 76), day.isoformat(), status, channel)])
    factor = 0.9 if day.year == 2024 and rng.random() < 0.25 else 1
    indexes = rng.sample(range(len(prices)), rng.choices((1, 2, 3, 4), (4, 4, 2, 1))[0])
    quantities = [rng.choices((1, 2, 4), (8, 2, 1))[0] for _ in indexes]
    items = [
        (number, index + 1, quantity, round(prices[index] * factor))
        for index, quantity in zip(indexes, quantities, strict=True)
    ]
    _insert(shop, "order_items", items)
    if status == "cancelled":
        return
    # 2. The payment, and the shipment unless it has not left yet.
    method = rng.choices(("card", "paypal", "invoice", "gift card"), (8, 6, 4, 1))[0]
    paid = _later(rng, day, 1, 14) if method == "invoice" else day
    total = sum(quantity * price for _, _, quantity, price in items)
    _insert(shop, "payments", [(None, number, method, total, paid.isoformat())])
    if status == "paid":
        return
    shipped = _later(rng, day, 1, 3)
    arrival = _later(rng, shipped, 1, 6)
    carrier = rng.choice(("Alpenpost", "Kurier24", "Nordpaket"))
    delivered = arrival.isoformat() if status == "delivered" else None
    _insert(shop, "shipments", [(None, number, carrier, shipped.isoformat(), delivered)])
    # 3. Some items of a delivered order come back.
    if status == "delivered":
        _insert(shop, "returns", _returns(rng, items, arrival))


def _returns(
    rng: random.Random, items: list[tuple[int, int, int, int]], arrival: date
) -> Iterator[Sequence[Any]]:
    reasons = ("wrong size", "defective", "not as described", "changed mind")
    for order, item, quantity, price in items:
        if rng.random() < 0.11:
            reason = rng.choices(reasons, (4, 3, 1, 3))[0]
            requested = _later(rng, arrival, 1, 28).isoformat()
            yield (None, order, item, reason, requested, quantity * price)


def _later(rng: random.Random, start: date, first: int, last: int) -> date:
    return start + timedelta(days=rng.randint(first, last))
