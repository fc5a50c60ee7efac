-- The sample shop: a household-goods shop with the customers who write the sample mails. Amounts are
-- integers in cents, currencies ISO 4217, dates ISO texts that count back from today.
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

INSERT INTO customers VALUES
    ('K1001', 'Tom Baker', 'tom.baker@mail.example'),
    ('K1002', 'Priya Shah', 'priya.shah@mail.example'),
    ('K1003', 'Emily Carter', 'emily.carter@mail.example'),
    ('K1004', 'Owen Byrne', 'owen.byrne@mail.example'),
    ('K1005', 'Marcus Reed', 'marcus.reed@mail.example'),
    ('K1006', 'Anna Weber', 'anna.weber@mail.example'),
    ('K1007', 'Jonas Keller', 'jonas.keller@mail.example'),
    ('K1008', 'Sabine Brandt', 'sabine.brandt@mail.example'),
    ('K1009', 'Lena Hoffmann', 'lena.hoffmann@mail.example'),
    ('K1010', 'Petra Schuster', 'petra.schuster@mail.example'),
    ('K1011', 'Claire Moreau', 'claire.moreau@mail.example'),
    ('K1012', 'Hugo Laurent', 'hugo.laurent@mail.example'),
    ('K1013', 'Sophie Lambert', 'sophie.lambert@mail.example'),
    ('K1014', 'Lucía Romero', 'lucia.romero@mail.example'),
    ('K1015', 'Marta Gil', 'marta.gil@mail.example'),
    ('K1016', 'Javier Ortega', 'javier.ortega@mail.example');
INSERT INTO orders VALUES
    ('59921', 'K1001', date('now', '-2 days'), 'paid', 'EUR', 15300),
    ('59762', 'K1003', date('now', '-6 days'), 'shipped', 'EUR', 24900),
    ('59641', 'K1002', date('now', '-9 days'), 'delivered', 'EUR', 5480),
    ('59603', 'K1004', date('now', '-10 days'), 'delivered', 'EUR', 18900),
    ('59688', 'K1006', date('now', '-8 days'), 'delivered', 'EUR', 2340),
    ('59725', 'K1007', date('now', '-7 days'), 'shipped', 'EUR', 39600),
    ('59524', 'K1008', date('now', '-12 days'), 'delivered', 'EUR', 21900),
    ('59369', 'K1011', date('now', '-16 days'), 'returned', 'EUR', 11880),
    ('59806', 'K1012', date('now', '-5 days'), 'shipped', 'EUR', 7990),
    ('59487', 'K1005', date('now', '-13 days'), 'delivered', 'EUR', 5990),
    ('59450', 'K1013', date('now', '-14 days'), 'delivered', 'EUR', 10650),
    ('59568', 'K1014', date('now', '-11 days'), 'delivered', 'EUR', 5990),
    ('59572', 'K1010', date('now', '-11 days'), 'cancelled', 'EUR', 4390),
    ('59843', 'K1015', date('now', '-4 days'), 'cancelled', 'EUR', 5190),
    ('58921', 'K1001', date('now', '-27 days'), 'delivered', 'EUR', 4940),
    ('58206', 'K1006', date('now', '-45 days'), 'delivered', 'EUR', 7100),
    ('57803', 'K1002', date('now', '-55 days'), 'returned', 'EUR', 21900),
    ('59282', 'K1016', date('now', '-18 days'), 'delivered', 'EUR', 5900);
