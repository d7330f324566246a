-- Accepting events.

-- name: insert_events
INSERT INTO event (
    seq, account, type, number, test, deliveries, delivery_offset, delivery_span, place, id, contact, keys, body, details
) VALUES {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)};

-- name: insert_handed_over
INSERT INTO delivery (
    id, event, account, endpoint, type, number, at_ms, origin,
    state, in_flight, queued, attempts, claim, outcome, code, contact, contact_wait_ms, reason
) VALUES {(?, ?, ?, ?, ?, ?, ?, ?, 0, 1, 0, 0, 1, 70368744177664, NULL, NULL, NULL, NULL)};

-- name: insert_deliveries
INSERT INTO delivery (
    id, event, account, endpoint, type, number, in_flight, at_ms, claim, outcome, origin, contact, contact_wait_ms,
    state, queued, attempts, code, reason
) VALUES {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 1, 0, NULL, NULL)};

-- name: known_events
SELECT seq FROM event WHERE seq IN ({?});

-- name: event
SELECT seq, account, id, type, body, details, number, contact, keys, test, deliveries FROM event WHERE seq = ?;

-- name: remembered
SELECT account, id FROM remembered WHERE seq = ?;

-- name: key_use
SELECT fingerprint, events FROM idempotency WHERE used = ? AND account = ? AND key = ?;

-- name: insert_key_use
INSERT INTO idempotency (used, account, key, fingerprint, events) VALUES (?, ?, ?, ?, ?);

-- name: earlier_open
SELECT id FROM delivery
WHERE endpoint = ? AND contact = ? AND contact IS NOT NULL AND state IN (0, 2, 5) AND id < ?
ORDER BY id DESC LIMIT 1;
