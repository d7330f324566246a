-- Runs: begun, renewed, ended, cleared. Times of leases are this server's.

-- name: lock_runs
SELECT pg_advisory_xact_lock(7, 3);

-- name: begin_run
INSERT INTO run (node, label, version, role, started_ms, lease_until)
VALUES (
    :node::text, :label::text, :version::text, :role::text, now_ms(),
    clock_timestamp() + make_interval(secs => :lease_seconds::double precision)
)
RETURNING id;

-- name: alike
-- Runs that aren't cleared and whose rows could get the same numbers.
SELECT count(*) FROM run WHERE NOT cleared AND id <> :run::integer AND id & :bits::integer = :run::integer & :bits;

-- name: void_run
UPDATE run SET ended = true, cleared = true WHERE id = :run;

-- name: renew
UPDATE run SET
    lease_until = now() + make_interval(secs => :lease_seconds::double precision), role = :role::text,
    leaving = :leaving::boolean
WHERE id = :run AND NOT ended RETURNING id;

-- name: seen
-- All that aren't cleared, the clock, how many changes there were. One row at least.
SELECT now_ms(), c.number, r.id, r.node, r.role, r.leaving, r.ended,
    r.lease_until <= now()
FROM change_count AS c LEFT JOIN run AS r ON NOT r.cleared ORDER BY r.id;

-- name: end_overdue
UPDATE run SET ended = true WHERE NOT ended AND NOT cleared AND lease_until <= now() AND id <> :run;

-- name: end_node
UPDATE run SET ended = true WHERE NOT ended AND NOT cleared AND node = :node;

-- name: ended_runs
SELECT id FROM run WHERE ended AND NOT cleared ORDER BY id;

-- name: still
-- Whether nothing of a run is under way; then nothing begins until this transaction is over, and afterwards it finds
-- that the run has ended.
SELECT pg_try_advisory_xact_lock(8, :run::integer);

-- name: take_back
-- A part of what the run has claimed; gives how far it looked. No index leads there: it would cost every accept.
WITH part AS MATERIALIZED (
    SELECT id, holder FROM open_delivery WHERE id > :after::bigint ORDER BY id LIMIT :limit::integer
), freed AS (
    UPDATE open_delivery AS o SET holder = NULL, due_ms = now_ms()
    FROM part AS p WHERE p.holder = :run::integer AND o.id = p.id AND o.holder = :run
)
SELECT max(id) FROM part;

-- name: take_back_media
UPDATE media SET holder = NULL, due_ms = now_ms()
WHERE holder = :run::integer AND due_ms IS NOT NULL;

-- name: free_posts
DELETE FROM post WHERE run = :run::integer;

-- name: forget_marks
DELETE FROM mark WHERE run = :run::integer OR run NOT IN (SELECT id FROM run WHERE NOT cleared);

-- name: clear
UPDATE run SET cleared = true WHERE id = :run::integer;
