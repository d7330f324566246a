-- Which migrations a database has been through.

-- name: lock_in_transaction
SELECT pg_advisory_xact_lock(7, 0);

-- name: exists
SELECT to_regclass('whatsync_schema') IS NOT NULL;

-- name: make
CREATE TABLE IF NOT EXISTS whatsync_schema (number integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());

-- name: version
SELECT coalesce(max(number), 0) FROM whatsync_schema;

-- name: note
INSERT INTO whatsync_schema (number) VALUES (:number::integer);

-- name: tables
SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p');

-- name: size
SELECT pg_database_size(current_database());

-- name: server
SELECT current_setting('server_version');
