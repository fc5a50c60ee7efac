-- The gold answers of eval/tasks.jsonl, by id: computed here, not by head. Mixed tasks have a
-- column for each part.

-- data-01
SELECT count(*) FROM customers;

-- data-02
SELECT count(*) FROM orders WHERE placed_on LIKE '2025-05%';

-- data-03
SELECT count(*) FROM customers WHERE country = 'Germany';

-- data-04
SELECT count(*) FROM orders WHERE status = 'cancelled';

-- data-05
SELECT count(*) FROM customers WHERE country = 'Netherlands' AND loyalty_tier = 'silver';

-- data-06
SELECT sum(amount_cents) / 100.0 FROM payments WHERE method = 'invoice';

-- data-07
SELECT avg(amount_cents) / 100.0 FROM payments WHERE paid_on LIKE '2024-06%';

-- data-08
SELECT name, price_cents FROM products ORDER BY price_cents DESC LIMIT 1;

-- data-09
SELECT p.name, price_cents FROM products p JOIN categories c ON c.id = p.category_id WHERE c.name = 'Cooking' ORDER BY price_cents LIMIT 1;

-- data-10
SELECT c.name, sum(amount_cents) AS n FROM payments p JOIN orders o ON o.id = p.order_id JOIN customers c ON c.id = o.customer_id GROUP BY c.id ORDER BY n DESC LIMIT 1;

-- data-11
SELECT channel, count(*) FROM orders GROUP BY channel;

-- data-12
SELECT reason, count(*) FROM returns GROUP BY reason;

-- data-13
SELECT count(*) FROM products WHERE stock = 0;

-- data-14
SELECT name FROM products WHERE weight_g > 2000;

-- data-15
SELECT count(*) FROM returns WHERE reason = 'defective' AND requested_on LIKE '2025%';

-- data-16
SELECT count(*) FROM orders WHERE channel = 'app' AND placed_on LIKE '2024-12%';

-- data-17
SELECT carrier, count(*) AS n FROM shipments GROUP BY carrier ORDER BY n DESC LIMIT 1;

-- data-18
SELECT price_cents / 100.0 FROM products WHERE name = 'Granite hiking boots';

-- data-19
SELECT count(*) FROM customers WHERE id NOT IN (SELECT customer_id FROM orders);

-- data-20
SELECT count(*) FROM customers WHERE newsletter = 1;

-- data-21
SELECT count(*) FROM customers WHERE loyalty_tier = 'silver' AND country <> 'Germany';

-- data-22
SELECT city, count(*) AS n FROM customers GROUP BY city ORDER BY n DESC LIMIT 1;

-- data-23
SELECT joined_on FROM customers WHERE name = 'Emma Claes';

-- data-24
SELECT p.name, weight_g FROM products p JOIN categories c ON c.id = p.category_id WHERE c.name = 'Backpacks' ORDER BY weight_g DESC LIMIT 1;

-- data-25
SELECT sum(quantity) FROM order_items i JOIN products p ON p.id = i.product_id WHERE p.name = 'Water filter';

-- data-26
SELECT count(DISTINCT order_id) FROM order_items i JOIN products p ON p.id = i.product_id WHERE p.name = 'Beam 400 headlamp';

-- data-27
SELECT sum(refund_cents) / 100.0 FROM returns WHERE requested_on LIKE '2024%';

-- data-28
SELECT count(*) FROM products WHERE price_cents < 2000;

-- data-29
SELECT count(*) FROM orders o JOIN customers c ON c.id = o.customer_id WHERE country = 'Austria' AND placed_on BETWEEN '2025-06-01' AND '2025-08-31';

-- data-30
SELECT avg(price_cents) / 100.0 FROM products p JOIN categories c ON c.id = p.category_id WHERE c.name = 'Tents';

-- calc-01
SELECT 0.15 * 240;

-- calc-02
SELECT 279 * 0.8;

-- calc-03
SELECT 84 * 1.19;

-- calc-04
SELECT 249 / 1.19;

-- calc-05
SELECT 17 * 23;

-- calc-06
SELECT 12.75 + 8.40 + 19.99;

-- calc-07
SELECT 1260 / 24.0;

-- calc-08
SELECT (14 + 22 + 31 + 9) / 4.0;

-- calc-09
SELECT 86.4 / 3;

-- calc-10
SELECT CAST(julianday('2025-07-04') - julianday('2025-03-12') AS INTEGER);

-- calc-11
SELECT date('2025-01-20', '+45 days');

-- calc-12
SELECT date('2025-05-05', '-14 days');

-- calc-13
SELECT 12 * 1.609344;

-- calc-14
SELECT 2.5 * 453.59237;

-- calc-15
SELECT (68 - 32) * 5 / 9.0;

-- calc-16
SELECT 18 / 4.5;

-- calc-17
SELECT 0.75 * 520;

-- calc-18
SELECT 99 * 2 / 3.0;

-- calc-19
SELECT (400 - 320) * 100.0 / 320;

-- calc-20
SELECT 45 * 100.0 / 180;

-- calc-21
SELECT 1 << 12;

-- calc-22
SELECT 3.7 * 6;

-- calc-23
SELECT 3 * 60 + 20;

-- calc-24
SELECT 1200 - 350;

-- mixed-01
SELECT count(*), '60 days' FROM orders WHERE placed_on LIKE '2025-05%';

-- mixed-02
SELECT count(*), '5 years' FROM products p JOIN categories c ON c.id = p.category_id WHERE c.name = 'Tents';

-- mixed-03
SELECT price_cents / 100.0, 29 FROM products WHERE name = 'Storm shell jacket';

-- mixed-04
SELECT sum(amount_cents) * 0.15 / 100 FROM payments WHERE paid_on LIKE '2024%';

-- mixed-05
SELECT price_cents * 0.92 / 100 FROM products WHERE name = 'Single rope 60 m';

-- mixed-06
SELECT 4 * 4.90;

-- mixed-07
SELECT 2 * 55;

-- mixed-08
SELECT count(*), 'not available' FROM customers WHERE country = 'Switzerland';

-- mixed-09
SELECT count(*), '8 %' FROM customers WHERE loyalty_tier = 'gold';

-- mixed-10
SELECT name, 9.5 FROM products ORDER BY weight_g DESC LIMIT 1;

-- mixed-11
SELECT count(*), 12 * 14 FROM returns WHERE reason = 'wrong size';

-- mixed-12
SELECT 0.25 * 360, '9:30 to 16:00';

-- mixed-13
SELECT count(*), '10 days', 7 + 8 FROM orders WHERE status = 'cancelled' AND placed_on LIKE '2025%';

-- mixed-14
SELECT price_cents * 1.03 / 100 FROM products WHERE name = 'Ember gas stove';
