"""The sample shop: an SQLite database of customers, orders, payments and shipments.

    create_shop(Path("shop.db"))                            # dates relative to today
    create_shop(Path("shop.db"), today=date(2026, 3, 2))    # the same bytes every time

A household-goods shop with the customers who write the sample mails; the tables are described in
`schema.sql`. Dates count back from `today`, so a parcel "delivered 3 days ago" stays that fresh.
The desk only reads the database: queries are in `decide/shop.py`, refunds are booked by the payment
API.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from seedbed.files import write_bytes

SCHEMA = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")

# The customers of each carrier.
CUSTOMERS = {
    "PostLink": "Tom Baker, Priya Shah, Emily Carter, Owen Byrne, Marcus Reed",
    "Paketo": "Anna Weber, Jonas Keller, Sabine Brandt, Lena Hoffmann, Petra Schuster",
    "Colivo": "Claire Moreau, Hugo Laurent, Sophie Lambert",
    "Enviatel": "Lucía Romero, Marta Gil, Javier Ortega",
}

# sku: (name, price in cents)
PRODUCTS = {
    "LMP-02": ("Lumo floor lamp", 12900),
    "KET-01": ("Brio kettle 1.7 l", 4990),
    "TOA-01": ("Brio toaster", 3900),
    "CFE-01": ("Moka coffee machine", 18900),
    "CFE-02": ("Coffee grinder", 5900),
    "PAN-01": ("Cast-iron pan 28 cm", 4450),
    "KNF-01": ("Chef's knife", 6200),
    "TWL-01": ("Bath towels, set of 4", 2980),
    "BED-01": ("Linen bedding 140 x 200", 8900),
    "RUG-01": ("Wool rug 160 x 230", 24900),
    "CHR-01": ("Oak dining chair", 9900),
    "SHL-01": ("Wall shelf, walnut", 4700),
    "VAC-01": ("Cordless vacuum cleaner", 21900),
    "HDP-01": ("Wireless headphones", 7990),
    "SPK-01": ("Bluetooth speaker", 5990),
    "PLN-01": ("Plant pot, terracotta", 1850),
    "MUG-01": ("Mugs, set of 6", 2400),
}


class Order(NamedTuple):
    """An order as it stands today."""

    id: str
    customer: str  # e-mail address, up to the @
    age: int  # days since it was placed
    status: str
    skus: tuple[str, ...]
    charges: int = 1  # number of payments; 2 is a double charge
    refund_cents: int = 0  # refunded so far; -1 is everything
    delivered: int | None = None  # days since the delivery


ORDERS = (
    Order("59921", "tom.baker", 2, "paid", ("LMP-02", "MUG-01")),
    Order("59762", "emily.carter", 6, "shipped", ("RUG-01",)),
    Order("59641", "priya.shah", 9, "delivered", ("KET-01",), charges=2, delivered=4),
    Order("59603", "owen.byrne", 10, "delivered", ("CFE-01",), delivered=5),
    Order("59688", "anna.weber", 8, "delivered", ("PLN-01",), delivered=3),
    Order("59725", "jonas.keller", 7, "shipped", ("CHR-01", "CHR-01", "CHR-01", "CHR-01")),
    Order("59524", "sabine.brandt", 12, "delivered", ("VAC-01",), delivered=7),
    Order("59369", "claire.moreau", 16, "returned", ("BED-01", "TWL-01"), delivered=12),
    Order("59806", "hugo.laurent", 5, "shipped", ("HDP-01",)),
    Order("59487", "marcus.reed", 13, "delivered", ("SPK-01",), delivered=8),
    Order("59450", "sophie.lambert", 14, "delivered", ("KNF-01", "PAN-01"), delivered=9),
    Order("59568", "lucia.romero", 11, "delivered", ("SPK-01",), delivered=6),
    Order("59572", "petra.schuster", 11, "cancelled", ("TOA-01",)),
    Order("59843", "marta.gil", 4, "cancelled", ("SHL-01",), refund_cents=-1),
    Order("58921", "tom.baker", 27, "delivered", ("PAN-01",)),
    Order("58206", "anna.weber", 45, "delivered", ("SHL-01", "MUG-01"), delivered=41),
    Order("57803", "priya.shah", 55, "returned", ("VAC-01",), refund_cents=-1),
    Order("59282", "javier.ortega", 18, "delivered", ("CFE-02",), charges=2, delivered=13),
)


def create_shop(path: Path, today: date | None = None) -> None:
    """Write the sample shop's database to a file, replacing an old one in one step.

    >>> create_shop(Path("shop.db"), today=date(2026, 3, 2))
    >>> shop = sqlite3.connect("shop.db")
    >>> shop.execute("SELECT status, total_cents FROM orders WHERE id = '59688'").fetchone()
    ('delivered', 2340)
    """
    shop = sqlite3.connect(":memory:")
    shop.executescript(SCHEMA)
    customers = _insert_customers(shop)
    for order in ORDERS:
        _insert_order(shop, order, *customers[order.customer], today or date.today())
    shop.commit()
    write_bytes(path, shop.serialize())
    shop.close()


def ensure_shop(path: Path) -> None:
    """Create the sample shop unless the file exists, whose refunds remain."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        create_shop(path)


def _insert(shop: sqlite3.Connection, table: str, *row: str | int | None) -> None:
    shop.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def _insert_customers(shop: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    """The id and the carrier of each customer, by the address up to the @."""
    customers: dict[str, tuple[str, str]] = {}
    for carrier, names in CUSTOMERS.items():
        for name in names.split(", "):
            ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
            local = ascii_name.lower().replace(" ", ".")
            key = f"K{1001 + len(customers)}"
            _insert(shop, "customers", key, name, f"{local}@mail.example")
            customers[local] = key, carrier
    return customers


def _insert_order(
    shop: sqlite3.Connection, order: Order, customer: str, carrier: str, today: date
) -> None:
    def day(age: int) -> str:
        return (today - timedelta(age)).isoformat()

    lines = {sku: order.skus.count(sku) for sku in order.skus}
    goods = sum(PRODUCTS[sku][1] * quantity for sku, quantity in lines.items())
    total = goods + (0 if goods >= 5000 else 490)  # shipping is free from 50 EUR
    _insert(shop, "orders", order.id, customer, day(order.age), order.status, "EUR", total)
    for position, (sku, quantity) in enumerate(lines.items(), 1):
        name, price = PRODUCTS[sku]
        _insert(shop, "order_lines", order.id, position, sku, name, quantity, price)

    refund = total if order.refund_cents == -1 else order.refund_cents
    payments = [("charge", total, day(order.age))] * order.charges
    payments += [("refund", refund, day(max(order.age - 8, 0)))] * (refund > 0)
    for number, (kind, cents, booked) in enumerate(payments, 1):
        _insert(shop, "payments", f"P{order.id}-{number}", order.id, kind, cents, "card", booked)

    if order.status in ("shipped", "delivered", "returned"):
        shipped, arrived = order.age - 1, order.delivered or order.age - 5
        delivered = None if order.status == "shipped" else day(arrived)
        tracking = f"{carrier[:2].upper()}{73_939 * int(order.id)}"
        row = (carrier, tracking, day(shipped), day(shipped - 4), delivered)
        _insert(shop, "shipments", order.id, *row)
