-- What the history asks. Every list walks an index: the walk gives row numbers in order, at most :limit of them, and
-- only as many are fetched as it takes to fill the page. Walks are written downwards; upwards they are the same with
-- ASC for DESC.

-- Walks over deliveries ---------------------------------------------------------------------------------------------

-- name: between
x.id BETWEEN :low::bigint AND :high::bigint

-- name: of_days
(x.day BETWEEN :low_day::integer AND :high_day::integer OR x.day = 0)

-- name: by_endpoint
SELECT x.id FROM delivery AS x WHERE x.endpoint = :endpoint::integer AND <between> AND <of_days>
ORDER BY x.id DESC LIMIT :limit::integer

-- name: by_number
SELECT x.id FROM delivery AS x
WHERE x.account = :account AND x.number = :number::integer AND x.number IS NOT NULL AND <between> AND <of_days>
ORDER BY x.id DESC LIMIT :limit::integer

-- name: by_types
SELECT t.id FROM unnest(:types::integer[]) AS wanted(type) CROSS JOIN LATERAL (
    SELECT x.id FROM delivery AS x WHERE x.account = :account AND x.type = wanted.type AND <between> AND <of_days>
    ORDER BY x.id DESC LIMIT :limit::integer
) AS t ORDER BY t.id DESC LIMIT :limit::integer

-- name: of_tests
SELECT x.id FROM delivery AS x WHERE x.account = :account AND x.origin = 3 AND <between> AND <of_days>
ORDER BY x.id DESC LIMIT :limit::integer

-- name: by_code
SELECT t.id FROM (
    (
        SELECT x.id FROM open_delivery AS x
        WHERE x.account = :account AND x.code = :code::integer AND x.code IS NOT NULL AND <between>
        ORDER BY x.id DESC LIMIT :limit::integer
    ) UNION ALL (
        SELECT x.id FROM lost_delivery AS x
        WHERE x.account = :account AND x.code = :code::integer AND x.code IS NOT NULL AND <between>
        ORDER BY x.id DESC LIMIT :limit::integer
    )
) AS t ORDER BY t.id DESC LIMIT :limit::integer

-- name: by_states
SELECT t.id FROM unnest(:state_list::smallint[]) AS wanted(state) CROSS JOIN LATERAL (
    (
        SELECT x.id FROM open_delivery AS x WHERE x.account = :account AND x.state = wanted.state AND <between>
        ORDER BY x.id DESC LIMIT :limit::integer
    ) UNION ALL (
        SELECT x.id FROM lost_delivery AS x WHERE x.account = :account AND x.state = wanted.state AND <between>
        ORDER BY x.id DESC LIMIT :limit::integer
    )
) AS t ORDER BY t.id DESC LIMIT :limit::integer

-- name: by_states_of_endpoint
SELECT t.id FROM unnest(:state_list::smallint[]) AS wanted(state) CROSS JOIN LATERAL (
    (
        SELECT x.id FROM open_delivery AS x
        WHERE x.endpoint = :endpoint::integer AND x.state = wanted.state AND <between>
        ORDER BY x.id DESC LIMIT :limit::integer
    ) UNION ALL (
        SELECT x.id FROM lost_delivery AS x
        WHERE x.endpoint = :endpoint::integer AND x.state = wanted.state AND <between>
        ORDER BY x.id DESC LIMIT :limit::integer
    )
) AS t ORDER BY t.id DESC LIMIT :limit::integer

-- name: of_events
SELECT t.id FROM unnest(:walked_events::bigint[]) AS wanted(seq) CROSS JOIN LATERAL (
    SELECT x.id FROM event AS e JOIN delivery AS x
    ON x.id BETWEEN e.first_delivery AND e.last_delivery AND x.event = e.seq AND x.origin = 0
    AND x.day IN (((e.first_delivery >> 21) / 86400000)::integer, ((e.last_delivery >> 21) / 86400000)::integer, 0)
    WHERE e.seq = wanted.seq AND e.day IN (((wanted.seq >> 21) / 86400000)::integer, 0) AND <between>
    UNION ALL
    SELECT x.id FROM delivery AS x WHERE x.event = wanted.seq AND x.origin <> 0 AND <between>
) AS t ORDER BY t.id DESC LIMIT :limit::integer

-- Deliveries --------------------------------------------------------------------------------------------------------

-- name: delivery_columns
d.id, d.event, e.id AS event_id, d.type, d.account, d.endpoint, coalesce(o.state, d.state) AS state,
CASE WHEN o.id IS NULL THEN d.attempts ELSE o.attempts END AS attempts, d.origin, o.due_ms,
o.holder IS NOT NULL AS in_flight, d.ended_ms, coalesce(o.status, d.status) AS status, coalesce(o.code, d.code) AS code,
coalesce(o.duration_us, d.duration_us) AS duration_us, d.number, coalesce(o.reason, d.reason) AS reason, d.ordered

