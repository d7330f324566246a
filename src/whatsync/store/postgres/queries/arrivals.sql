-- What sources bring.

-- name: put_contacts
-- Only where the stored version is the one that was expected; gives those it was so for.
INSERT INTO contact (account, version, seen_ms, id, phone, user_id, name)
SELECT account, version, seen_ms, id, phone, user_id, name FROM unnest(
    :accounts::integer[], :versions::integer[], :expected::integer[], :seen::bigint[], :ids::bytea[],
    :phones::bytea[], :user_ids::bytea[], :names::bytea[]
) AS given(account, version, expected, seen_ms, id, phone, user_id, name)
WHERE expected = 0 OR EXISTS (
    SELECT 1 FROM contact AS c WHERE c.account = given.account AND c.id = given.id AND c.version = given.expected
)
ORDER BY account, id
ON CONFLICT (account, id) DO UPDATE SET
    version = excluded.version, seen_ms = excluded.seen_ms, phone = excluded.phone, user_id = excluded.user_id,
    name = excluded.name
WHERE contact.version = (
    SELECT g.expected FROM unnest(:accounts::integer[], :expected::integer[], :ids::bytea[])
        AS g(account, expected, id)
    WHERE g.account = excluded.account AND g.id = excluded.id
)
RETURNING account, id;

-- name: contact_versions
SELECT c.account, c.id, c.version FROM unnest(:accounts::integer[], :ids::bytea[]) AS asked(account, id)
JOIN contact AS c ON c.account = asked.account AND c.id = asked.id;

-- name: put_words
INSERT INTO contact_word (account, word, contact)
SELECT * FROM unnest(:accounts::integer[], :words::bytea[], :contacts::bytea[]) AS given(account, word, contact)
ORDER BY account, word
ON CONFLICT (account, word) DO UPDATE SET contact = excluded.contact
WHERE contact_word.contact <> excluded.contact;

-- name: insert_bodies
INSERT INTO source_body (seq, source, updates, test, body)
SELECT * FROM unnest(:seqs::bigint[], :sources::integer[], :updates::integer[], :tests::boolean[], :bodies::bytea[]);

-- name: erase_body
UPDATE source_body SET body = :body WHERE seq = :seq;

-- name: settle_bodies
DELETE FROM set_aside WHERE body = ANY(:bodies::bigint[]);

-- name: insert_set_aside
INSERT INTO set_aside (seq, body, source, account, count, reason, path, sentence, number, reference)
SELECT * FROM unnest(
    :seqs::bigint[], :bodies::bigint[], :sources::integer[], :accounts::integer[], :counts::integer[],
    :reasons::bytea[], :paths::bytea[], :sentences::bytea[], :numbers::bytea[], :references::bytea[]
);

-- name: count_arrivals
INSERT INTO arrival_count (source, start_ms, number, what, count, first_ms, last_ms)
SELECT source, start_ms, number, what, sum(count), min(first_ms), max(last_ms) FROM unnest(
    :sources::integer[], :starts::bigint[], :numbers::bytea[], :whats::bytea[], :counts::bigint[], :firsts::bigint[],
    :lasts::bigint[]
) AS given(source, start_ms, number, what, count, first_ms, last_ms)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 3, 2, 4
ON CONFLICT (source, number, start_ms, what) DO UPDATE SET
    count = arrival_count.count + excluded.count,
    first_ms = least(arrival_count.first_ms, excluded.first_ms),
    last_ms = greatest(arrival_count.last_ms, excluded.last_ms);

-- name: old_bodies
SELECT seq FROM source_body WHERE source = :source AND seq < :before::bigint
ORDER BY seq LIMIT :limit::integer FOR UPDATE;

-- name: remove_bodies
DELETE FROM source_body WHERE seq = ANY(:seqs::bigint[]);

-- name: expire_counts
DELETE FROM arrival_count WHERE source = :source AND start_ms < :before_ms::bigint;

-- name: some_contacts
SELECT id FROM contact WHERE account = :account ORDER BY id LIMIT :limit::integer;

-- name: remove_contacts
DELETE FROM contact WHERE account = :account AND id = ANY(:ids::bytea[]) RETURNING id;

-- name: remove_words
DELETE FROM contact_word WHERE account = :account AND contact = ANY(:ids::bytea[]);

-- name: contacts
SELECT c.account, c.id, c.version, c.seen_ms, c.phone, c.user_id, c.name, array(
    SELECT w.word FROM contact_word AS w WHERE w.account = c.account AND w.contact = c.id ORDER BY w.word
)
FROM contact AS c WHERE c.account = :account AND c.id IN (
    SELECT contact FROM contact_word WHERE account = :account AND word = ANY(:words::bytea[])
) ORDER BY c.id;

-- name: bodies
SELECT seq, source, ''::bytea, updates, test FROM source_body
WHERE source = :source AND seq < :before::bigint ORDER BY seq DESC LIMIT :limit::integer;

-- name: body
SELECT seq, source, body, updates, test FROM source_body WHERE seq = :seq;

-- name: set_aside_head
SELECT seq, body, source, account, reason, path, sentence, number, reference, count FROM set_aside WHERE

-- name: set_aside_tail
AND seq < :before::bigint
AND (:source::integer IS NULL OR source = :source::integer)
AND (:account::integer IS NULL OR account = :account::integer)
AND (:number::bytea IS NULL OR number = :number::bytea)
AND (:reason::bytea IS NULL OR reason = :reason::bytea)
AND (:reference::bytea IS NULL OR reference = :reference::bytea)
ORDER BY seq DESC LIMIT :limit::integer

-- name: set_aside_of_reference
<set_aside_head> reference = :reference::bytea AND reference IS NOT NULL <set_aside_tail>

-- name: set_aside_of_number
<set_aside_head> number = :number::bytea AND number IS NOT NULL <set_aside_tail>

-- name: set_aside_of_source
<set_aside_head> source = :source::integer <set_aside_tail>

-- name: set_aside
<set_aside_head> true <set_aside_tail>

-- name: arrivals
SELECT source, number, start_ms, what, count, first_ms, last_ms FROM arrival_count
WHERE source = :source AND start_ms >= :since::bigint AND start_ms < :until::bigint
AND (:number::bytea IS NULL OR number = :number::bytea)
ORDER BY start_ms, number, what;
