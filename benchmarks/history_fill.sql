-- A long history made in one go: :count events of one delivery each, spread over 30 days, most of one account.
-- Everything is drawn from the row's number by multiplying modulo primes, so that each run makes the same.

-- name: known_words
SELECT count(*) FROM word;

-- name: words
INSERT OR IGNORE INTO word (id, text) VALUES
(1, 'message.incoming'), (2, 'message.status'), (3, 'contact.update'), (4, 'media.upload'), (5, 'own.order'),
(6, 'own.rare'), (11, 'http_500'), (12, 'http_503'), (13, 'timeout'), (14, 'connection_refused'), (15, 'http_404'),
(16, 'cancelled by hand'), (17, 'endpoint disabled'), (18, 'succeeded'), (19, 'accepted');

-- name: numbers
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :numbers)
INSERT OR IGNORE INTO word (id, text) SELECT 100 + i, printf('10%013d', i) FROM n;

-- name: events
WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :last),
drawn(i, a, b) AS (SELECT i, i * 7919 % 1000033, i * 104729 % 1000037 FROM n)
INSERT INTO event (
    seq, account, type, number, test, deliveries, delivery_offset, delivery_span, place, id, contact, keys, body, details
)
SELECT
    (:start_ms + i * :span_ms / :count << 21) + (i % 512 << 11),
    CASE WHEN a % 100 < 90 THEN :account ELSE :account + 1 + a % 9 END,
    CASE WHEN b % 1000 < 450 THEN 1 WHEN b % 1000 < 900 THEN 2 WHEN b % 1000 < 950 THEN 3 WHEN b % 1000 < 980 THEN 4
        WHEN b % 1000 < 999 THEN 5 ELSE 6 END,
    100 + a % :numbers,
    a % 5000 = 7,
    b % 50 <> 3,
    CASE WHEN b % 50 <> 3 THEN 1024 END,
    CASE WHEN b % 50 <> 3 THEN 0 END,
    NULL,
    printf('msg_%022d', i),
    NULL,
    NULL,
    CAST(printf('{"event":"message.incoming","id":"msg_%022d","timestamp":"2026-11-23T14:22:33Z","data":{"messageId":'
        || '"msg_%022d","from":"+49%010d","to":"+4915112345678","text":"The order %d is on its way and arrives on %d '
        || 'o''clock, please have %d euros ready.","media":null,"timestamp":"2026-11-23T14:22:30Z","contactId":'
        || '"contact_%016d"}}', i, i, a * 997 + b, b, a % 24, b % 500, a) AS BLOB),
    NULL
FROM drawn;

-- name: deliveries
INSERT INTO delivery (
    id, event, account, endpoint, type, number, state, in_flight, queued, at_ms, attempts, claim, outcome, code, origin,
    contact, contact_wait_ms, reason
)
SELECT
    seq + 1024, seq, account,
    CASE account WHEN :account THEN :first_endpoint ELSE 1000000 * account END
        + CASE WHEN c % 4 = 0 THEN 0 ELSE c % :endpoints END,
    type, number, state, 0, state IN (0, 2, 5), (seq >> 21) + 250, 1, 1,
    (1 << 46) + (1 << 45) + (c % 900000 << 10) + CASE WHEN state = 1 THEN 200 ELSE 500 END,
    CASE WHEN state IN (2, 3, 5) THEN 11 + c % 4 WHEN state = 4 AND c % 97 = 5 THEN 15 END,
    CASE WHEN test THEN 3 ELSE 0 END,
    NULL, NULL,
    CASE state WHEN 4 THEN 16 WHEN 5 THEN 17 END
FROM (
    SELECT seq, account, type, number, test, c, CASE
        WHEN d % 1000 < 970 THEN 1 WHEN d % 1000 < 985 THEN 3 WHEN d % 1000 < 990 THEN 4 WHEN d % 1000 < 995 THEN 5
        WHEN d % 1000 < 998 THEN 2 ELSE 0 END AS state
    FROM (
        SELECT *, (seq >> 11) % 1000003 * 7919 % 1000033 AS c, (seq >> 11) % 999983 * 104729 % 1000037 AS d
        FROM event WHERE delivery_offset IS NOT NULL AND seq BETWEEN :low AND :high
    )
);

-- name: attempts_by_minute
INSERT INTO rollup (account, endpoint, start_ms, outcome, bucket, count)
SELECT
    account, endpoint, at_ms - at_ms % 60000, CASE state WHEN 1 THEN 18 ELSE code END, 3 + (id >> 11) % 7, count(*)
FROM delivery WHERE state IN (1, 3) AND origin <> 3 GROUP BY 1, 2, 3, 4, 5;
-- name: attempts_of_all
INSERT INTO rollup (account, endpoint, start_ms, outcome, bucket, count)
SELECT account, 0, start_ms, outcome, bucket, sum(count) FROM rollup GROUP BY 1, 3, 4, 5;
-- name: events_by_minute
INSERT INTO rollup (account, endpoint, start_ms, outcome, bucket, count)
SELECT account, 0, (seq >> 21) - (seq >> 21) % 60000, 19, 0, count(*) FROM event GROUP BY 1, 3;
-- name: by_hour
INSERT INTO rollup_long (account, endpoint, step_ms, start_ms, outcome, bucket, count)
SELECT account, endpoint, 3600000, start_ms - start_ms % 3600000, outcome, bucket, sum(count) FROM rollup
GROUP BY 1, 2, 4, 5, 6;
-- name: by_day
INSERT INTO rollup_long (account, endpoint, step_ms, start_ms, outcome, bucket, count)
SELECT account, endpoint, 86400000, start_ms - start_ms % 86400000, outcome, bucket, sum(count) FROM rollup_long
GROUP BY 1, 2, 4, 5, 6;

-- name: fold
UPDATE mark SET row = :fold WHERE name = 'folded';

-- name: event_types
INSERT INTO event_by_type SELECT account, type, seq FROM event WHERE seq <= :fold ORDER BY 1, 2, 3;
-- name: event_numbers
INSERT INTO event_by_number SELECT account, number, seq FROM event WHERE seq <= :fold ORDER BY 1, 2, 3;
-- name: delivery_endpoints
INSERT INTO delivery_by_endpoint SELECT endpoint, id FROM delivery WHERE id <= :fold ORDER BY 1, 2;
-- name: delivery_types
INSERT INTO delivery_by_type SELECT account, type, id FROM delivery WHERE id <= :fold ORDER BY 1, 2, 3;
-- name: delivery_numbers
INSERT INTO delivery_by_number SELECT account, number, id FROM delivery WHERE id <= :fold ORDER BY 1, 2, 3;

-- name: fold_row
SELECT seq - 1 FROM event ORDER BY seq DESC LIMIT 1 OFFSET :tail;

-- name: secret
INSERT OR REPLACE INTO meta (name, value) VALUES ('hash_key', x'00');