INSERT INTO order_lines VALUES
    ('59921', 1, 'LMP-02', 'Lumo floor lamp', 1, 12900),
    ('59921', 2, 'MUG-01', 'Mugs, set of 6', 1, 2400),
    ('59762', 1, 'RUG-01', 'Wool rug 160 x 230', 1, 24900),
    ('59641', 1, 'KET-01', 'Brio kettle 1.7 l', 1, 4990),
    ('59603', 1, 'CFE-01', 'Moka coffee machine', 1, 18900),
    ('59688', 1, 'PLN-01', 'Plant pot, terracotta', 1, 1850),
    ('59725', 1, 'CHR-01', 'Oak dining chair', 4, 9900),
    ('59524', 1, 'VAC-01', 'Cordless vacuum cleaner', 1, 21900),
    ('59369', 1, 'BED-01', 'Linen bedding 140 x 200', 1, 8900),
    ('59369', 2, 'TWL-01', 'Bath towels, set of 4', 1, 2980),
    ('59806', 1, 'HDP-01', 'Wireless headphones', 1, 7990),
    ('59487', 1, 'SPK-01', 'Bluetooth speaker', 1, 5990),
    ('59450', 1, 'KNF-01', 'Chef''s knife', 1, 6200),
    ('59450', 2, 'PAN-01', 'Cast-iron pan 28 cm', 1, 4450),
    ('59568', 1, 'SPK-01', 'Bluetooth speaker', 1, 5990),
    ('59572', 1, 'TOA-01', 'Brio toaster', 1, 3900),
    ('59843', 1, 'SHL-01', 'Wall shelf, walnut', 1, 4700),
    ('58921', 1, 'PAN-01', 'Cast-iron pan 28 cm', 1, 4450),
    ('58206', 1, 'SHL-01', 'Wall shelf, walnut', 1, 4700),
    ('58206', 2, 'MUG-01', 'Mugs, set of 6', 1, 2400),
    ('57803', 1, 'VAC-01', 'Cordless vacuum cleaner', 1, 21900),
    ('59282', 1, 'CFE-02', 'Coffee grinder', 1, 5900);
INSERT INTO payments SELECT 'P' || id || '-1', id, 'charge', total_cents, 'card', ordered_on FROM orders;
INSERT INTO payments  -- two customers were charged twice
    SELECT 'P' || id || '-2', id, 'charge', total_cents, 'card', ordered_on FROM orders
    WHERE id IN ('59641', '59282');
INSERT INTO payments
    SELECT 'P' || id || '-2', id, 'refund', total_cents, 'card', date('now') FROM orders
    WHERE id IN ('59843', '57803');
INSERT INTO shipments
SELECT column1, column2, column3, date('now', column4), date('now', column5), date('now', column6)
FROM (VALUES
    ('59762', 'PostLink', 'PO4418742518', '-5 days', '-1 days', NULL),
    ('59641', 'PostLink', 'PO4409795899', '-8 days', '-4 days', '-4 days'),
    ('59603', 'PostLink', 'PO4406986217', '-9 days', '-5 days', '-5 days'),
    ('59688', 'Paketo', 'PA4413271032', '-7 days', '-3 days', '-3 days'),
    ('59725', 'Paketo', 'PA4416006775', '-6 days', '-2 days', NULL),
    ('59524', 'Paketo', 'PA4401145036', '-11 days', '-7 days', '-7 days'),
    ('59369', 'Colivo', 'CO4389684491', '-15 days', '-11 days', '-12 days'),
    ('59806', 'Colivo', 'CO4421995834', '-4 days', '+0 days', NULL),
    ('59487', 'PostLink', 'PO4398409293', '-12 days', '-8 days', '-8 days'),
    ('59450', 'Colivo', 'CO4395673550', '-13 days', '-9 days', '-9 days'),
    ('59568', 'Enviatel', 'EN4404398352', '-10 days', '-6 days', '-6 days'),
    ('58921', 'PostLink', 'PO4356559819', '-26 days', '-22 days', '-22 days'),
    ('58206', 'Paketo', 'PA4303693434', '-44 days', '-40 days', '-41 days'),
    ('57803', 'PostLink', 'PO4273896017', '-54 days', '-50 days', '-50 days'),
    ('59282', 'Enviatel', 'EN4383251798', '-17 days', '-13 days', '-13 days'));