-- name: delivery_joins
JOIN event AS e ON e.seq = d.event AND e.day IN (((d.event >> 21) / 86400000)::integer, 0)
LEFT JOIN open_delivery AS o ON o.id = d.id

-- name: body_filter
-- Bytes as Latin-1 with the collation C: compared without case in ASCII alone. A word with other letters comes in all
-- the ways it may be written (store/search.py), a line each, of which one must be there. OFFSET 0: lowered once a body.
position('\x00'::bytea IN e.body) = 0 AND EXISTS (
    SELECT 1 FROM (SELECT lower(convert_from(e.body, 'LATIN1') COLLATE "C") AS text OFFSET 0) AS lowered
    WHERE NOT EXISTS (
        SELECT 1 FROM unnest(:search::text[]) AS word WHERE NOT EXISTS (
            SELECT 1 FROM string_to_table(word, E'\n') AS form WHERE strpos(lowered.text, form) > 0
        )
    )
)

-- name: delivery_filter
d.account = :account
AND (:endpoint::integer IS NULL OR d.endpoint = :endpoint::integer)
AND (:type::integer IS NULL OR d.type = :type::integer)
AND (:number::integer IS NULL OR d.number = :number::integer)
AND (:states::smallint[] IS NULL OR coalesce(o.state, d.state) = ANY(:states::smallint[]))
AND (:code::integer IS NULL OR coalesce(o.code, d.code) = :code::integer)
AND (:test::boolean IS NULL OR (d.origin = 3) = :test::boolean)
AND (:event::bigint IS NULL OR d.event = :event::bigint)
AND (:events::bigint[] IS NULL OR d.event = ANY(:events::bigint[]))
AND (:search::text[] IS NULL OR (<body_filter>))

-- name: page_head
SELECT <delivery_columns> FROM

-- name: page_tail
AS w JOIN delivery AS d ON d.id = w.id AND d.day IN (((w.id >> 21) / 86400000)::integer, 0) <delivery_joins>
WHERE <delivery_filter> ORDER BY w.id DESC LIMIT :wanted::integer

-- name: stop_head
SELECT w.id FROM

-- name: stop_tail
AS w ORDER BY w.id DESC LIMIT 2 OFFSET :examined::integer - 1

-- name: page_by_endpoint
<page_head> (<by_endpoint>) <page_tail>

-- name: page_by_number
<page_head> (<by_number>) <page_tail>

-- name: page_by_types
<page_head> (<by_types>) <page_tail>

-- name: page_of_tests
<page_head> (<of_tests>) <page_tail>

-- name: page_by_code
<page_head> (<by_code>) <page_tail>

-- name: page_by_states
<page_head> (<by_states>) <page_tail>

-- name: page_by_states_of_endpoint
<page_head> (<by_states_of_endpoint>) <page_tail>

-- name: page_of_events
<page_head> (<of_events>) <page_tail>

-- name: stop_by_endpoint
<stop_head> (<by_endpoint>) <stop_tail>

-- name: stop_by_number
<stop_head> (<by_number>) <stop_tail>

-- name: stop_by_types
<stop_head> (<by_types>) <stop_tail>

-- name: stop_of_tests
<stop_head> (<of_tests>) <stop_tail>

-- name: stop_by_code
<stop_head> (<by_code>) <stop_tail>

-- name: stop_by_states
<stop_head> (<by_states>) <stop_tail>

-- name: stop_by_states_of_endpoint
<stop_head> (<by_states_of_endpoint>) <stop_tail>

-- name: stop_of_events
<stop_head> (<of_events>) <stop_tail>

-- name: delivery
SELECT <delivery_columns> FROM delivery AS d <delivery_joins>
WHERE d.id = :id AND d.day IN (:day::integer, 0) AND d.account = :account;

-- name: waiting_for
SELECT earlier.id FROM open_delivery AS o JOIN open_delivery AS earlier
ON earlier.endpoint = o.endpoint AND earlier.contact = o.contact AND earlier.turn < o.turn
AND earlier.contact IS NOT NULL
WHERE o.id = :id AND o.account = :account AND o.contact IS NOT NULL
AND o.state = 0 AND o.holder IS NULL AND o.attempts = 0
ORDER BY earlier.turn DESC LIMIT 1;

-- name: attempts
SELECT a.claim, a.number, d.endpoint, a.state, a.flags, a.started_ms, a.took_ms, a.due_ms, a.status, a.code, a.dns_us,
    a.connect_us, a.tls_us, a.first_byte_us, a.total_us, a.endpoint_version, a.signed_s, a.run, a.detail, a.address,
    a.signatures, a.answer_headers, a.answer_body, run.version
