-- What is done and read when the store opens, and the lease of a run. Times of leases are this server's.

-- name: lock_runs
SELECT pg_advisory_xact_lock(7, 3);

-- name: other_runs
SELECT id, label, round(extract(epoch FROM lease_until - now()))::integer FROM run
WHERE NOT ended AND node <> :node AND lease_until > now() ORDER BY id;

-- name: end_runs
-- Runs of this node, and those whose lease is over.
UPDATE run SET ended = true WHERE NOT ended AND (node = :node OR lease_until <= now());

-- name: begin_run
INSERT INTO run (node, label, version, started_ms, lease_until)
VALUES (:node::text, :label::text, :version::text, :started_ms::bigint, now() + make_interval(secs => :lease_seconds))
RETURNING id;

-- name: take_back
UPDATE open_delivery AS o SET holder = NULL, due_ms = :now_ms::bigint
WHERE o.holder IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run AS r WHERE r.id = o.holder AND NOT r.ended);

-- name: renew
UPDATE run SET lease_until = now() + make_interval(secs => :lease_seconds)
WHERE id = :run AND NOT ended RETURNING id;

-- name: end_run
UPDATE run SET ended = true, lease_until = now() WHERE id = :run;

-- name: secret
SELECT value FROM meta WHERE name = 'hash_key';

-- name: place_base
SELECT value FROM meta WHERE name = 'place_base' FOR UPDATE;

-- name: set_place_base
UPDATE meta SET value = :value WHERE name = 'place_base';

-- name: top_place
SELECT greatest(
    coalesce((SELECT max(place) FROM feed_floor), 0),
    coalesce((
        SELECT max(e.place) FROM (SELECT DISTINCT account FROM account_type) AS a CROSS JOIN LATERAL (
            SELECT place FROM event WHERE account = a.account ORDER BY place DESC LIMIT 1
        ) AS e
    ), 0)
), pg_current_xact_id()::text::bigint;

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
