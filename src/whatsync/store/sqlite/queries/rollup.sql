-- Counts for charts.

-- name: insert_pending
INSERT INTO rollup_pending (body) VALUES (?);

-- name: pending
SELECT id, body FROM rollup_pending ORDER BY id;

-- name: delete_pending
DELETE FROM rollup_pending WHERE id <= ?;

-- name: add
INSERT INTO rollup (account, endpoint, start_ms, outcome, bucket, count) VALUES {(?, ?, ?, ?, ?, ?)}
ON CONFLICT (account, endpoint, start_ms, outcome, bucket) DO UPDATE SET count = count + excluded.count;

-- name: add_long
INSERT INTO rollup_long (account, endpoint, step_ms, start_ms, outcome, bucket, count) VALUES {(?, ?, ?, ?, ?, ?, ?)}
ON CONFLICT (account, endpoint, step_ms, start_ms, outcome, bucket) DO UPDATE SET count = count + excluded.count;

-- name: endpoints
-- Whole days are the last to go.
WITH RECURSIVE found(endpoint) AS (
    SELECT min(endpoint) FROM rollup_long WHERE account = ?1
    UNION ALL
    SELECT (SELECT min(endpoint) FROM rollup_long WHERE account = ?1 AND endpoint > found.endpoint)
    FROM found WHERE found.endpoint IS NOT NULL
)
SELECT endpoint FROM found WHERE endpoint IS NOT NULL;

-- name: add_hours
INSERT INTO rollup (account, endpoint, start_ms, outcome, bucket, count)
SELECT account, endpoint, start_ms - start_ms % 3600000, outcome, bucket, sum(count)
FROM rollup
WHERE account = ?1 AND endpoint = ?2 AND start_ms >= ?3 AND start_ms < ?4 AND start_ms % 3600000 <> 0
GROUP BY 2, 3, 4, 5
ON CONFLICT (account, endpoint, start_ms, outcome, bucket) DO UPDATE SET count = count + excluded.count;

-- name: delete_minutes
DELETE FROM rollup
WHERE account = ?1 AND endpoint = ?2 AND start_ms >= ?3 AND start_ms < ?4 AND start_ms % 3600000 <> 0;

-- name: expire
DELETE FROM rollup WHERE account = ?1 AND endpoint = ?2 AND start_ms <= ?3;

-- name: expire_long
DELETE FROM rollup_long WHERE account = ?1 AND endpoint = ?2 AND step_ms = ?3 AND start_ms <= ?4;

-- name: hours_mark
SELECT row FROM mark WHERE name = ?;

-- name: set_hours_mark
INSERT INTO mark (name, row) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET row = excluded.row;
