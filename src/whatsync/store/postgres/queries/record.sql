-- Recording attempts.

-- name: given
-- The attempts of one statement; each delivery stands in it once.
SELECT * FROM unnest(
    :deliveries::bigint[], :started::bigint[], :dues::bigint[], :signed::bigint[], :totals::bigint[],
    :dns::bigint[], :connects::bigint[], :tls::bigint[], :first_bytes::bigint[],
    :days::integer[], :claims::integer[], :numbers::integer[], :tooks::integer[], :statuses::integer[],
    :codes::integer[], :endpoint_versions::integer[], :runs::integer[], :states::smallint[], :flags::smallint[],
    :details::bytea[], :addresses::bytea[], :signatures::bytea[], :answer_headers::bytea[], :answer_bodies::bytea[],
    :accounts::integer[], :endpoints::integer[], :outcomes::integer[], :buckets::smallint[]
) AS given(
    delivery, started_ms, due_ms, signed_s, total_us, dns_us, connect_us, tls_us, first_byte_us, day, claim, number,
    took_ms, status, code, endpoint_version, run, state, flags, detail, address, signatures, answer_headers,
    answer_body, account, endpoint, outcome, bucket
)

-- name: kept_columns
delivery, started_ms, due_ms, signed_s, total_us, dns_us, connect_us, tls_us, first_byte_us, day, claim, number,
took_ms, status, code, endpoint_version, run, state, flags, detail, address, signatures, answer_headers, answer_body

-- name: counted
-- Once for the endpoint, once for all of them; tests are not counted.
INSERT INTO rollup_pending (account, endpoint, start_ms, outcome, bucket, count)
SELECT s.account, counted.endpoint, (s.started_ms + s.took_ms) / 60000 * 60000, s.outcome, s.bucket, count(*)
FROM stands AS s CROSS JOIN LATERAL (VALUES (s.endpoint), (0)) AS counted(endpoint)
WHERE s.flags & 8 = 0
GROUP BY 1, 2, 3, 4, 5

-- name: decide
-- All whose claim holds: state, attempt and counts. Gives the deliveries it did so for. Every step takes all it needs
-- from the one before: parts of a statement that were joined with each other would cost their product.
WITH stands AS MATERIALIZED (
    SELECT g.*, o.attempts FROM (<given>) AS g JOIN open_delivery AS o ON o.id = g.delivery
    WHERE o.holder IS NOT NULL AND o.claim = g.claim
    ORDER BY o.id FOR UPDATE OF o
), ended AS (
    DELETE FROM open_delivery AS o USING stands AS s WHERE o.id = s.delivery AND s.state IN (1, 3, 4)
    RETURNING o.id, s.day, s.state, greatest(s.attempts, s.number) AS attempts, s.status, s.code,
        s.started_ms + s.took_ms AS ended_ms, s.total_us, s.account, s.endpoint
), moved AS (
    UPDATE open_delivery AS o SET
        state = s.state, holder = NULL, attempts = greatest(s.attempts, s.number), status = s.status, code = s.code,
        duration_us = s.total_us, reason = NULL, due_ms = CASE WHEN s.state IN (0, 2) THEN s.due_ms END
    FROM stands AS s WHERE o.id = s.delivery AND s.state NOT IN (1, 3, 4)
), closed AS (
    UPDATE delivery AS d SET
        state = e.state, attempts = e.attempts, status = e.status, code = e.code, reason = NULL, ended_ms = e.ended_ms,
        duration_us = e.total_us
    FROM ended AS e WHERE d.id = e.id AND d.day IN (e.day, 0)
), lost AS (
    INSERT INTO lost_delivery (id, account, endpoint, code, state)
    SELECT id, account, endpoint, code, state FROM ended WHERE state <> 1 OR code IS NOT NULL
), kept AS (
    INSERT INTO attempt (<kept_columns>)
    SELECT <kept_columns> FROM (
        SELECT s.delivery, s.started_ms, s.due_ms, s.signed_s, s.total_us, s.dns_us, s.connect_us, s.tls_us,
            s.first_byte_us,
            CASE WHEN EXISTS (SELECT 1 FROM delivery_open AS x WHERE x.id = s.delivery) THEN 0 ELSE s.day END AS day,
            s.claim, s.number, s.took_ms, s.status, s.code, s.endpoint_version, s.run, s.state, s.flags, s.detail,
            s.address, s.signatures, s.answer_headers, s.answer_body
        FROM stands AS s
    ) AS rows
), counts AS (
    <counted>
)
SELECT delivery FROM stands;

-- name: keep_late
-- One attempt whose claim no longer holds, kept in its delivery's day.
WITH stands AS MATERIALIZED (
    <given>
), kept AS (
    INSERT INTO attempt (<kept_columns>) SELECT <kept_columns> FROM stands
    ON CONFLICT (delivery, claim, day) DO UPDATE SET
        started_ms = excluded.started_ms, due_ms = excluded.due_ms, signed_s = excluded.signed_s,
        total_us = excluded.total_us, dns_us = excluded.dns_us, connect_us = excluded.connect_us,
        tls_us = excluded.tls_us, first_byte_us = excluded.first_byte_us, number = excluded.number,
        took_ms = excluded.took_ms, status = excluded.status, code = excluded.code,
        endpoint_version = excluded.endpoint_version, run = excluded.run, state = excluded.state,
        flags = excluded.flags, detail = excluded.detail, address = excluded.address,
        signatures = excluded.signatures, answer_headers = excluded.answer_headers,
        answer_body = excluded.answer_body
)
<counted>;

-- name: stands
-- Where a delivery stands: NULL in the second column and on once it is final.
SELECT d.day, o.state, o.claim, o.holder IS NOT NULL, o.endpoint, o.contact
FROM delivery AS d LEFT JOIN open_delivery AS o ON o.id = d.id
WHERE d.id = :delivery AND d.day IN (:day::integer, 0) FOR UPDATE OF d;

-- name: remove_attempt
DELETE FROM attempt WHERE delivery = :delivery AND claim = :claim AND day IN (:day::integer, 0);

-- name: close
-- A late success ends an open delivery.
WITH ended AS (
    DELETE FROM open_delivery WHERE id = :delivery RETURNING attempts
)
UPDATE delivery AS d SET
    state = 1, attempts = greatest(e.attempts, :number::integer), status = :status::integer, code = :code::integer,
    reason = NULL, ended_ms = :ended_ms::bigint, duration_us = :total_us::bigint
FROM ended AS e WHERE d.id = :delivery AND d.day IN (:day::integer, 0);

-- name: note_attempt_open
UPDATE open_delivery SET attempts = greatest(attempts, :number::integer) WHERE id = :delivery;

-- name: note_attempt_final
UPDATE delivery SET attempts = greatest(attempts, :number::integer)
WHERE id = :delivery AND day IN (:day::integer, 0);

-- name: put_health
INSERT INTO health (endpoint, body)
SELECT * FROM unnest(:endpoints::integer[], :bodies::bytea[]) AS given(endpoint, body) ORDER BY endpoint
ON CONFLICT (endpoint) DO UPDATE SET body = excluded.body;

-- name: contacts
SELECT id, endpoint, contact, turn FROM open_delivery WHERE id = ANY(:ids::bigint[]) AND contact IS NOT NULL;
