-- Changes of state without an attempt.

-- name: delivery
SELECT id, account, endpoint, state, in_flight, ifnull(at_ms, 0), attempts, ifnull(contact_wait_ms, 0)
FROM delivery WHERE id = ?;

-- name: endpoint_version
SELECT version FROM document WHERE row = ?;

-- name: open
SELECT id, account, endpoint, state, in_flight, ifnull(at_ms, 0), attempts, ifnull(contact_wait_ms, 0)
FROM delivery INDEXED BY delivery_open
WHERE endpoint = ? AND state = ? AND queued = 1 AND id <= ? AND account = ?
ORDER BY id LIMIT ?;

-- name: retriable
SELECT id, account, endpoint, state, in_flight, ifnull(at_ms, 0), attempts, ifnull(contact_wait_ms, 0)
FROM delivery INDEXED BY delivery_open
WHERE endpoint = ? AND state = ? AND queued = 1 AND id <= ? AND account = ? AND in_flight = 0 AND at_ms > ?
ORDER BY id LIMIT ?;

-- name: in_tail
SELECT id, account, endpoint, state, in_flight, ifnull(at_ms, 0), attempts, ifnull(contact_wait_ms, 0)
FROM delivery
WHERE id > ? AND id <= ? AND endpoint = ? AND account = ? AND state = 0 AND queued = 0
ORDER BY id LIMIT ?;

-- name: settle
UPDATE delivery SET state = ?, in_flight = 0, queued = ?, at_ms = ?, reason = ? WHERE id = ?;
