-- What the writer keeps in memory.

-- name: make_secret
INSERT OR IGNORE INTO meta (name, value) VALUES ('hash_key', randomblob(32));

-- name: secret
SELECT value FROM meta WHERE name = 'hash_key';

-- name: marks
SELECT name, row FROM mark;

-- name: versions
SELECT account, version FROM account_version;

-- name: top
SELECT
    max(
        ifnull((SELECT max(seq) FROM event), 0),
        ifnull((SELECT max(id) FROM delivery), 0),
        ifnull((SELECT max(seq) FROM remembered), 0),
        ifnull((SELECT max(used) FROM idempotency), 0),
        (SELECT max(row) FROM mark WHERE name IN ('folded', 'looked_up'))
    ),
    max(
        ifnull((SELECT max(seq) FROM event), 0),
        ifnull((SELECT max(place) FROM event WHERE place IS NOT NULL), 0),
        ifnull((SELECT max(place) FROM feed_floor), 0)
    );

-- name: tail
SELECT (SELECT count(*) FROM event WHERE seq > ?) + (SELECT count(*) FROM delivery WHERE id > ?);

-- name: count_pending_rollups
SELECT count(*) FROM rollup_pending;

-- name: commit_number
SELECT number FROM committed;

-- name: count_commit
UPDATE committed SET number = number + 1;
