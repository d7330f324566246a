-- Media files.

-- name: media_columns
name, account, event, id, created_ms, state, due_ms, mime_type, size, sha256, task, claim, attempts, reason, changed_ms

-- name: insert
INSERT INTO media (
    name, account, event, id, created_ms, changed_ms, state, due_ms, mime_type, size, sha256, task, reason, claim,
    attempts
)
SELECT name, account, event, id, created_ms, created_ms, state, due_ms, mime_type, size, sha256, task, reason, 0, 0
FROM unnest(
    :names::bytea[], :accounts::integer[], :events::bigint[], :ids::bytea[], :created::bigint[], :states::smallint[],
    :dues::bigint[], :mime_types::bytea[], :sizes::bigint[], :sums::bytea[], :tasks::bytea[], :reasons::bytea[]
) WITH ORDINALITY AS given(
    name, account, event, id, created_ms, state, due_ms, mime_type, size, sha256, task, reason, nth
)
ORDER BY name, nth ON CONFLICT DO NOTHING;

-- name: due
SELECT account, due_ms, name FROM media WHERE due_ms <= :now_ms::bigint ORDER BY due_ms, name LIMIT :limit::integer;

-- name: firsts
WITH RECURSIVE walk (account, nth) AS (
    SELECT (SELECT account FROM media WHERE due_ms IS NOT NULL AND account > :after::integer
        ORDER BY account LIMIT 1), 1
    UNION ALL
    SELECT (SELECT account FROM media WHERE due_ms IS NOT NULL AND account > walk.account
        ORDER BY account LIMIT 1), nth + 1
    FROM walk WHERE account IS NOT NULL AND nth < :limit::integer
)
SELECT m.account, m.due_ms, m.name FROM walk CROSS JOIN LATERAL (
    SELECT account, due_ms, name FROM media WHERE due_ms IS NOT NULL AND account = walk.account
    ORDER BY due_ms, name LIMIT 1
) AS m ORDER BY m.account;

-- name: due_of
SELECT m.account, m.due_ms, m.name FROM unnest(:accounts::integer[]) AS given (account) CROSS JOIN LATERAL (
    SELECT account, due_ms, name FROM media WHERE account = given.account AND due_ms <= :now_ms::bigint
    ORDER BY due_ms, name LIMIT :limit::integer
) AS m;

-- name: claim
WITH due AS MATERIALIZED (
    SELECT name FROM media WHERE name = ANY(:names::bytea[]) AND due_ms <= :now_ms::bigint
    ORDER BY name FOR UPDATE SKIP LOCKED
)
UPDATE media AS m SET claim = m.claim + 1, due_ms = :until_ms::bigint, holder = :run::integer
FROM due WHERE m.name = due.name
RETURNING <claimed_columns>;

-- name: claimed_columns
m.name, account, event, id, created_ms, state, due_ms, mime_type, size, sha256, task, claim, attempts, reason,
changed_ms

-- name: planned
SELECT name, due_ms, changed_ms, holder IS NOT NULL AS claimed FROM media
WHERE due_ms >= :after_due::bigint AND (due_ms, name) > (:after_due::bigint, :after_name::bytea)
ORDER BY due_ms, name LIMIT :limit::integer FOR UPDATE SKIP LOCKED;

-- name: plan
UPDATE media AS m SET due_ms = given.due_ms, changed_ms = :now_ms::bigint
FROM unnest(:names::bytea[], :dues::bigint[]) AS given(name, due_ms) WHERE m.name = given.name;

-- name: record
UPDATE media SET
    holder = NULL, state = :state::smallint, changed_ms = :at_ms::bigint, due_ms = :due_ms::bigint,
    mime_type = coalesce(:mime_type::bytea, mime_type), event = coalesce(:event::bigint, event),
    size = :size::bigint, sha256 = :sha256::bytea, reason = :reason::bytea,
    task = CASE WHEN :due_ms::bigint IS NULL THEN '' ELSE task END, attempts = attempts + 1
WHERE name = :name AND claim = :claim AND holder IS NOT NULL RETURNING 1;

-- name: ended
state = 3, reason = :reason::bytea, changed_ms = :now_ms::bigint, due_ms = :now_ms::bigint, claim = claim + 1,
holder = NULL, task = ''

-- name: remove
UPDATE media SET <ended> WHERE account = :account AND name = ANY(:names::bytea[]) AND state <> 3;

-- name: expire
UPDATE media SET <ended> WHERE event = ANY(:events::bigint[]) AND state IN (0, 1);

-- name: forget
DELETE FROM media WHERE name IN (
    SELECT name FROM media WHERE state > 1 AND due_ms IS NULL AND changed_ms < :before_ms::bigint
    ORDER BY changed_ms LIMIT :limit::integer
);

-- name: row
SELECT <media_columns> FROM media WHERE name = :name;
