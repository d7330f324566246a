-- Claiming and giving back. Each query repeats its index's condition, else SQLite would not use it.

-- name: due
SELECT
    d.id, d.claim, d.attempts, d.state, d.contact, d.origin,
    e.seq, e.account, e.id, e.type, e.body, e.details, e.number, e.contact, e.keys, e.test, e.deliveries
FROM delivery AS d INDEXED BY delivery_queue CROSS JOIN event AS e ON e.seq = d.event
WHERE d.endpoint = ? AND d.in_flight = 0 AND d.at_ms <= ? AND d.queued = 1 AND d.state IN (0, 2)
ORDER BY d.at_ms, d.id LIMIT ?;

-- name: retrying
SELECT
    d.id, d.claim, d.attempts, d.state, d.contact, d.origin,
    e.seq, e.account, e.id, e.type, e.body, e.details, e.number, e.contact, e.keys, e.test, e.deliveries
FROM delivery AS d INDEXED BY delivery_open CROSS JOIN event AS e ON e.seq = d.event
WHERE d.endpoint = ? AND d.state = 2 AND d.queued = 1 AND d.in_flight = 0
ORDER BY d.id LIMIT ?;

-- name: take
UPDATE delivery SET in_flight = 1, claim = claim + 1 WHERE id IN ({?});

-- name: next_due
SELECT at_ms FROM delivery INDEXED BY delivery_queue
WHERE endpoint = ? AND in_flight = 0 AND queued = 1 AND state IN (0, 2)
ORDER BY at_ms LIMIT 1;

-- name: give_back
UPDATE delivery SET in_flight = 0, queued = 1, at_ms = given.column3
FROM (VALUES {(?, ?, ?)}) AS given
WHERE delivery.id = given.column1 AND delivery.in_flight = 1 AND delivery.claim = given.column2;
