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

-- name: planned
-- Beside each: how long it may wait for its turn; the end of its last attempt, and what was due then.
SELECT d.id, d.at_ms,
    CASE WHEN d.contact IS NOT NULL AND EXISTS (
        SELECT 1 FROM delivery AS before
        WHERE before.endpoint = d.endpoint AND before.contact = d.contact AND before.contact IS NOT NULL
            AND before.state IN (0, 2, 5) AND before.id < d.id
    ) THEN d.contact_wait_ms END,
    a.started_ms + a.took_ms, a.due_ms
FROM delivery AS d INDEXED BY delivery_queue
LEFT JOIN attempt AS a
    ON a.delivery = d.id AND a.claim = (SELECT max(claim) FROM attempt WHERE delivery = d.id)
WHERE d.endpoint = ?1 AND d.in_flight = 0 AND d.queued = 1 AND d.state IN (0, 2)
    AND d.at_ms >= ?2 AND (d.at_ms > ?2 OR d.id > ?3)
ORDER BY d.at_ms, d.id LIMIT ?4;

-- name: plan
UPDATE delivery SET at_ms = given.column2 FROM (VALUES {(?, ?)}) AS given WHERE delivery.id = given.column1;

-- name: give_back
UPDATE delivery SET in_flight = 0, queued = 1, at_ms = given.column3
FROM (VALUES {(?, ?, ?)}) AS given
WHERE delivery.id = given.column1 AND delivery.in_flight = 1 AND delivery.claim = given.column2;
