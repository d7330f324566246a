-- Looking rows up by hash, and filling the runs.

-- name: events_above_mark
SELECT account, seq, id, keys FROM event WHERE seq > (SELECT row FROM mark WHERE name = 'looked_up');

-- name: remembered_above_mark
SELECT account, seq, id FROM remembered WHERE seq > (SELECT row FROM mark WHERE name = 'looked_up');

-- name: keys_above_mark
SELECT account, used, key FROM idempotency WHERE used > (SELECT row FROM mark WHERE name = 'looked_up');

-- name: runs
SELECT run, entries, last_row, filter FROM lookup_run WHERE kind = ? ORDER BY run;

-- name: identity_hashes
SELECT hash FROM identity WHERE run = ?;

-- name: identity_rows
SELECT row FROM identity WHERE run = ? AND hash = ?;

-- name: keyword_rows
SELECT row FROM keyword WHERE run = ? AND hash = ?;

-- name: fill_identity
INSERT OR IGNORE INTO identity (run, hash, row) VALUES {(?, ?, ?)};

-- name: fill_keyword
INSERT OR IGNORE INTO keyword (run, hash, row) VALUES {(?, ?, ?)};

-- name: put_run
INSERT INTO lookup_run (kind, run, entries, last_row, filter) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (kind, run) DO UPDATE SET entries = excluded.entries, last_row = excluded.last_row, filter = excluded.filter;

-- name: remove_run
DELETE FROM lookup_run WHERE kind = ? AND run = ?;

-- name: empty_identity
DELETE FROM identity
WHERE run = ?1 AND hash <= ifnull(
    (SELECT hash FROM identity WHERE run = ?1 ORDER BY hash LIMIT 1 OFFSET ?2), 9223372036854775807
);

-- name: empty_keyword
DELETE FROM keyword
WHERE run = ?1 AND hash <= ifnull(
    (SELECT hash FROM keyword WHERE run = ?1 ORDER BY hash LIMIT 1 OFFSET ?2), 9223372036854775807
);

-- name: forget_keyword
DELETE FROM keyword WHERE run IN (SELECT run FROM lookup_run WHERE kind = 1) AND hash = ? AND row = ?;

-- name: oldest_event
SELECT seq FROM event ORDER BY seq LIMIT 1;

-- name: oldest_key
SELECT used FROM idempotency ORDER BY used LIMIT 1;

-- name: set_mark
UPDATE mark SET row = ?2 WHERE name = ?1;

-- name: dead_identity
WITH RECURSIVE found(run) AS (
    SELECT min(run) FROM identity
    UNION ALL SELECT (SELECT min(run) FROM identity WHERE run > found.run) FROM found WHERE found.run IS NOT NULL
)
SELECT run FROM found WHERE run IS NOT NULL AND run NOT IN (SELECT run FROM lookup_run WHERE kind = ?);

-- name: dead_keyword
WITH RECURSIVE found(run) AS (
    SELECT min(run) FROM keyword
    UNION ALL SELECT (SELECT min(run) FROM keyword WHERE run > found.run) FROM found WHERE found.run IS NOT NULL
)
SELECT run FROM found WHERE run IS NOT NULL AND run NOT IN (SELECT run FROM lookup_run WHERE kind = ?);
