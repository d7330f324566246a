-- What nodes ask each other by way of the database.

-- name: take
INSERT INTO post (name, run) SELECT name, :run::integer FROM unnest(:names::text[]) AS name ORDER BY name
ON CONFLICT DO NOTHING;

-- name: held
SELECT name FROM post WHERE name = ANY(:names::text[]) AND run = :run::integer;

-- name: give_up
DELETE FROM post WHERE run = :run::integer AND name IN (
    SELECT name FROM post WHERE name = ANY(:names::text[]) ORDER BY name FOR UPDATE
);

-- name: one_moment
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: changes
SELECT number FROM change_count;

-- name: documents
SELECT kind, id, row, account, version, body FROM document WHERE changed > :cursor::bigint ORDER BY row;

-- name: gone
SELECT kind, id, row FROM document_gone WHERE changed > :cursor::bigint ORDER BY changed, row;

-- name: versions
SELECT account, version FROM account_version WHERE changed > :cursor::bigint;

-- name: waiting
-- From endpoint to endpoint along the index: what waits for one is never walked through.
WITH RECURSIVE found AS (
    (SELECT endpoint, account FROM open_delivery ORDER BY endpoint LIMIT 1)
    UNION ALL
    SELECT following.endpoint, following.account FROM found CROSS JOIN LATERAL (
        SELECT o.endpoint, o.account FROM open_delivery AS o WHERE o.endpoint > found.endpoint
        ORDER BY o.endpoint LIMIT 1
    ) AS following
)
SELECT f.endpoint, f.account, (
    SELECT o.due_ms FROM open_delivery AS o
    WHERE o.endpoint = f.endpoint AND o.holder IS NULL AND o.state IN (0, 2) ORDER BY o.due_ms, o.id LIMIT 1
), (SELECT h.body FROM health AS h WHERE h.endpoint = f.endpoint)
FROM found AS f ORDER BY f.endpoint;

-- name: tell
SELECT pg_notify('whatsync', text) FROM unnest(:texts::text[]) AS text;
