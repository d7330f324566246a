-- Counts for charts.

-- name: lock_fold
SELECT pg_advisory_xact_lock(7, 2);

-- name: fold
WITH pending AS (
    DELETE FROM rollup_pending RETURNING account, endpoint, start_ms, outcome, bucket, count
), minutes AS (
    INSERT INTO rollup (account, endpoint, start_ms, outcome, bucket, count)
    SELECT account, endpoint, start_ms, outcome, bucket, sum(count) FROM pending
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (account, endpoint, start_ms, outcome, bucket) DO UPDATE SET count = rollup.count + excluded.count
)
INSERT INTO rollup_long (account, endpoint, step_ms, start_ms, outcome, bucket, count)
SELECT p.account, p.endpoint, s.step_ms, p.start_ms - p.start_ms % s.step_ms, p.outcome, p.bucket, sum(p.count)
FROM pending AS p CROSS JOIN (VALUES (3600000), (86400000)) AS s (step_ms)
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
ON CONFLICT (account, endpoint, step_ms, start_ms, outcome, bucket)
DO UPDATE SET count = rollup_long.count + excluded.count;

-- name: count_waiting
INSERT INTO rollup_pending (account, endpoint, start_ms, outcome, bucket, count)
SELECT s.account, t.endpoint, s.start_ms, :outcome::integer, s.bucket, 1
FROM unnest(:accounts::integer[], :endpoints::integer[], :starts::bigint[], :buckets::smallint[])
    AS s (account, endpoint, start_ms, bucket)
CROSS JOIN LATERAL (VALUES (s.endpoint), (0)) AS t (endpoint);

-- name: endpoints
-- Whole days are the last to go.
WITH RECURSIVE found(endpoint) AS (
    SELECT min(endpoint) FROM rollup_long WHERE account = :account
    UNION ALL
    SELECT (SELECT min(endpoint) FROM rollup_long WHERE account = :account AND endpoint > found.endpoint)
    FROM found WHERE found.endpoint IS NOT NULL
)
SELECT endpoint FROM found WHERE endpoint IS NOT NULL;

-- name: mark
SELECT until_ms FROM rollup_mark WHERE account = :account AND endpoint = :endpoint;

-- name: set_mark
INSERT INTO rollup_mark (account, endpoint, until_ms) VALUES (:account, :endpoint, :until)
ON CONFLICT (account, endpoint) DO UPDATE SET until_ms = excluded.until_ms;

-- name: expire
DELETE FROM rollup WHERE account = :account AND endpoint = :endpoint AND start_ms <= :before::bigint;

-- name: expire_long
DELETE FROM rollup_long
WHERE account = :account AND endpoint = :endpoint AND step_ms = :step::integer AND start_ms <= :before::bigint;

-- name: join_hours
WITH minutes AS (
    DELETE FROM rollup
    WHERE account = :account AND endpoint = :endpoint AND start_ms >= :since::bigint AND start_ms < :until::bigint
    AND start_ms % 3600000 <> 0
    RETURNING start_ms, outcome, bucket, count
)
INSERT INTO rollup (account, endpoint, start_ms, outcome, bucket, count)
SELECT :account, :endpoint, start_ms - start_ms % 3600000, outcome, bucket, sum(count) FROM minutes
GROUP BY 3, 4, 5 ORDER BY 3, 4, 5
ON CONFLICT (account, endpoint, start_ms, outcome, bucket) DO UPDATE SET count = rollup.count + excluded.count;
