-- Changes of state without an attempt. Everything looked at is locked, lowest row first.

-- name: looked_at
id, account, endpoint, state, holder IS NOT NULL, attempts, coalesce(contact_wait_ms, 0), contact, turn

-- name: named
SELECT <looked_at> FROM open_delivery WHERE id = ANY(:ids::bigint[]) AND account = :account ORDER BY id FOR UPDATE;

-- name: endpoint_version
-- Locked, so that it stays so until the settlement is written.
SELECT version FROM document WHERE row = :row FOR SHARE;

-- name: final
SELECT id, endpoint, state FROM delivery
WHERE id = ANY(:ids::bigint[]) AND day = ANY(:days::integer[]) AND account = :account AND state IN (1, 3, 4);

-- name: of_endpoint
SELECT <looked_at> FROM (
    SELECT o.* FROM unnest(:states::smallint[]) AS wanted(state) CROSS JOIN LATERAL (
        SELECT * FROM open_delivery AS o
        WHERE o.endpoint = :endpoint AND o.state = wanted.state AND o.id <= :until::bigint AND o.account = :account
        ORDER BY o.id LIMIT :limit::integer
    ) AS o ORDER BY o.id LIMIT :limit::integer
) AS o;

-- name: retriable
SELECT <looked_at> FROM (
    SELECT o.* FROM unnest(:states::smallint[]) AS wanted(state) CROSS JOIN LATERAL (
        SELECT * FROM open_delivery AS o
        WHERE o.endpoint = :endpoint AND o.state = wanted.state AND o.id <= :until::bigint AND o.account = :account
        AND o.holder IS NULL AND o.due_ms > :due_ms::bigint
        ORDER BY o.id LIMIT :limit::integer
    ) AS o ORDER BY o.id LIMIT :limit::integer
) AS o;

-- name: stay_open
UPDATE open_delivery AS o SET state = given.state, holder = NULL, due_ms = given.due_ms, reason = given.reason
FROM unnest(:ids::bigint[], :states::smallint[], :dues::bigint[], :reasons::integer[])
    AS given(id, state, due_ms, reason)
WHERE o.id = given.id;

-- name: end
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(:ids::bigint[], :days::integer[], :states::smallint[]) AS given(id, day, state)
), ended AS (
    DELETE FROM open_delivery AS o USING given AS g WHERE o.id = g.id
    RETURNING o.id, o.account, o.endpoint, o.attempts, o.status, o.code, o.duration_us, g.day, g.state
), lost AS (
    INSERT INTO lost_delivery (id, account, endpoint, code, state)
    SELECT id, account, endpoint, code, state FROM ended WHERE state <> 1 OR code IS NOT NULL
)
UPDATE delivery AS d SET
    state = e.state, attempts = e.attempts, status = e.status, code = e.code, duration_us = e.duration_us,
    ended_ms = :ended_ms::bigint, reason = :reason::integer
FROM ended AS e WHERE d.id = e.id AND d.day IN (e.day, 0);
