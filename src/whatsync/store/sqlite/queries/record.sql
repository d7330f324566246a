-- Recording attempts.

-- name: decide
UPDATE delivery SET
    state = decision.column3,
    in_flight = 0,
    queued = decision.column4,
    at_ms = decision.column5,
    attempts = max(attempts, decision.column6),
    outcome = decision.column7,
    code = decision.column8,
    reason = NULL
FROM (VALUES {(?, ?, ?, ?, ?, ?, ?, ?)}) AS decision
WHERE delivery.id = decision.column1 AND delivery.in_flight = 1 AND delivery.claim = decision.column2;

-- name: insert_attempts
INSERT INTO attempt (
    delivery, claim, number, state, flags, started_ms, took_ms, due_ms, status, code, dns_us, connect_us, tls_us,
    first_byte_us, total_us, endpoint_version, signed_s, run, detail, address, signatures, answer_headers, answer_body
) VALUES {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)};

-- name: remove_attempt
DELETE FROM attempt WHERE delivery = ? AND claim = ?;

-- name: stands
SELECT state, in_flight, claim FROM delivery WHERE id = ?;

-- name: close
UPDATE delivery SET
    state = ?, in_flight = 0, queued = ?, at_ms = ?, attempts = max(attempts, ?), outcome = ?, code = ?, reason = NULL
WHERE id = ?;

-- name: note_attempt
UPDATE delivery SET attempts = max(attempts, ?) WHERE id = ?;

-- name: put_health
INSERT INTO health (endpoint, body) VALUES (?, ?) ON CONFLICT (endpoint) DO UPDATE SET body = excluded.body;
