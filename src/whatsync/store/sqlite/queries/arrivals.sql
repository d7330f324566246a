-- What sources bring.

-- name: contact_version
SELECT version FROM contact WHERE account = ? AND id = ?;

-- name: put_contact
INSERT INTO contact (account, id, version, seen_ms, phone, user_id, name) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account, id) DO UPDATE SET
    version = excluded.version, seen_ms = excluded.seen_ms, phone = excluded.phone, user_id = excluded.user_id,
    name = excluded.name;

-- name: put_word
INSERT INTO contact_word (account, word, contact) VALUES (?, ?, ?)
ON CONFLICT (account, word) DO UPDATE SET contact = excluded.contact WHERE contact <> excluded.contact;

-- name: insert_body
INSERT INTO source_body (seq, source, test, updates, body) VALUES (?, ?, ?, ?, ?);

-- name: erase_body
UPDATE source_body SET body = ? WHERE seq = ?;

-- name: settle_body
DELETE FROM set_aside WHERE body = ?;

-- name: insert_set_aside
INSERT INTO set_aside (seq, body, source, account, count, reason, path, sentence, number, reference)
VALUES {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)};

-- name: count_arrivals
INSERT INTO arrival_count (source, number, start_ms, what, count, first_ms, last_ms)
VALUES {(?, ?, ?, ?, ?, ?, ?)}
ON CONFLICT (source, number, start_ms, what) DO UPDATE SET
    count = count + excluded.count, first_ms = min(first_ms, excluded.first_ms),
    last_ms = max(last_ms, excluded.last_ms);

-- name: old_bodies
SELECT seq FROM source_body INDEXED BY source_body_by_source WHERE source = ? AND seq < ? ORDER BY seq LIMIT ?;

-- name: remove_bodies
DELETE FROM source_body WHERE seq IN ({?});

-- name: remove_set_aside
DELETE FROM set_aside WHERE body IN ({?});

-- name: expire_counts
DELETE FROM arrival_count WHERE source = ? AND start_ms < ?;

-- name: some_contacts
SELECT id FROM contact WHERE account = ? ORDER BY id LIMIT ?;

-- name: remove_contact
DELETE FROM contact WHERE account = ? AND id = ?;

-- name: remove_words
DELETE FROM contact_word WHERE account = ? AND contact = ?;

-- name: contacts_of_words
SELECT DISTINCT contact FROM contact_word WHERE word IN ({?}) AND account = ?;

-- name: contact
SELECT account, id, version, seen_ms, phone, user_id, name FROM contact WHERE account = ? AND id = ?;

-- name: words_of_contact
SELECT word FROM contact_word INDEXED BY contact_word_by_contact WHERE account = ? AND contact = ? ORDER BY word;

-- name: bodies
SELECT seq, source, x'', updates, test FROM source_body WHERE source = ? AND seq < ? ORDER BY seq DESC LIMIT ?;

-- name: body
SELECT seq, source, body, updates, test FROM source_body WHERE seq = ?;

-- name: set_aside_of_source
SELECT seq, body, source, account, reason, path, sentence, number, reference, count
FROM set_aside INDEXED BY set_aside_source
WHERE source = ?1 AND seq < ?2
    AND (?3 IS NULL OR account = ?3) AND (?4 IS NULL OR number = ?4) AND (?5 IS NULL OR reason = ?5)
    AND (?6 IS NULL OR reference = ?6)
ORDER BY seq DESC LIMIT ?7;

-- name: set_aside_of_number
SELECT seq, body, source, account, reason, path, sentence, number, reference, count
FROM set_aside INDEXED BY set_aside_number
WHERE number = ?4 AND number IS NOT NULL AND seq < ?2
    AND (?1 IS NULL OR source = ?1) AND (?3 IS NULL OR account = ?3) AND (?5 IS NULL OR reason = ?5)
    AND (?6 IS NULL OR reference = ?6)
ORDER BY seq DESC LIMIT ?7;

-- name: set_aside_of_reference
SELECT seq, body, source, account, reason, path, sentence, number, reference, count
FROM set_aside INDEXED BY set_aside_reference
WHERE reference = ?6 AND reference IS NOT NULL AND seq < ?2
    AND (?1 IS NULL OR source = ?1) AND (?3 IS NULL OR account = ?3) AND (?4 IS NULL OR number = ?4)
    AND (?5 IS NULL OR reason = ?5)
ORDER BY seq DESC LIMIT ?7;

-- name: set_aside
SELECT seq, body, source, account, reason, path, sentence, number, reference, count
FROM set_aside
WHERE seq < ?2
    AND (?1 IS NULL OR source = ?1) AND (?3 IS NULL OR account = ?3) AND (?4 IS NULL OR number = ?4)
    AND (?5 IS NULL OR reason = ?5) AND (?6 IS NULL OR reference = ?6)
ORDER BY seq DESC LIMIT ?7;

-- name: arrivals
SELECT source, number, start_ms, what, count, first_ms, last_ms
FROM arrival_count INDEXED BY arrival_count_by_time
WHERE source = ? AND start_ms >= ? AND start_ms < ?
ORDER BY start_ms, number, what;

-- name: arrivals_of_number
SELECT source, number, start_ms, what, count, first_ms, last_ms
FROM arrival_count WHERE source = ? AND number = ? AND start_ms >= ? AND start_ms < ?
ORDER BY start_ms, what;
