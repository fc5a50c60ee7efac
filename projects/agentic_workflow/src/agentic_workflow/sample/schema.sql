-- Amounts are integers in cents, dates are ISO texts (2026-03-02), currencies ISO 4217.
CREATE TABLE customers (
    id         TEXT PRIMARY KEY,       -- K1001
    name       TEXT NOT NULL,
    email      TEXT NOT NULL UNIQUE    -- in lower case
);
CREATE TABLE orders (
    id          TEXT PRIMARY KEY,      -- five digits
    customer_id TEXT NOT NULL REFERENCES customers (id),
    ordered_on  TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (
        status IN ('paid', 'shipped', 'delivered', 'cancelled', 'returned')),
    currency    TEXT NOT NULL,
    total_cents INTEGER NOT NULL       -- sum of the lines plus shipping_cents
);
CREATE INDEX orders_of_customer ON orders (customer_id, ordered_on);
CREATE TABLE order_lines (
    order_id    TEXT NOT NULL REFERENCES orders (id),
    position    INTEGER NOT NULL,      -- from 1
    sku         TEXT NOT NULL,
    name        TEXT NOT NULL,
    quantity    INTEGER NOT NULL,
    price_cents INTEGER NOT NULL,      -- of one piece
    PRIMARY KEY (order_id, position)
);
CREATE TABLE payments (                -- refundable = sum of charges minus sum of refunds
    id           TEXT PRIMARY KEY,     -- P60012-1
    order_id     TEXT NOT NULL REFERENCES orders (id),
    kind         TEXT NOT NULL CHECK (kind IN ('charge', 'refund')),
    amount_cents INTEGER NOT NULL,     -- positive for both kinds
    method       TEXT NOT NULL,        -- card, paypal, invoice
    booked_on    TEXT NOT NULL
);
CREATE INDEX payments_of_order ON payments (order_id);
CREATE TABLE shipments (               -- none for orders that are paid or cancelled
    order_id     TEXT PRIMARY KEY REFERENCES orders (id),
    carrier      TEXT NOT NULL,
    tracking     TEXT NOT NULL,
    shipped_on   TEXT NOT NULL,
    expected_on  TEXT NOT NULL,
    delivered_on TEXT                  -- NULL until delivered
);
