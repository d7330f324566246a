-- What is done and read when the store opens.

-- name: endpoints
WITH RECURSIVE found(endpoint) AS (
    SELECT min(endpoint) FROM delivery INDEXED BY delivery_queue WHERE queued = 1 AND state IN (0, 2)
    UNION ALL
    SELECT (
        SELECT min(endpoint) FROM delivery INDEXED BY delivery_queue
        WHERE endpoint > found.endpoint AND queued = 1 AND state IN (0, 2)
    )
    FROM found WHERE found.endpoint IS NOT NULL
)
SELECT endpoint FROM found WHERE endpoint IS NOT NULL;

-- name: take_back_tail
UPDATE delivery SET in_flight = 0, queued = 1, at_ms = ? WHERE id > ? AND state = 0 AND queued = 0;

-- name: take_back
UPDATE delivery INDEXED BY delivery_queue SET in_flight = 0, at_ms = ?
WHERE endpoint = ? AND in_flight = 1 AND queued = 1 AND state IN (0, 2);

-- name: begin_run
INSERT INTO run (started_ms, version) VALUES (?, ?) RETURNING id;

-- name: count_open
SELECT endpoint, state, count(*) FROM delivery INDEXED BY delivery_open WHERE queued = 1 GROUP BY endpoint, state;

-- name: account_of
SELECT account FROM delivery INDEXED BY delivery_open WHERE endpoint = ? AND queued = 1 LIMIT 1;

-- name: next_due
SELECT at_ms FROM delivery INDEXED BY delivery_queue
WHERE endpoint = ? AND in_flight = 0 AND queued = 1 AND state IN (0, 2)
ORDER BY at_ms LIMIT 1;

-- name: health
SELECT endpoint, body FROM health ORDER BY endpoint;
