-- Connections, the fate of transactions, words, days, runs.

-- name: begin
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;

-- name: begin_held
-- The numbers are filled in, since both go to the server at once.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SELECT hold_run({run}, {line}, {number});

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: safety
SELECT
    current_setting('server_version_num')::integer,
    current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
    pg_is_in_recovery(), current_setting('server_encoding');

-- name: fate
-- The last number on a line, once nothing is under way on it any more. That it is written again makes sure that all
-- before it is where acknowledged things have to be: on the synchronous standby, too.
INSERT INTO mark (run, line, number) VALUES (:run::integer, :line::integer, -1)
ON CONFLICT (run, line) DO UPDATE SET number = mark.number RETURNING number;

-- name: probe
-- Something is written and committed as accepted events are. Nobody asks for it.
INSERT INTO mark (run, line, number) VALUES (0, pg_backend_pid(), 0)
ON CONFLICT (run, line) DO UPDATE SET number = mark.number + 1;

-- name: probe_room
-- A full disk may still have room for a mark: more is written, and thrown away.
BEGIN;
CREATE TEMPORARY TABLE whatsync_room ON COMMIT DROP AS SELECT repeat('x', 1000) FROM generate_series(1, 1000);
COMMIT;

-- name: alive
SELECT 1;

-- name: word_numbers
SELECT id, text FROM word WHERE text = ANY(:texts::bytea[]);

-- name: add_words
INSERT INTO word (text) SELECT * FROM unnest(:texts::bytea[]) AS given ORDER BY given ON CONFLICT DO NOTHING;

-- name: word_texts
SELECT id, text FROM word WHERE id = ANY(:ids::integer[]);

-- name: add_types
INSERT INTO account_type (account, type)
SELECT DISTINCT * FROM unnest(:accounts::integer[], :types::integer[]) ORDER BY 1, 2 ON CONFLICT DO NOTHING;

-- name: types_of
SELECT array_agg(type) FROM account_type WHERE account = :account;

-- name: lock_days
SELECT pg_advisory_xact_lock(7, 1);

-- name: days
SELECT substring(c.relname FROM 7)::integer
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'event'::regclass AND c.relname ~ '^event_[1-9][0-9]*$'
ORDER BY 1;

-- name: make_day
SELECT make_day(:day::integer);

-- name: drop_day
SELECT drop_day(:day::integer);

-- name: short_waits
SET LOCAL lock_timeout = '300ms';

-- name: today
SELECT (extract(epoch FROM now()) / 86400)::integer;

-- name: secret
SELECT value FROM meta WHERE name = 'hash_key';
