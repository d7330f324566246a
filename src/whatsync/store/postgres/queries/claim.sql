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

-- name: planned
-- Beside each: how long it may wait for its turn; the end of its last attempt, and what was due then.
WITH waiting AS MATERIALIZED (
    SELECT id, due_ms, endpoint, contact, turn, contact_wait_ms FROM open_delivery
    WHERE endpoint = :endpoint AND holder IS NULL AND state IN (0, 2)
        AND (due_ms, id) > (:after_due::bigint, :after_id::bigint)
    ORDER BY due_ms, id LIMIT :limit FOR UPDATE
)
SELECT w.id, w.due_ms,
    CASE WHEN w.contact IS NOT NULL AND EXISTS (
        SELECT 1 FROM open_delivery AS before
        WHERE before.endpoint = w.endpoint AND before.contact = w.contact AND before.turn < w.turn
    ) THEN w.contact_wait_ms END,
    a.finished_ms, a.due_ms
FROM waiting AS w LEFT JOIN LATERAL (
    SELECT started_ms + took_ms AS finished_ms, due_ms FROM attempt
    WHERE delivery = w.id AND day IN (((w.id >> 21) / 86400000)::integer, 0) ORDER BY claim DESC LIMIT 1
) AS a ON true
ORDER BY w.due_ms, w.id;

-- name: plan
UPDATE open_delivery AS o SET due_ms = given.due_ms
FROM unnest(:ids::bigint[], :dues::bigint[]) AS given(id, due_ms) WHERE o.id = given.id;

-- name: give_back
UPDATE open_delivery AS o SET holder = NULL, due_ms = :due_ms::bigint
FROM (
    SELECT o.id FROM unnest(:ids::bigint[], :claims::integer[]) AS given(id, claim)
    JOIN open_delivery AS o ON o.id = given.id AND o.claim = given.claim AND o.holder IS NOT NULL
    ORDER BY o.id FOR UPDATE OF o
) AS held WHERE o.id = held.id;
