-- A history in one go: :rows events of one delivery each over :days days before :start, nine of ten of :account, to 40
-- endpoints. Every fifth is still open, every fortieth failed. Drawn from the number, so that each run is the same.

INSERT INTO word (text) SELECT convert_to(given, 'UTF8') FROM unnest(ARRAY[
    'message.incoming', 'message.status', 'own.rare', '1007', '1008', 'http_500', 'timeout', 'accepted', 'succeeded'
]) AS given ON CONFLICT DO NOTHING;

CREATE TABLE drawn AS
SELECT i, ms << 21 AS seq, (ms / 86400000)::integer AS day,
    CASE WHEN i % 10 < 9 THEN :account ELSE 2 + i % 3 END AS account,
    1 + i / 7 % 40 AS endpoint, 
    (SELECT id FROM word WHERE text = CASE
        WHEN i % 400 = 7 THEN 'own.rare'::bytea WHEN i % 2 = 0 THEN 'message.incoming'
        ELSE 'message.status' END) AS type,
    (SELECT id FROM word WHERE text = CASE WHEN i % 20 < 19 THEN '1007'::bytea ELSE '1008' END) AS number,
    CASE WHEN i % 5 = 3 THEN 0 WHEN i % 40 = 5 THEN 3 ELSE 1 END AS state
FROM (SELECT i, :start - :days * 86400000::bigint + i * (:days * 86400000::bigint / :rows) AS ms
    FROM generate_series(1::bigint, :rows) AS i) AS n;

INSERT INTO account_type SELECT DISTINCT account, type FROM drawn ON CONFLICT DO NOTHING;
INSERT INTO event_id SELECT account, convert_to('evt_' || i, 'UTF8'), seq FROM drawn;
INSERT INTO event (
    seq, place, first_delivery, last_delivery, day, account, type, number, deliveries, test, id, body
)
SELECT seq, i << 16, seq + 2048, seq + 2048, day, account, type, number, 1, i % 500 = 1,
    convert_to('evt_' || i, 'UTF8'),
    convert_to('{"text":"order ' || i || ' ' || repeat('x', 200) || '"}', 'UTF8') FROM drawn;
INSERT INTO event_key SELECT i * 7919, seq, day FROM drawn;
INSERT INTO delivery (
    id, event, day, account, endpoint, type, number, origin, ordered, state, attempts, status, code, ended_ms,
    duration_us
)
SELECT seq + 2048, seq, day, account, endpoint, type, number, CASE WHEN i % 500 = 1 THEN 3 ELSE 0 END, false, state, 1,
    200,
    CASE WHEN state = 3 THEN (SELECT id FROM word WHERE text = 'http_500') END, seq >> 21, 1000 FROM drawn;
INSERT INTO open_delivery (id, event, due_ms, account, endpoint, holder, claim, attempts, state, origin)
SELECT seq + 2048, seq, CASE WHEN i % 3 > 0 THEN seq >> 21 END, account, endpoint,
    CASE WHEN i % 3 = 0 THEN 77 END, 1, 0,
    CASE WHEN i % 60 = 3 THEN 2 WHEN i % 60 = 23 THEN 5 ELSE 0 END, 0 FROM drawn WHERE state = 0;
INSERT INTO lost_delivery
SELECT seq + 2048, account, endpoint, (SELECT id FROM word WHERE text = 'http_500'), 3 FROM drawn WHERE state = 3;
INSERT INTO attempt (
    delivery, started_ms, signed_s, total_us, day, claim, number, took_ms, endpoint_version, run, state, flags,
    signatures, answer_headers, answer_body
)
SELECT seq + 2048, seq >> 21, 0, 1000, day, 1, 1, 1, 1, 1, state, 0, '', '', '' FROM drawn WHERE state <> 0;
INSERT INTO remembered SELECT seq - 5, account, convert_to('old_' || i, 'UTF8') FROM drawn;
INSERT INTO key_use SELECT account, convert_to('key_' || i, 'UTF8'), '', '', seq FROM drawn;
INSERT INTO source_body SELECT seq, 1 + i % 3, 1, false, 'x' FROM drawn;
INSERT INTO set_aside SELECT seq, seq, 1 + i % 3, account, 1, 'x', 'x', 'x',
    convert_to('n' || i % 9, 'UTF8'), NULL FROM drawn;
INSERT INTO contact SELECT account, 1, 1, convert_to('contact_' || i, 'UTF8'), NULL, NULL, NULL FROM drawn;
DROP TABLE drawn;