FROM delivery AS d JOIN attempt AS a ON a.delivery = d.id AND a.day IN (:day::integer, 0)
LEFT JOIN run ON run.id = a.run
WHERE d.id = :id AND d.day IN (:day::integer, 0) AND d.account = :account ORDER BY a.number, a.claim;

-- name: counts
SELECT (
    SELECT count(*) FROM (
        SELECT 1 FROM open_delivery WHERE endpoint = :endpoint AND state IN (0, 2) LIMIT :ceiling::integer
    ) AS waiting
), (
    SELECT count(*) FROM (
        SELECT 1 FROM open_delivery WHERE endpoint = :endpoint AND state = 5 LIMIT :ceiling::integer
    ) AS held
), (
    SELECT min(due_ms) FROM open_delivery WHERE endpoint = :endpoint AND holder IS NULL AND state IN (0, 2)
), (
    SELECT min(first.id) FROM (VALUES (0::smallint), (2::smallint)) AS s (state) CROSS JOIN LATERAL (
        SELECT id FROM open_delivery WHERE endpoint = :endpoint AND state = s.state ORDER BY id LIMIT 1
    ) AS first
);

-- Walks over events -------------------------------------------------------------------------------------------------

-- name: seq_between
x.seq BETWEEN :low::bigint AND :high::bigint

-- name: events_by_types
SELECT t.seq FROM unnest(:types::integer[]) AS wanted(type) CROSS JOIN LATERAL (
    SELECT x.seq FROM event AS x WHERE x.account = :account AND x.type = wanted.type AND <seq_between> AND <of_days>
    ORDER BY x.seq DESC LIMIT :limit::integer
) AS t ORDER BY t.seq DESC LIMIT :limit::integer

-- name: events_by_number
SELECT x.seq FROM event AS x
WHERE x.account = :account AND x.number = :number::integer AND x.number IS NOT NULL AND <seq_between> AND <of_days>
ORDER BY x.seq DESC LIMIT :limit::integer

-- name: events_unmatched
SELECT t.seq FROM unnest(:types::integer[]) AS wanted(type) CROSS JOIN LATERAL (
    SELECT x.seq FROM event AS x
    WHERE x.account = :account AND x.type = wanted.type AND x.deliveries = 0 AND <seq_between> AND <of_days>
    ORDER BY x.seq DESC LIMIT :limit::integer
) AS t ORDER BY t.seq DESC LIMIT :limit::integer

-- name: events_listed
SELECT DISTINCT x.seq FROM unnest(:seqs::bigint[]) AS x(seq) WHERE <seq_between> ORDER BY x.seq DESC LIMIT :limit::integer

-- Events ------------------------------------------------------------------------------------------------------------

-- name: event_columns
e.seq, e.account, e.id, e.type, e.body, e.details, e.number, e.contact, e.keys, e.test, e.deliveries

-- name: event_list_columns
e.seq, e.account, e.id, e.type, substr(e.body, 1, :most::integer), substr(e.details, 1, :most::integer), e.number,
e.contact, e.keys, e.test, e.deliveries

-- name: event_tail
AS w JOIN event AS e ON e.seq = w.seq AND e.day IN (((w.seq >> 21) / 86400000)::integer, 0)
WHERE e.account = :account
AND (:type::integer IS NULL OR e.type = :type::integer)
AND (:number::integer IS NULL OR e.number = :number::integer)
AND (:matched::boolean IS NULL OR (e.deliveries > 0) = :matched::boolean)
AND e.type <> ALL (:without::integer[])
AND (:search::text[] IS NULL OR (<body_filter>))
ORDER BY w.seq DESC LIMIT :wanted::integer

-- name: event_stop_tail
AS w ORDER BY w.seq DESC LIMIT 2 OFFSET :examined::integer - 1

-- name: page_events_by_types
SELECT <event_list_columns> FROM (<events_by_types>) <event_tail>

-- name: page_events_by_number
SELECT <event_list_columns> FROM (<events_by_number>) <event_tail>

-- name: page_events_unmatched
SELECT <event_list_columns> FROM (<events_unmatched>) <event_tail>

-- name: page_events_listed
SELECT <event_list_columns> FROM (<events_listed>) <event_tail>

-- name: stop_events_by_types
SELECT w.seq FROM (<events_by_types>) <event_stop_tail>

-- name: stop_events_by_number
SELECT w.seq FROM (<events_by_number>) <event_stop_tail>

-- name: stop_events_unmatched
SELECT w.seq FROM (<events_unmatched>) <event_stop_tail>

-- name: stop_events_listed
SELECT w.seq FROM (<events_listed>) <event_stop_tail>

-- name: seq_of_id
SELECT seq FROM event_id WHERE account = :account AND id = :id;

