-- What is read when the store opens.

-- name: moving
SELECT EXISTS (SELECT 1 FROM meta WHERE name = 'moving');

-- name: secret
SELECT value FROM meta WHERE name = 'hash_key';

-- name: place_base
SELECT value FROM meta WHERE name = 'place_base' FOR UPDATE;

-- name: set_place_base
UPDATE meta SET value = :value WHERE name = 'place_base';

-- name: top_place
-- What this statement sees was written below its snapshot's upper end, however many ids others have used since this
-- transaction got its own: unless ids have begun anew.
SELECT greatest(
    coalesce((SELECT max(place) FROM feed_floor), 0),
    coalesce((
        SELECT max(e.place) FROM (SELECT DISTINCT account FROM account_type) AS a CROSS JOIN LATERAL (
            SELECT place FROM event WHERE account = a.account ORDER BY place DESC LIMIT 1
        ) AS e
    ), 0)
), pg_current_xact_id()::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint;

-- name: top
SELECT greatest(
    coalesce((SELECT max(seq) FROM event), 0),
    coalesce((SELECT max(id) FROM delivery), 0),
    coalesce((SELECT max(seq) FROM remembered), 0)
);

-- name: count_open
SELECT endpoint, account, state, count(*), min(due_ms) FILTER (WHERE holder IS NULL) FROM open_delivery
GROUP BY endpoint, account, state ORDER BY endpoint;

-- name: health
SELECT endpoint, body FROM health ORDER BY endpoint;

-- name: now_ms
SELECT now_ms();
