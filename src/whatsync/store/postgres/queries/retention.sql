-- Keeping and removing.

-- name: old_events
SELECT e.seq, e.day FROM unnest(:types::integer[]) AS wanted(type) CROSS JOIN LATERAL (
    SELECT seq, day FROM event
    WHERE account = :account AND type = wanted.type AND seq > :after::bigint AND seq < :border::bigint
    AND day BETWEEN 0 AND :last_day::integer
    ORDER BY seq LIMIT :limit::integer
) AS e ORDER BY e.seq LIMIT :limit::integer;

-- name: lock_events
SELECT seq, day, place, account, id, keys FROM event
WHERE seq = ANY(:seqs::bigint[]) AND day = ANY(:days::integer[]) ORDER BY seq FOR UPDATE;

-- name: deliveries
-- All deliveries of these events: id, day, event, and of open ones state, endpoint, contact, turn.
SELECT d.id, d.day, d.event, o.state, o.endpoint, o.contact, o.turn
FROM (
    SELECT d.id, d.day, d.event
    FROM event AS e JOIN delivery AS d ON d.id BETWEEN e.first_delivery AND e.last_delivery AND d.event = e.seq
        AND d.origin = 0
        AND d.day IN (((e.first_delivery >> 21) / 86400000)::integer, ((e.last_delivery >> 21) / 86400000)::integer, 0)
    WHERE e.seq = ANY(:seqs::bigint[]) AND e.day = ANY(:days::integer[])
    UNION ALL
    SELECT id, day, event FROM delivery WHERE event = ANY(:seqs::bigint[]) AND origin <> 0
) AS d LEFT JOIN open_delivery AS o ON o.id = d.id
ORDER BY d.id;

-- name: lock_open
SELECT id FROM open_delivery WHERE id = ANY(:ids::bigint[]) ORDER BY id FOR UPDATE;

-- name: remove_open
DELETE FROM open_delivery WHERE id = ANY(:ids::bigint[]);

-- name: remove_lost
DELETE FROM lost_delivery WHERE id = ANY(:ids::bigint[]);

-- name: remove_attempts
DELETE FROM attempt WHERE delivery = ANY(:ids::bigint[]) AND day = ANY(:days::integer[]);

-- name: remove_deliveries
DELETE FROM delivery WHERE id = ANY(:ids::bigint[]) AND day = ANY(:days::integer[]);

-- name: remove_events
DELETE FROM event WHERE seq = ANY(:seqs::bigint[]) AND day = ANY(:days::integer[]);

-- name: remove_keys
DELETE FROM event_key AS k USING unnest(:hashes::bigint[], :seqs::bigint[], :days::integer[]) AS gone(hash, seq, day)
WHERE k.hash = gone.hash AND k.seq = gone.seq AND k.day = gone.day;

-- name: remove_ids
DELETE FROM event_id AS i USING unnest(:accounts::integer[], :ids::bytea[]) AS gone(account, id)
WHERE i.account = gone.account AND i.id = gone.id;

-- name: remember
INSERT INTO remembered (seq, account, id)
SELECT * FROM unnest(:seqs::bigint[], :accounts::integer[], :ids::bytea[]) ON CONFLICT DO NOTHING;

-- name: raise_feed_floor
INSERT INTO feed_floor (account, place) VALUES (:account, :place)
ON CONFLICT (account) DO UPDATE SET place = greatest(feed_floor.place, excluded.place);

-- name: move_events
UPDATE event SET day = 0 WHERE seq = ANY(:seqs::bigint[]) AND day = ANY(:days::integer[]);

-- name: move_keys
UPDATE event_key AS k SET day = 0
FROM unnest(:hashes::bigint[], :seqs::bigint[], :days::integer[]) AS moved(hash, seq, day)
WHERE k.hash = moved.hash AND k.seq = moved.seq AND k.day = moved.day;

-- name: move_deliveries
UPDATE delivery SET day = 0 WHERE id = ANY(:ids::bigint[]) AND day = ANY(:days::integer[]);

-- name: move_attempts
UPDATE attempt SET day = 0 WHERE delivery = ANY(:ids::bigint[]) AND day = ANY(:days::integer[]);

-- name: expire_keys
WITH gone AS (
    SELECT account, key FROM key_use WHERE account = :account AND used < :before::bigint
    ORDER BY used LIMIT :limit
)
DELETE FROM key_use AS k USING gone AS g WHERE k.account = g.account AND k.key = g.key;

-- name: expire_remembered
WITH gone AS (
    DELETE FROM remembered WHERE seq IN (
        SELECT seq FROM remembered WHERE account = :account AND seq < :before::bigint ORDER BY seq LIMIT :limit
    ) RETURNING account, id
)
DELETE FROM event_id AS i USING gone AS g WHERE i.account = g.account AND i.id = g.id;

-- name: expire_audit
DELETE FROM audit WHERE id IN (
    SELECT id FROM audit WHERE account = :account AND at_ms < :before::bigint ORDER BY id LIMIT :limit
);

-- name: expire_versions
DELETE FROM document_version AS v USING (
    SELECT kind, row, version FROM document_version AS o
    WHERE account = :account AND until_row IS NOT NULL AND until_row < :before::bigint
    AND until_row < coalesce((SELECT min(id) FROM delivery WHERE endpoint = o.row), 9223372036854775807)
    LIMIT :limit
) AS gone
WHERE v.kind = gone.kind AND v.row = gone.row AND v.version = gone.version;

-- name: orphan_versions
DELETE FROM document_version WHERE until_row IS NOT NULL
AND account NOT IN (SELECT row FROM document WHERE kind = 'account');

-- name: orphan_health
DELETE FROM health WHERE endpoint NOT IN (SELECT row FROM document WHERE kind = 'endpoint');

-- name: orphan_account_versions
DELETE FROM account_version
WHERE account <> 0 AND account NOT IN (SELECT row FROM document WHERE kind = 'account');

-- name: erased
SELECT day, keys FROM event WHERE seq = :seq AND account = :account AND day IN (:day::integer, 0) FOR UPDATE;

-- name: erase_event
UPDATE event SET body = :body, keys = :keys, details = NULL, contact = NULL WHERE seq = :seq AND day = :day::integer;

-- name: erase_answers
UPDATE attempt SET answer_headers = '', answer_body = ''
WHERE delivery = ANY(:ids::bigint[]) AND day = ANY(:days::integer[]);
