-- Counts for charts.

-- name: lock_fold
SELECT pg_advisory_xact_lock(7, 2);

-- name: fold
WITH pending AS (
    DELETE FROM rollup_pending RETURNING account, endpoint, start_ms, outcome, bucket, count
)
INSERT INTO rollup (account, endpoint, start_ms, outcome, bucket, count)
SELECT account, endpoint, start_ms, outcome, bucket, sum(count) FROM pending
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (account, endpoint, start_ms, outcome, bucket) DO UPDATE SET count = rollup.count + excluded.count;

-- name: endpoints
WITH RECURSIVE found(endpoint) AS (
    SELECT min(endpoint) FROM rollup WHERE account = :account
    UNION ALL
    SELECT (SELECT min(endpoint) FROM rollup WHERE account = :account AND endpoint > found.endpoint)
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
