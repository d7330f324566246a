-- Keeping and removing.

-- name: types
WITH RECURSIVE found(type) AS (
    SELECT min(type) FROM event_by_type WHERE account = ?1
    UNION ALL
    SELECT (SELECT min(type) FROM event_by_type WHERE account = ?1 AND type > found.type)
    FROM found WHERE found.type IS NOT NULL
)
SELECT type FROM found WHERE type IS NOT NULL;

-- name: old_events
SELECT event FROM event_by_type WHERE account = ? AND type = ? AND event > ? AND event < ? ORDER BY event LIMIT ?;

-- name: deliveries_made
SELECT d.id, d.event, d.state, d.contact IS NOT NULL
FROM event AS e CROSS JOIN delivery AS d
ON d.id BETWEEN e.seq + e.delivery_offset AND e.seq + e.delivery_offset + e.delivery_span AND d.event = e.seq
WHERE e.seq IN ({?});

-- name: deliveries_added
SELECT id, event, state, contact IS NOT NULL FROM delivery WHERE event IN ({?}) AND origin <> 0;

-- name: cancel
UPDATE delivery SET state = 4, queued = 0 WHERE id IN ({?});

-- name: feed_places
SELECT ifnull(place, seq) FROM event WHERE seq IN ({?});

-- name: raise_feed_floor
INSERT INTO feed_floor (account, place) VALUES (?, ?)
ON CONFLICT (account) DO UPDATE SET place = max(place, excluded.place);

-- name: remember
INSERT OR IGNORE INTO remembered (seq, account, id) SELECT seq, account, id FROM event WHERE seq IN ({?});

-- name: remove_attempts
DELETE FROM attempt WHERE delivery IN ({?});

-- name: remove_endpoints
DELETE FROM delivery_by_endpoint
WHERE (endpoint, delivery) IN (SELECT endpoint, id FROM delivery WHERE id IN ({?}));

-- name: remove_types
DELETE FROM delivery_by_type
WHERE (account, type, delivery) IN (SELECT account, type, id FROM delivery WHERE id IN ({?}));

-- name: remove_numbers
DELETE FROM delivery_by_number
WHERE (account, number, delivery) IN (SELECT account, number, id FROM delivery WHERE id IN ({?}));

-- name: remove_deliveries
DELETE FROM delivery WHERE id IN ({?});

-- name: remove_event_types
DELETE FROM event_by_type
WHERE (account, type, event) IN (SELECT account, type, seq FROM event WHERE seq IN ({?}));

-- name: remove_event_numbers
DELETE FROM event_by_number
WHERE (account, number, event) IN (SELECT account, number, seq FROM event WHERE seq IN ({?}));

-- name: remove_events
DELETE FROM event WHERE seq IN ({?});

-- name: expire_keys
DELETE FROM idempotency
WHERE used IN (SELECT used FROM idempotency WHERE account = ? AND used < ? ORDER BY used LIMIT ?);

-- name: expire_remembered
DELETE FROM remembered WHERE seq IN (SELECT seq FROM remembered WHERE seq < ? ORDER BY seq LIMIT ?);

-- name: expire_audit
DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE account = ? AND at_ms < ? ORDER BY id LIMIT ?);

-- name: expire_versions
DELETE FROM document_version
WHERE (kind, row, version) IN (
    SELECT kind, row, version FROM document_version AS v
    WHERE account = ? AND until_row IS NOT NULL AND until_row < ?
    AND until_row < ifnull(
        (SELECT min(delivery) FROM delivery_by_endpoint WHERE endpoint = v.row), 9223372036854775807
    )
    LIMIT ?
);

-- name: orphan_versions
WITH RECURSIVE found(account) AS (
    SELECT min(account) FROM document_version WHERE until_row IS NOT NULL
    UNION ALL
    SELECT (SELECT min(account) FROM document_version WHERE until_row IS NOT NULL AND account > found.account)
    FROM found WHERE found.account IS NOT NULL
)
DELETE FROM document_version
WHERE until_row IS NOT NULL AND account IN (
    SELECT account FROM found
    WHERE account IS NOT NULL AND account NOT IN (SELECT row FROM document WHERE kind = 'account')
);

-- name: orphan_health
DELETE FROM health WHERE endpoint NOT IN (SELECT row FROM document WHERE kind = 'endpoint');

-- name: orphan_account_versions
DELETE FROM account_version
WHERE account <> 0 AND account NOT IN (SELECT row FROM document WHERE kind = 'account')
RETURNING account;

-- name: keys
SELECT keys FROM event WHERE seq = ? AND account = ?;

-- name: erase_event
UPDATE event SET body = ?, keys = ?, details = NULL, contact = NULL WHERE seq = ?;

-- name: erase_answers
UPDATE attempt SET answer_headers = x'', answer_body = x'' WHERE delivery = ?;
