-- The answers of eval/tasks.jsonl that depend on the shop's tables, computed here; mixed tasks have a
-- column for each part, and what a document contributes is a literal.

SELECT count(*) FROM customers; -- data-01
SELECT count(*) FROM orders WHERE placed_on LIKE '2025-05%'; -- data-02
SELECT count(*) FROM customers WHERE country = 'Germany'; -- data-03
SELECT count(*) FROM orders WHERE status = 'cancelled'; -- data-04
SELECT count(*) FROM customers WHERE country = 'Netherlands' AND loyalty_tier = 'silver'; -- data-05
SELECT sum(amount_cents) / 100.0 FROM payments WHERE method = 'invoice'; -- data-06
SELECT avg(amount_cents) / 100.0 FROM payments WHERE paid_on LIKE '2024-06%'; -- data-07
SELECT name, price_cents FROM products ORDER BY price_cents DESC LIMIT 1; -- data-08
SELECT p.name, price_cents FROM products p JOIN categories c ON c.id = p.category_id WHERE c.name = 'Cooking' ORDER BY price_cents LIMIT 1; -- data-09
SELECT c.name, sum(amount_cents) AS n FROM payments p JOIN orders o ON o.id = p.order_id JOIN customers c ON c.id = o.customer_id GROUP BY c.id ORDER BY n DESC LIMIT 1; -- data-10
SELECT channel, count(*) FROM orders GROUP BY channel; -- data-11
SELECT reason, count(*) FROM returns GROUP BY reason; -- data-12
SELECT count(*) FROM products WHERE stock = 0; -- data-13
SELECT name FROM products WHERE weight_g > 2000; -- data-14
SELECT count(*) FROM returns WHERE reason = 'defective' AND requested_on LIKE '2025%'; -- data-15
SELECT count(*) FROM orders WHERE channel = 'app' AND placed_on LIKE '2024-12%'; -- data-16
SELECT carrier, count(*) AS n FROM shipments GROUP BY carrier ORDER BY n DESC LIMIT 1; -- data-17
SELECT price_cents / 100.0 FROM products WHERE name = 'Granite hiking boots'; -- data-18
SELECT count(*) FROM customers WHERE id NOT IN (SELECT customer_id FROM orders); -- data-19
SELECT count(*) FROM customers WHERE newsletter = 1; -- data-20
SELECT count(*) FROM customers WHERE loyalty_tier = 'silver' AND country <> 'Germany'; -- data-21
SELECT city, count(*) AS n FROM customers GROUP BY city ORDER BY n DESC LIMIT 1; -- data-22
SELECT joined_on FROM customers WHERE name = 'Emma Claes'; -- data-23
SELECT p.name, weight_g FROM products p JOIN categories c ON c.id = p.category_id WHERE c.name = 'Backpacks' ORDER BY weight_g DESC LIMIT 1; -- data-24
SELECT sum(quantity) FROM order_items i JOIN products p ON p.id = i.product_id WHERE p.name = 'Water filter'; -- data-25
SELECT count(DISTINCT order_id) FROM order_items i JOIN products p ON p.id = i.product_id WHERE p.name = 'Beam 400 headlamp'; -- data-26
SELECT sum(refund_cents) / 100.0 FROM returns WHERE requested_on LIKE '2024%'; -- data-27
SELECT count(*) FROM products WHERE price_cents < 2000; -- data-28
SELECT count(*) FROM orders o JOIN customers c ON c.id = o.customer_id WHERE country = 'Austria' AND placed_on BETWEEN '2025-06-01' AND '2025-08-31'; -- data-29
SELECT avg(price_cents) / 100.0 FROM products p JOIN categories c ON c.id = p.category_id WHERE c.name = 'Tents'; -- data-30
SELECT count(*), '60 days' FROM orders WHERE placed_on LIKE '2025-05%'; -- mixed-01
SELECT count(*), '5 years' FROM products p JOIN categories c ON c.id = p.category_id WHERE c.name = 'Tents'; -- mixed-02
SELECT price_cents / 100.0, 29 FROM products WHERE name = 'Storm shell jacket'; -- mixed-03
SELECT sum(amount_cents) * 0.15 / 100 FROM payments WHERE paid_on LIKE '2024%'; -- mixed-04
SELECT price_cents * 0.92 / 100 FROM products WHERE name = 'Single rope 60 m'; -- mixed-05
SELECT count(*), 'not available' FROM customers WHERE country = 'Switzerland'; -- mixed-08
SELECT count(*), '8 %' FROM customers WHERE loyalty_tier = 'gold'; -- mixed-09
SELECT name, 9.5 FROM products ORDER BY weight_g DESC LIMIT 1; -- mixed-10
SELECT count(*), 12 * 14 FROM returns WHERE reason = 'wrong size'; -- mixed-11
SELECT count(*), '10 days', 7 + 8 FROM orders WHERE status = 'cancelled' AND placed_on LIKE '2025%'; -- mixed-13
SELECT price_cents * 1.03 / 100 FROM products WHERE name = 'Ember gas stove'; -- mixed-14
