-- What is read of the SQLite file, one statement for each table of the target, columns named as there. Each gives its
-- rows in an order that stays, so that going on after an interruption is to leave out as many as are there.

-- name: run
SELECT id, 'sqlite' AS node, 'moved from SQLite' AS label, version, 'all' AS role, started_ms, 0 AS lease_until,
    0 AS leaving, 1 AS ended, 1 AS cleared
FROM run ORDER BY id;

-- name: word
SELECT id, text FROM word ORDER BY id;

-- name: document
SELECT row, kind, id, account, version, 0 AS changed, body FROM document ORDER BY row;

-- name: document_version
SELECT kind, row, version, id, account, until_row, body FROM document_version ORDER BY kind, row, version;

-- name: account_version
SELECT account, version, 0 AS changed FROM account_version ORDER BY account;

-- name: audit
SELECT id, account, at_ms, actor, action, subject, before, after FROM audit ORDER BY id;

-- name: health
SELECT endpoint, body FROM health ORDER BY endpoint;

-- name: event
SELECT seq, ifnull(place, seq) AS place, seq + delivery_offset AS first_delivery,
    seq + delivery_offset + delivery_span AS last_delivery, (seq >> 21) / 86400000 AS day, account, type, number,
    deliveries, test, id, contact, keys, details, body
FROM event ORDER BY seq;

-- name: event_id
-- An id that was used again after it had been forgotten leads to its newest event.
SELECT account, id, max(seq) AS seq FROM (
    SELECT account, id, seq FROM event UNION ALL SELECT account, id, seq FROM remembered
)
GROUP BY account, id ORDER BY account, id;

-- name: event_key
-- The words themselves; they become one row each, with the word's hash.
SELECT account, keys, seq, (seq >> 21) / 86400000 AS day FROM event WHERE keys IS NOT NULL ORDER BY seq;

-- name: remembered
SELECT seq, account, id FROM remembered ORDER BY seq;

-- name: key_use
SELECT account, key, fingerprint, events, max(used) AS used FROM idempotency GROUP BY account, key
ORDER BY account, key;

-- name: feed_floor
SELECT account, place FROM feed_floor ORDER BY account;

-- name: account_type
SELECT account, type FROM event UNION SELECT account, type FROM delivery ORDER BY account, type;

-- name: delivery
SELECT id, event, (id >> 21) / 86400000 AS day, account, endpoint, type, number, origin,
    contact IS NOT NULL AS ordered,
    iif(state IN (1, 3, 4), state, 0) AS state, iif(state IN (1, 3, 4), attempts, 0) AS attempts,
    iif(state IN (1, 3, 4) AND outcome & 35184372088832, nullif(outcome & 1023, 0), NULL) AS status,
    iif(state IN (1, 3, 4), code, NULL) AS code, iif(state IN (1, 3, 4), reason, NULL) AS reason,
    iif(state IN (1, 3, 4), at_ms, NULL) AS ended_ms,
    iif(state IN (1, 3, 4) AND outcome & 35184372088832, outcome >> 10 & 34359738367, NULL) AS duration_us
FROM delivery ORDER BY id;

-- name: open_delivery
SELECT id, event, iif(state = 5, NULL, at_ms) AS due_ms, contact, iif(contact IS NULL, NULL, id) AS turn,
    contact_wait_ms, iif(outcome & 35184372088832, outcome >> 10 & 34359738367, NULL) AS duration_us, account,
    endpoint, claim, attempts, iif(outcome & 35184372088832, nullif(outcome & 1023, 0), NULL) AS status, code, reason,
    state, origin
FROM delivery WHERE state IN (0, 2, 5) ORDER BY id;

-- name: lost_delivery
SELECT id, account, endpoint, code, state FROM delivery
WHERE state IN (3, 4) OR (state = 1 AND code IS NOT NULL) ORDER BY id;

-- name: attempt
SELECT delivery, started_ms, due_ms, signed_s, total_us, dns_us, connect_us, tls_us, first_byte_us,
    (delivery >> 21) / 86400000 AS day, claim, number, took_ms, status, code, endpoint_version, run, state, flags,
    detail, address, signatures, answer_headers, answer_body
FROM attempt ORDER BY delivery, claim;

-- name: rollup
SELECT account, endpoint, start_ms, outcome, bucket, count FROM rollup
ORDER BY account, endpoint, start_ms, outcome, bucket;

-- name: rollup_long
SELECT account, endpoint, step_ms, start_ms, outcome, bucket, count FROM rollup_long
ORDER BY account, endpoint, step_ms, start_ms, outcome, bucket;

-- name: rollup_mark
SELECT r.account, r.endpoint, m.row AS until_ms
FROM (SELECT DISTINCT account, endpoint FROM rollup) AS r JOIN mark AS m ON m.name = 'hours of ' || r.account
ORDER BY r.account, r.endpoint;

-- name: source_body
SELECT seq, source, updates, test, body FROM source_body ORDER BY seq;

-- name: set_aside
SELECT seq, body, source, account, count, reason, path, sentence, number, reference FROM set_aside ORDER BY seq;

-- name: contact
SELECT account, version, seen_ms, id, phone, user_id, name FROM contact ORDER BY account, id;

-- name: contact_word
SELECT account, word, contact FROM contact_word ORDER BY account, word;

-- name: arrival_count
SELECT source, start_ms, number, what, count, first_ms, last_ms FROM arrival_count
ORDER BY source, number, start_ms, what;

-- name: media
SELECT name, event, created_ms, changed_ms, due_ms, size, account, claim, attempts, state, id, mime_type, reason,
    sha256, task
FROM media ORDER BY name;

-- name: count
SELECT count(*) FROM ({rows});

-- name: days
SELECT (seq >> 21) / 86400000 FROM event UNION SELECT (id >> 21) / 86400000 FROM delivery
UNION SELECT (delivery >> 21) / 86400000 FROM attempt;

-- name: hash_key
SELECT value FROM meta WHERE name = 'hash_key';

-- name: runs
SELECT ifnull(max(id), 0) FROM run;

-- name: highest
-- Rows that were given out, removed ones included.
SELECT name, seq FROM sqlite_sequence WHERE name IN ('document', 'audit');
