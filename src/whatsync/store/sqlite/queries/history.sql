-- What the history asks. Lists are packed into one JSON value: the reader's thread takes Python's lock once for each row
-- it is given, and beside a busy event loop that costs more than the row.
--
-- Walks are written downwards; upwards they are the same with ASC for DESC. All go over rows up to the fold (see the
-- schema's first lines); rows above it, the tail, are walked in the table itself. Partial indexes serve only who
-- repeats their condition word by word.

-- name: fold
SELECT row FROM mark WHERE name = 'folded'

-- name: secret
SELECT value FROM meta WHERE name = 'hash_key'

-- Walks over deliveries ---------------------------------------------------------------------------------------------

-- name: types_of_deliveries
WITH RECURSIVE present(type) AS (
    SELECT min(type) FROM delivery_by_type WHERE account = :account
    UNION ALL
    SELECT (SELECT min(type) FROM delivery_by_type WHERE account = :account AND type > present.type)
    FROM present WHERE present.type IS NOT NULL
)
SELECT json_group_array(type) FROM present WHERE type IS NOT NULL

-- name: delivery_heads
SELECT json_group_array((
    SELECT delivery FROM delivery_by_type
    WHERE account = :account AND type = wanted.value AND delivery BETWEEN :low AND :high
    ORDER BY delivery DESC LIMIT 1
)) FROM carray(:rows) AS wanted

-- name: deliveries_by_endpoint
SELECT json_group_array(delivery) FROM (
    SELECT delivery FROM delivery_by_endpoint
    WHERE endpoint = :key AND delivery BETWEEN :low AND :high
    ORDER BY delivery DESC LIMIT :limit
)

-- name: deliveries_by_type
SELECT json_group_array(delivery) FROM (
    SELECT delivery FROM delivery_by_type
    WHERE account = :account AND type = :key AND delivery BETWEEN :low AND :high
    ORDER BY delivery DESC LIMIT :limit
)

-- name: deliveries_by_number
SELECT json_group_array(delivery) FROM (
    SELECT delivery FROM delivery_by_number
    WHERE account = :account AND number = :key AND delivery BETWEEN :low AND :high
    ORDER BY delivery DESC LIMIT :limit
)

-- name: deliveries_by_state
SELECT json_group_array(id) FROM (
    SELECT id FROM delivery INDEXED BY delivery_state
    WHERE state > 1 AND account = :account AND state = :key AND id BETWEEN :low AND :high
    ORDER BY id DESC LIMIT :limit
)

-- name: deliveries_pending
SELECT json_group_array(id) FROM (
    SELECT id FROM delivery INDEXED BY delivery_pending
    WHERE queued = 1 AND state = 0 AND account = :account AND id BETWEEN :low AND :high
    ORDER BY id DESC LIMIT :limit
)

-- name: deliveries_open
SELECT json_group_array(id) FROM (
    SELECT id FROM delivery INDEXED BY delivery_open
    WHERE queued = 1 AND endpoint = :endpoint AND state = :key AND id BETWEEN :low AND :high
    ORDER BY id DESC LIMIT :limit
)

-- name: deliveries_lost
SELECT json_group_array(id) FROM (
    SELECT id FROM delivery INDEXED BY delivery_lost
    WHERE state IN (3, 4) AND endpoint = :endpoint AND state = :key AND id BETWEEN :low AND :high
    ORDER BY id DESC LIMIT :limit
)

-- name: deliveries_by_code
SELECT json_group_array(id) FROM (
    SELECT id FROM delivery INDEXED BY delivery_code
    WHERE account = :account AND code = :key AND id BETWEEN :low AND :high
    ORDER BY id DESC LIMIT :limit
)

-- name: deliveries_of_tests
SELECT json_group_array(id) FROM (
    SELECT id FROM delivery INDEXED BY delivery_test
    WHERE origin = 3 AND account = :account AND id BETWEEN :low AND :high
    ORDER BY id DESC LIMIT :limit
)

-- Which rows are in an index: cheaper than reading the rows themselves, which lie far apart.

-- name: deliveries_by_endpoint_among
SELECT json_group_array(wanted.value) FROM carray(:rows) AS wanted WHERE EXISTS (
    SELECT 1 FROM delivery_by_endpoint WHERE endpoint = :key AND delivery = wanted.value
)

-- name: deliveries_by_type_among
SELECT json_group_array(wanted.value) FROM carray(:rows) AS wanted WHERE EXISTS (
    SELECT 1 FROM delivery_by_type WHERE account = :account AND type = :key AND delivery = wanted.value
)

-- name: deliveries_by_number_among
SELECT json_group_array(wanted.value) FROM carray(:rows) AS wanted WHERE EXISTS (
    SELECT 1 FROM delivery_by_number WHERE account = :account AND number = :key AND delivery = wanted.value
)

-- name: deliveries_by_state_among
SELECT json_group_array(wanted.value) FROM carray(:rows) AS wanted WHERE EXISTS (
    SELECT 1 FROM delivery INDEXED BY delivery_state
    WHERE state > 1 AND account = :account AND state = :key AND id = wanted.value
)

-- name: deliveries_pending_among
SELECT json_group_array(wanted.value) FROM carray(:rows) AS wanted WHERE EXISTS (
    SELECT 1 FROM delivery INDEXED BY delivery_pending
    WHERE queued = 1 AND state = 0 AND account = :account AND id = wanted.value
)

-- name: deliveries_open_among
SELECT json_group_array(wanted.value) FROM carray(:rows) AS wanted WHERE EXISTS (
    SELECT 1 FROM delivery INDEXED BY delivery_open
    WHERE queued = 1 AND endpoint = :endpoint AND state = :key AND id = wanted.value
)

-- name: deliveries_lost_among
SELECT json_group_array(wanted.value) FROM carray(:rows) AS wanted WHERE EXISTS (
    SELECT 1 FROM delivery INDEXED BY delivery_lost
    WHERE state IN (3, 4) AND endpoint = :endpoint AND state = :key AND id = wanted.value
)

-- name: deliveries_by_code_among
SELECT json_group_array(wanted.value) FROM carray(:rows) AS wanted WHERE EXISTS (
    SELECT 1 FROM delivery INDEXED BY delivery_code
    WHERE account = :account AND code = :key AND id = wanted.value
)

-- name: deliveries_of_tests_among
SELECT json_group_array(wanted.value) FROM carray(:rows) AS wanted WHERE EXISTS (
    SELECT 1 FROM delivery INDEXED BY delivery_test WHERE origin = 3 AND account = :account AND id = wanted.value
)

-- name: delivery_spans
SELECT json_group_array(json_array(e.seq + e.delivery_offset, e.seq + e.delivery_offset + e.delivery_span))
FROM carray(:rows) AS wanted CROSS JOIN event AS e NOT INDEXED ON e.seq = wanted.value
WHERE e.account = :account AND e.delivery_offset IS NOT NULL

-- name: deliveries_in_span
SELECT json_group_array(id) FROM (
    SELECT id FROM delivery NOT INDEXED
    WHERE id BETWEEN :low AND :high AND origin = 0
    ORDER BY id DESC LIMIT :limit
)

-- name: deliveries_added
SELECT json_group_array(d.id)
FROM carray(:rows) AS wanted CROSS JOIN delivery AS d INDEXED BY delivery_added ON d.event = wanted.value
WHERE d.origin <> 0 AND d.id BETWEEN :low AND :high

-- Deliveries --------------------------------------------------------------------------------------------------------

-- name: delivery_filter
d.account = :account
AND (:endpoint IS NULL OR d.endpoint = :endpoint)
AND (:type IS NULL OR d.type = :type)
AND (:number IS NULL OR d.number = :number)
AND (:states IS NULL OR :states >> d.state & 1)
AND (:code IS NULL OR d.code = :code)
AND (:test IS NULL OR (d.origin = 3) = :test)
AND (:event IS NULL OR d.event = :event)
AND (:events IS NULL OR d.event IN (SELECT value FROM json_each(:events)))
AND (:word IS NULL OR EXISTS (SELECT 1 FROM event AS e WHERE e.seq = d.event AND <body_filter>))

-- name: body_filter
-- LIKE compares without case in ASCII only, and is the fastest way to look. A word with other letters comes in all the
-- ways it may be written (store/search.py), of which one must be there.
CAST(e.body AS TEXT) LIKE :word ESCAPE '!'
AND (:second_word IS NULL OR CAST(e.body AS TEXT) LIKE :second_word ESCAPE '!')
AND (:more_words IS NULL OR NOT EXISTS (
    SELECT 1 FROM json_each(:more_words) AS more WHERE CAST(e.body AS TEXT) NOT LIKE more.value ESCAPE '!'
))
AND (:forms IS NULL OR NOT EXISTS (
    SELECT 1 FROM json_each(:forms) AS word WHERE NOT EXISTS (
        SELECT 1 FROM json_each(word.value) AS form WHERE CAST(e.body AS TEXT) LIKE form.value ESCAPE '!'
    )
))

-- name: delivery_columns
json_group_array(json_array(
    d.id, d.event, (SELECT id FROM event WHERE seq = d.event), d.type, d.account, d.endpoint, d.state, d.attempts,
    d.origin, d.at_ms, d.in_flight, d.outcome, d.code, d.number, d.reason, d.contact IS NOT NULL
))

-- name: deliveries_in_range
SELECT <delivery_columns> FROM (
    SELECT * FROM delivery AS d NOT INDEXED WHERE d.id BETWEEN :low AND :high AND <delivery_filter>
    ORDER BY d.id DESC LIMIT :limit
) AS d

-- name: deliveries_among
SELECT <delivery_columns> FROM (
    SELECT d.* FROM carray(:rows) AS wanted CROSS JOIN delivery AS d NOT INDEXED ON d.id = wanted.value
    WHERE <delivery_filter> LIMIT :limit
) AS d

-- name: delivery
SELECT <delivery_columns> FROM delivery AS d WHERE d.id = :id AND d.account = :account

-- name: waiting_for
SELECT max(earlier.id) FROM delivery AS d JOIN delivery AS earlier INDEXED BY delivery_contact
ON earlier.endpoint = d.endpoint AND earlier.contact = d.contact AND earlier.id < d.id
AND earlier.contact IS NOT NULL AND earlier.state IN (0, 2, 5)
WHERE d.id = :id AND d.account = :account AND d.contact IS NOT NULL
AND d.state = 0 AND d.in_flight = 0 AND d.attempts = 0

-- name: attempts
SELECT a.claim, a.number, d.endpoint, a.state, a.flags, a.started_ms, a.took_ms, a.due_ms, a.status, a.code, a.dns_us,
    a.connect_us, a.tls_us, a.first_byte_us, a.total_us, a.endpoint_version, a.signed_s, a.run, a.detail, a.address,
    a.signatures, a.answer_headers, a.answer_body, run.version
FROM delivery AS d JOIN attempt AS a ON a.delivery = d.id LEFT JOIN run ON run.id = a.run
WHERE d.id = :id AND d.account = :account ORDER BY a.number, a.claim

-- name: count_open
SELECT count(*) FROM (
    SELECT 1 FROM delivery INDEXED BY delivery_open
    WHERE queued = 1 AND endpoint = :endpoint AND state = :state LIMIT :ceiling
)

-- name: oldest_open
SELECT id FROM delivery INDEXED BY delivery_open
WHERE queued = 1 AND endpoint = :endpoint AND state = :state ORDER BY id LIMIT 1

-- name: count_unqueued
SELECT count(*), min(id) FROM delivery NOT INDEXED WHERE id > :fold AND endpoint = :endpoint AND queued = 0 AND state = 0

-- name: oldest_due
SELECT min(at_ms) FROM delivery INDEXED BY delivery_queue
WHERE queued = 1 AND state IN (0, 2) AND endpoint = :endpoint AND in_flight = 0

-- Walks over events -------------------------------------------------------------------------------------------------

-- name: types_of_events
WITH RECURSIVE present(type) AS (
    SELECT min(type) FROM event_by_type WHERE account = :account
    UNION ALL
    SELECT (SELECT min(type) FROM event_by_type WHERE account = :account AND type > present.type)
    FROM present WHERE present.type IS NOT NULL
)
SELECT json_group_array(type) FROM present WHERE type IS NOT NULL

-- name: event_heads
SELECT json_group_array((
    SELECT event FROM event_by_type
    WHERE account = :account AND type = wanted.value AND event BETWEEN :low AND :high
    ORDER BY event DESC LIMIT 1
)) FROM carray(:rows) AS wanted

-- name: unmatched_heads
SELECT json_group_array((
    SELECT seq FROM event INDEXED BY event_unmatched
    WHERE deliveries = 0 AND account = :account AND type = wanted.value AND seq BETWEEN :low AND :high
    ORDER BY seq DESC LIMIT 1
)) FROM carray(:rows) AS wanted

-- name: events_by_type
SELECT json_group_array(event) FROM (
    SELECT event FROM event_by_type
    WHERE account = :account AND type = :key AND event BETWEEN :low AND :high
    ORDER BY event DESC LIMIT :limit
)

-- name: events_by_number
SELECT json_group_array(event) FROM (
    SELECT event FROM event_by_number
    WHERE account = :account AND number = :key AND event BETWEEN :low AND :high
    ORDER BY event DESC LIMIT :limit
)

-- name: events_unmatched
SELECT json_group_array(seq) FROM (
    SELECT seq FROM event INDEXED BY event_unmatched
    WHERE deliveries = 0 AND account = :account AND type = :key AND seq BETWEEN :low AND :high
    ORDER BY seq DESC LIMIT :limit
)

-- name: events_by_type_among
SELECT json_group_array(wanted.value) FROM carray(:rows) AS wanted WHERE EXISTS (
    SELECT 1 FROM event_by_type WHERE account = :account AND type = :key AND event = wanted.value
)

-- name: events_by_number_among
SELECT json_group_array(wanted.value) FROM carray(:rows) AS wanted WHERE EXISTS (
    SELECT 1 FROM event_by_number WHERE account = :account AND number = :key AND event = wanted.value
)

-- name: events_unmatched_among
SELECT json_group_array(wanted.value) FROM carray(:rows) AS wanted WHERE EXISTS (
    SELECT 1 FROM event INDEXED BY event_unmatched
    WHERE deliveries = 0 AND account = :account AND type = :key AND seq = wanted.value
)

-- Events ------------------------------------------------------------------------------------------------------------

-- name: event_filter
e.account = :account
AND (:type IS NULL OR e.type = :type)
AND (:number IS NULL OR e.number = :number)
AND (:matched IS NULL OR (e.deliveries > 0) = :matched)
AND e.type NOT IN (SELECT value FROM carray(:without))
AND (:word IS NULL OR (<body_filter>))

-- name: events_in_range
SELECT json_group_array(seq) FROM (
    SELECT e.seq FROM event AS e NOT INDEXED WHERE e.seq BETWEEN :low AND :high AND <event_filter>
    ORDER BY e.seq DESC LIMIT :limit
)

-- name: events_among
SELECT json_group_array(seq) FROM (
    SELECT e.seq FROM carray(:rows) AS wanted CROSS JOIN event AS e NOT INDEXED ON e.seq = wanted.value
    WHERE <event_filter> LIMIT :limit
)

-- name: event_rows
-- Bodies and details follow each other in the second column; their lengths stand in the first.
SELECT json_group_array(json_array(
    e.seq, e.account, e.id, e.type, min(length(e.body), :most), min(length(e.details), :most), e.number, e.contact,
    e.keys, e.test, e.deliveries
)), CAST(group_concat(
    CAST(substr(e.body, 1, :most) AS TEXT) || ifnull(CAST(substr(e.details, 1, :most) AS TEXT), ''), ''
) AS BLOB)
FROM carray(:rows) AS wanted CROSS JOIN event AS e NOT INDEXED ON e.seq = wanted.value
WHERE e.account = :account

-- name: rows_of_id
SELECT json_group_array(identity.row) FROM lookup_run AS r JOIN identity ON identity.run = r.run
WHERE r.kind = 0 AND identity.hash = :hash

-- name: keyword_runs
SELECT json_group_array(run) FROM lookup_run WHERE kind = 1

-- name: rows_of_keyword
SELECT json_group_array(row) FROM (
    SELECT row FROM keyword WHERE run = :run AND hash = :hash AND row BETWEEN :low AND :high
    ORDER BY row DESC LIMIT :limit
)

-- Feed and gaps -----------------------------------------------------------------------------------------------------

-- name: fed_in_range
SELECT json_group_array(seq) FROM (
    SELECT e.seq FROM event AS e NOT INDEXED
    WHERE e.seq BETWEEN :low AND :high AND e.account = :account AND e.place IS NULL AND NOT e.test
    AND (:types IS NULL OR e.type IN (SELECT value FROM json_each(:types)))
    ORDER BY e.seq LIMIT :limit
)

-- name: fed_among
SELECT json_group_array(seq) FROM (
    SELECT e.seq FROM carray(:rows) AS wanted CROSS JOIN event AS e NOT INDEXED ON e.seq = wanted.value
    WHERE e.account = :account AND e.place IS NULL AND NOT e.test LIMIT :limit
)

-- name: fed_late
SELECT json_group_array(json_array(place, seq, NOT test AND (:types IS NULL OR type IN (
    SELECT value FROM json_each(:types)
)))) FROM (
    SELECT place, seq, test, type FROM event INDEXED BY event_late
    WHERE place IS NOT NULL AND account = :account AND place > :after
    ORDER BY place LIMIT :limit
)

-- name: newest_event
SELECT max(seq) FROM event

-- name: newest_late
SELECT max(place) FROM event INDEXED BY event_late WHERE place IS NOT NULL AND account = :account

-- name: feed_floor
SELECT place FROM feed_floor WHERE account = :account

-- name: missing_filter
e.account = :account AND NOT e.test
AND NOT EXISTS (
    SELECT 1 FROM delivery_by_endpoint AS by JOIN delivery AS d ON d.id = by.delivery
    WHERE by.endpoint = :endpoint AND d.event = e.seq
    AND by.delivery BETWEEN e.seq + e.delivery_offset AND e.seq + e.delivery_offset + e.delivery_span
)
AND NOT EXISTS (
    SELECT 1 FROM delivery AS d NOT INDEXED
    WHERE d.id BETWEEN max(e.seq + e.delivery_offset, :fold + 1) AND e.seq + e.delivery_offset + e.delivery_span
    AND d.event = e.seq AND d.endpoint = :endpoint
)
AND NOT EXISTS (
    SELECT 1 FROM delivery AS d INDEXED BY delivery_added
    WHERE d.origin <> 0 AND d.event = e.seq AND d.endpoint = :endpoint
)

-- name: missing_in_range
SELECT json_group_array(seq) FROM (
    SELECT e.seq FROM event AS e NOT INDEXED
    WHERE e.seq BETWEEN :low AND :high AND e.type IN (SELECT value FROM json_each(:types)) AND <missing_filter>
    ORDER BY e.seq LIMIT :limit
)

-- name: missing_among
SELECT json_group_array(seq) FROM (
    SELECT e.seq FROM carray(:rows) AS wanted CROSS JOIN event AS e NOT INDEXED ON e.seq = wanted.value
    WHERE <missing_filter> LIMIT :limit
)

-- Rollups, documents, audit, media -----------------------------------------------------------------------------------------

-- name: rollups
SELECT json_group_array(json_array(step, endpoint, outcome, bucket, counted)) FROM (
    SELECT start_ms - start_ms % :step AS step, endpoint, outcome, bucket, sum(count) AS counted FROM (
        SELECT start_ms, endpoint, outcome, bucket, count FROM rollup
        WHERE account = :account AND endpoint = :endpoint AND start_ms >= :since AND start_ms < :first_hour
        UNION ALL
        SELECT start_ms, endpoint, outcome, bucket, count FROM rollup_long
        WHERE account = :account AND endpoint = :endpoint AND step_ms = 3600000
        AND start_ms >= :first_hour AND start_ms < :first_day
        UNION ALL
        SELECT start_ms, endpoint, outcome, bucket, count FROM rollup_long
        WHERE account = :account AND endpoint = :endpoint AND step_ms = 86400000
        AND start_ms >= :first_day AND start_ms < :last_day
        UNION ALL
        SELECT start_ms, endpoint, outcome, bucket, count FROM rollup_long
        WHERE account = :account AND endpoint = :endpoint AND step_ms = 3600000
        AND start_ms >= :last_day AND start_ms < :last_hour
        UNION ALL
        SELECT start_ms, endpoint, outcome, bucket, count FROM rollup
        WHERE account = :account AND endpoint = :endpoint AND start_ms >= :last_hour AND start_ms < :until
    ) GROUP BY 1, 2, 3, 4
)

-- name: rollups_pending
SELECT body FROM rollup_pending

-- name: document_version
SELECT kind, id, row, account, version, body FROM document_version
WHERE kind = :kind AND row = :row AND version = ifnull(:version, version)
UNION
SELECT kind, id, row, account, version, body FROM document
WHERE kind = :kind AND row = :row AND version = ifnull(:version, version)
ORDER BY version DESC LIMIT 1

-- name: audit
SELECT id, at_ms, actor, action, subject, before, after FROM audit
WHERE account = :account AND id < :before ORDER BY id DESC LIMIT :limit

-- name: media
SELECT name, account, event, id, created_ms, state, due_ms, mime_type, size, sha256, task, claim, attempts, reason,
    changed_ms
FROM media WHERE name = :media
