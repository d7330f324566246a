-- Claiming and giving back.

-- name: claimed_columns
t.id, t.claim, t.attempts, t.state, t.contact, t.origin,
e.seq, e.account, e.id, e.type, e.body, e.details, e.number, e.contact, e.keys, e.test, e.deliveries

-- name: taken
taken AS (
    UPDATE open_delivery AS o SET holder = :run::integer, claim = o.claim + 1, due_ms = NULL
    FROM due WHERE o.id = due.id
    RETURNING o.id, o.event, o.claim, o.attempts, o.state, o.contact, o.origin, due.due_ms
)

-- name: claimed
SELECT <claimed_columns>
FROM taken AS t JOIN event AS e ON e.seq = t.event AND e.day IN (((t.event >> 21) / 86400000)::integer, 0)

-- name: due
WITH due AS MATERIALIZED (
    SELECT id, due_ms FROM open_delivery
    WHERE endpoint = :endpoint AND holder IS NULL AND state IN (0, 2) AND due_ms <= :now::bigint
    ORDER BY due_ms, id LIMIT :limit FOR UPDATE SKIP LOCKED
), <taken>
<claimed> ORDER BY t.due_ms, t.id;

-- name: retrying
WITH due AS MATERIALIZED (
    SELECT id, id AS due_ms FROM open_delivery
    WHERE endpoint = :endpoint AND state = 2 AND holder IS NULL
    ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
), <taken>
<claimed> ORDER BY t.id;

-- name: next_due
SELECT due_ms FROM open_delivery
WHERE endpoint = :endpoint AND holder IS NULL AND state IN (0, 2) ORDER BY due_ms, id LIMIT 1;

-- name: give_back
UPDATE open_delivery AS o SET holder = NULL, due_ms = :due_ms::bigint
FROM (
    SELECT o.id FROM unnest(:ids::bigint[], :claims::integer[]) AS given(id, claim)
    JOIN open_delivery AS o ON o.id = given.id AND o.claim = given.claim AND o.holder IS NOT NULL
    ORDER BY o.id FOR UPDATE OF o
) AS held WHERE o.id = held.id;
