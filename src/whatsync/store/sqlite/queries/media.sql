-- Media files: their rows.

-- name: insert
INSERT INTO media (
    name, account, event, id, state, created_ms, changed_ms, due_ms, size, mime_type, reason, sha256, task,
    claimed, claim, attempts
) VALUES {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0)} ON CONFLICT (name) DO NOTHING;

-- name: due
SELECT account, due_ms, name FROM media INDEXED BY media_due WHERE due_ms IS NOT NULL AND due_ms <= ?
ORDER BY due_ms, name LIMIT ?;

-- name: firsts
WITH RECURSIVE walk (account, nth) AS (
    SELECT (SELECT account FROM media INDEXED BY media_turn WHERE due_ms IS NOT NULL AND account > ?
        ORDER BY account LIMIT 1), 1
    UNION ALL
    SELECT (SELECT account FROM media INDEXED BY media_turn WHERE due_ms IS NOT NULL AND account > walk.account
        ORDER BY account LIMIT 1), nth + 1
    FROM walk WHERE account IS NOT NULL AND nth < ?
)
SELECT m.account, m.due_ms, m.name FROM walk CROSS JOIN media AS m ON m.rowid = (
    SELECT rowid FROM media INDEXED BY media_turn WHERE due_ms IS NOT NULL AND account = walk.account
    ORDER BY due_ms, name LIMIT 1
) WHERE walk.account IS NOT NULL;

-- name: due_of
SELECT account, due_ms, name FROM media INDEXED BY media_turn
WHERE due_ms IS NOT NULL AND account = ? AND due_ms <= ? ORDER BY due_ms, name LIMIT ?;

-- name: claim
UPDATE media SET claimed = 1, claim = claim + 1, due_ms = ? WHERE name = ?
RETURNING name, account, event, id, created_ms, state, due_ms, mime_type, size, sha256, task, claim, attempts, reason,
    changed_ms;

-- name: planned
SELECT name, due_ms, changed_ms, claimed FROM media INDEXED BY media_due
WHERE due_ms IS NOT NULL AND due_ms >= ?1 AND (due_ms > ?1 OR name > ?2) ORDER BY due_ms, name LIMIT ?3;

-- name: plan
UPDATE media SET due_ms = ?, changed_ms = ? WHERE name = ?;

-- name: record
UPDATE media SET
    state = ?, changed_ms = ?, due_ms = ?, size = ?, sha256 = ?, reason = ?,
    mime_type = ifnull(?, mime_type), event = ifnull(?, event),
    task = CASE WHEN ? THEN task ELSE x'' END, claimed = 0, attempts = attempts + 1
WHERE name = ? AND claim = ? AND claimed = 1;

-- name: remove
UPDATE media SET state = 3, reason = ?, changed_ms = ?, due_ms = ?, claim = claim + 1, claimed = 0, task = x''
WHERE name = ? AND account = ? AND state <> 3;

-- name: expire
UPDATE media SET state = 3, reason = 'expired', changed_ms = ?, due_ms = ?, claim = claim + 1, claimed = 0, task = x''
WHERE name IN (SELECT name FROM media WHERE event = ? AND state < 2);

-- name: forget
DELETE FROM media WHERE rowid IN (
    SELECT rowid FROM media INDEXED BY media_ended WHERE state > 1 AND due_ms IS NULL AND changed_ms < ?
    ORDER BY changed_ms LIMIT ?
);

-- name: take_back
UPDATE media SET claimed = 0, due_ms = ? WHERE claimed = 1;
