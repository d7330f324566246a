-- Configuration.

-- name: all
SELECT kind, id, row, account, version, body FROM document ORDER BY row;

-- name: find
SELECT kind, id, row, account, version, body FROM document WHERE kind = ? AND id = ?;

-- name: put
INSERT INTO document (kind, id, account, version, body) VALUES (?, ?, ?, 1, ?)
ON CONFLICT (kind, id) DO UPDATE SET account = excluded.account, version = version + 1, body = excluded.body
RETURNING kind, id, row, account, version, body;

-- name: put_version
INSERT OR REPLACE INTO document_version (kind, row, version, id, account, body) VALUES (?, ?, ?, ?, ?, ?);

-- name: end_versions
UPDATE document_version SET until_row = ? WHERE kind = ? AND row = ? AND until_row IS NULL;

-- name: delete
DELETE FROM document WHERE kind = ? AND id = ? RETURNING row;

-- name: forget_health
DELETE FROM health WHERE endpoint = ?;

-- name: audit
INSERT INTO audit (account, at_ms, actor, action, subject, before, after) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: put_account_version
INSERT INTO account_version (account, version) VALUES (?, ?)
ON CONFLICT (account) DO UPDATE SET version = excluded.version;
