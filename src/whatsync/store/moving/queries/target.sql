-- What is written to the PostgreSQL database beside the rows themselves.

-- name: no_hurry
SET statement_timeout = 0;

-- name: no_hurry_idle
SET idle_in_transaction_session_timeout = 0;

-- name: begin
BEGIN;

-- name: commit
COMMIT;

-- name: alone
-- One move at a time; the lock lasts as long as the connection.
SELECT pg_try_advisory_lock(7, 5);

-- name: in_use
SELECT EXISTS (SELECT 1 FROM run) OR EXISTS (SELECT 1 FROM document) OR EXISTS (SELECT 1 FROM event);

-- name: no_words
DELETE FROM word;

-- name: note
INSERT INTO meta (name, value) VALUES (:name::text, :value::bytea)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: noted
SELECT value FROM meta WHERE name = :name;

-- name: forget
DELETE FROM meta WHERE name = 'moving' OR name LIKE 'moving %';

-- name: make_day
SELECT make_day(:day::integer);

-- name: number_runs
SELECT setval(pg_get_serial_sequence('run', 'id'), greatest(1, (SELECT max(id) FROM run), :least::bigint));

-- name: number_words
SELECT setval(pg_get_serial_sequence('word', 'id'), greatest(1, (SELECT max(id) FROM word)));

-- name: number_documents
SELECT setval(
    pg_get_serial_sequence('document', 'row'), greatest(1, (SELECT max(row) FROM document), :least::bigint)
);

-- name: number_audit
SELECT setval(pg_get_serial_sequence('audit', 'id'), greatest(1, (SELECT max(id) FROM audit), :least::bigint));

-- name: number_turns
SELECT setval('turn_number', greatest(1, (SELECT max(turn) FROM open_delivery)));

-- name: rows
SELECT {columns} FROM {table};

-- name: analyze
ANALYZE;
