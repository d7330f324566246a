-- Configuration. A change locks its account first, so that no admission is routed with what it replaces.

-- name: lock_account
SELECT pg_advisory_xact_lock(1, :account::integer);

-- name: all
SELECT kind, id, row, account, version, body FROM document ORDER BY row;

-- name: find
SELECT version FROM document WHERE kind = :kind AND id = :id FOR UPDATE;

-- name: put
INSERT INTO document (kind, id, account, version, body)
VALUES (:kind::text, :id::bytea, :account::integer, 1, :body::bytea)
ON CONFLICT (kind, id) DO UPDATE SET account = excluded.account, version = document.version + 1, body = excluded.body
RETURNING kind, id, row, account, version, body;

-- name: put_new
INSERT INTO document (kind, id, account, version, body)
VALUES (:kind::text, :id::bytea, :account::integer, 1, :body::bytea)
ON CONFLICT (kind, id) DO NOTHING
RETURNING kind, id, row, account, version, body;

-- name: put_version
INSERT INTO document_version (kind, row, version, id, account, body)
SELECT kind, row, version, id, account, body FROM document WHERE row = :row
ON CONFLICT (kind, row, version) DO UPDATE SET id = excluded.id, account = excluded.account, body = excluded.body;

-- name: delete
DELETE FROM document WHERE kind = :kind AND id = :id RETURNING row;

-- name: end_versions
-- From here on no new delivery uses the version that was the present one.
UPDATE document_version SET until_row = greatest(
    0, (SELECT max(seq) FROM event), (SELECT max(id) FROM delivery), (SELECT max(seq) FROM remembered)
)
WHERE kind = :kind AND row = :row AND until_row IS NULL;

-- name: forget_health
DELETE FROM health WHERE endpoint = :endpoint;

-- name: audit
INSERT INTO audit (account, at_ms, actor, action, subject, before, after)
VALUES (:account, :at_ms, :actor, :action, :subject, :before, :after);

-- name: stamp
-- The last thing before the commit: the number of this change, on all that it has changed.
WITH counted AS (
    UPDATE change_count SET number = number + 1 RETURNING number
), present AS (
    UPDATE document SET changed = number FROM counted WHERE row = ANY(:rows::integer[])
), gone AS (
    INSERT INTO document_gone (row, changed, kind, id)
    SELECT row, number, kind, id FROM counted
    CROSS JOIN unnest(:gone::integer[], :kinds::text[], :ids::bytea[]) AS given(row, kind, id)
)
UPDATE account_version SET changed = number FROM counted WHERE account = :account::integer AND :routing::boolean;

-- name: raise_version
INSERT INTO account_version (account, version) VALUES (:account, 1)
ON CONFLICT (account) DO UPDATE SET version = account_version.version + 1 RETURNING version;

-- name: version
SELECT version FROM account_version WHERE account = :account;

-- name: versions
SELECT account, version FROM account_version;

-- name: take_new
-- The ids that nobody had.
INSERT INTO event_id (account, id, seq)
SELECT account, id, seq FROM unnest(:accounts::integer[], :ids::bytea[], :seqs::bigint[])
    WITH ORDINALITY AS given(account, id, seq, nth)
ORDER BY account, id, nth ON CONFLICT DO NOTHING RETURNING seq;