-- name: seqs_of_hash
SELECT seq FROM event_key WHERE hash = :hash AND seq < :below ORDER BY seq DESC LIMIT :limit::integer;

-- Feed and gaps -----------------------------------------------------------------------------------------------------

-- name: border
-- Below it no transaction runs any more: nothing can appear there.
((pg_snapshot_xmin(pg_current_snapshot())::text::bigint + :base::bigint) << 16)

-- name: feed
WITH walked AS MATERIALIZED (
    SELECT place, seq, day, test, type FROM event
    WHERE account = :account AND place > :after::bigint AND place < <border>
    ORDER BY place LIMIT :examined::integer
), found AS MATERIALIZED (
    SELECT place, seq, day FROM walked
    WHERE NOT test AND (:types::integer[] IS NULL OR type = ANY(:types::integer[]))
    ORDER BY place LIMIT :limit::integer
)
SELECT (SELECT max(place) FROM walked), EXISTS (
    SELECT 1 FROM event WHERE account = :account AND place > :after::bigint AND place >= <border>
), f.place, <event_columns>
FROM (SELECT 1) AS once LEFT JOIN (found AS f JOIN event AS e ON e.seq = f.seq AND e.day = f.day) ON true
ORDER BY f.place;

-- name: feed_bounds
SELECT
    coalesce((SELECT place FROM feed_floor WHERE account = :account), 0),
    coalesce((
        SELECT place FROM event WHERE account = :account AND place < <border> ORDER BY place DESC LIMIT 1
    ), 0);

-- name: missing
SELECT <event_columns> FROM (<events_by_types>) AS w
JOIN event AS e ON e.seq = w.seq AND e.day IN (((w.seq >> 21) / 86400000)::integer, 0)
WHERE e.account = :account AND NOT e.test
AND NOT EXISTS (
    SELECT 1 FROM delivery AS d
    WHERE d.endpoint = :endpoint::integer AND d.event = e.seq AND d.id BETWEEN e.first_delivery AND e.last_delivery
    AND d.day IN (((e.first_delivery >> 21) / 86400000)::integer, ((e.last_delivery >> 21) / 86400000)::integer, 0)
)
AND NOT EXISTS (
    SELECT 1 FROM delivery AS d WHERE d.event = e.seq AND d.origin <> 0 AND d.endpoint = :endpoint::integer
)
ORDER BY w.seq DESC LIMIT :wanted::integer;

-- Counts, configuration ---------------------------------------------------------------------------------------------

-- name: rollups
SELECT start_ms - start_ms % :step::bigint, endpoint, outcome, bucket, sum(count)::bigint FROM (
    SELECT start_ms, endpoint, outcome, bucket, count FROM rollup
    WHERE account = :account AND endpoint = ANY(:endpoints::integer[])
    AND start_ms >= :since::bigint AND start_ms < :first_hour::bigint
    UNION ALL
    SELECT start_ms, endpoint, outcome, bucket, count FROM rollup_long
    WHERE account = :account AND endpoint = ANY(:endpoints::integer[]) AND step_ms = 3600000
    AND start_ms >= :first_hour::bigint AND start_ms < :first_day::bigint
    UNION ALL
    SELECT start_ms, endpoint, outcome, bucket, count FROM rollup_long
    WHERE account = :account AND endpoint = ANY(:endpoints::integer[]) AND step_ms = 86400000
    AND start_ms >= :first_day::bigint AND start_ms < :last_day::bigint
    UNION ALL
    SELECT start_ms, endpoint, outcome, bucket, count FROM rollup_long
    WHERE account = :account AND endpoint = ANY(:endpoints::integer[]) AND step_ms = 3600000
    AND start_ms >= :last_day::bigint AND start_ms < :last_hour::bigint
    UNION ALL
    SELECT start_ms, endpoint, outcome, bucket, count FROM rollup
    WHERE account = :account AND endpoint = ANY(:endpoints::integer[])
    AND start_ms >= :last_hour::bigint AND start_ms < :until::bigint
    UNION ALL
    SELECT start_ms, endpoint, outcome, bucket, count FROM rollup_pending
    WHERE account = :account AND endpoint = ANY(:endpoints::integer[])
    AND start_ms >= :since::bigint AND start_ms < :until::bigint
) AS counted GROUP BY 1, 2, 3, 4;

-- name: document_version
SELECT kind, id, row, account, version, body FROM document_version
WHERE kind = :kind AND row = :row AND version = coalesce(:version::integer, version)
UNION
SELECT kind, id, row, account, version, body FROM document
WHERE kind = :kind AND row = :row AND version = coalesce(:version::integer, version)
ORDER BY version DESC LIMIT 1;

-- name: audit
SELECT id, at_ms, actor, action, subject, before, after FROM audit
WHERE account = :account AND id < :before::bigint ORDER BY id DESC LIMIT :limit::integer;
