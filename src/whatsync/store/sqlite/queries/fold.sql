-- Entering the tail into the indexes that are tables of their own. ?1 is the mark, ?2 the new one. The rows are those of
-- one part (?4, from 0) of the accounts or endpoints, which are spread over ?3 parts.

-- name: fold_until
SELECT min(
    ifnull((SELECT seq FROM event WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT 1 OFFSET ?3), ?2),
    ifnull((SELECT id FROM delivery WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT 1 OFFSET ?3), ?2)
);

-- name: fold_count
SELECT * FROM
    (SELECT count(*), count(DISTINCT account) FROM event WHERE seq > ?1 AND seq <= ?2),
    (SELECT count(*), count(DISTINCT account), count(DISTINCT endpoint) FROM delivery WHERE id > ?1 AND id <= ?2);

-- name: fold_event_type
INSERT OR IGNORE INTO event_by_type (account, type, event)
SELECT account, type, seq FROM event
WHERE seq > ?1 AND seq <= ?2 AND (account * 40503 >> 8) % ?3 = ?4
ORDER BY account, type, seq;

-- name: fold_event_number
INSERT OR IGNORE INTO event_by_number (account, number, event)
SELECT account, number, seq FROM event
WHERE seq > ?1 AND seq <= ?2 AND (account * 40503 >> 8) % ?3 = ?4 AND number IS NOT NULL
ORDER BY account, number, seq;

-- name: fold_endpoint
INSERT OR IGNORE INTO delivery_by_endpoint (endpoint, delivery)
SELECT endpoint, id FROM delivery
WHERE id > ?1 AND id <= ?2 AND (endpoint * 40503 >> 8) % ?3 = ?4
ORDER BY endpoint, id;

-- name: fold_type
INSERT OR IGNORE INTO delivery_by_type (account, type, delivery)
SELECT account, type, id FROM delivery
WHERE id > ?1 AND id <= ?2 AND (account * 40503 >> 8) % ?3 = ?4
ORDER BY account, type, id;

-- name: fold_number
INSERT OR IGNORE INTO delivery_by_number (account, number, delivery)
SELECT account, number, id FROM delivery
WHERE id > ?1 AND id <= ?2 AND (account * 40503 >> 8) % ?3 = ?4 AND number IS NOT NULL
ORDER BY account, number, id;

-- name: fold_queued
UPDATE delivery SET queued = 1 WHERE id > ?1 AND id <= ?2 AND queued = 0 AND state = 0;

-- name: set_folded
UPDATE mark SET row = max(row, ?) WHERE name = 'folded';

-- name: late_event_type
INSERT OR IGNORE INTO event_by_type (account, type, event)
SELECT account, type, seq FROM event WHERE seq IN ({?});

-- name: late_event_number
INSERT OR IGNORE INTO event_by_number (account, number, event)
SELECT account, number, seq FROM event WHERE seq IN ({?}) AND number IS NOT NULL;

-- name: late_endpoint
INSERT OR IGNORE INTO delivery_by_endpoint (endpoint, delivery)
SELECT endpoint, id FROM delivery WHERE id IN ({?});

-- name: late_type
INSERT OR IGNORE INTO delivery_by_type (account, type, delivery)
SELECT account, type, id FROM delivery WHERE id IN ({?});

-- name: late_number
INSERT OR IGNORE INTO delivery_by_number (account, number, delivery)
SELECT account, number, id FROM delivery WHERE id IN ({?}) AND number IS NOT NULL;
