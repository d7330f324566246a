-- Accepting events. Locks come first: what a statement reads is what was committed when it began.

-- name: lock_accounts
SELECT pg_advisory_xact_lock_shared(1, account) FROM unnest(:accounts::integer[]) AS account;

-- name: lock_contacts
SELECT pg_advisory_xact_lock(contact) FROM unnest(:contacts::bigint[]) AS contact;

-- name: take_keys
-- The keys that nobody had, the versions that hold now.
WITH ids AS (
    INSERT INTO event_id (account, id, seq)
    SELECT * FROM unnest(:accounts::integer[], :ids::bytea[], :seqs::bigint[]) AS given(account, id, seq)
    ORDER BY account, id
    ON CONFLICT DO NOTHING RETURNING seq
), uses AS (
    INSERT INTO key_use (account, key, fingerprint, events, used)
    SELECT * FROM unnest(
        :use_accounts::integer[], :keys::bytea[], :fingerprints::bytea[], :use_events::bytea[], :used::bigint[]
    ) AS given(account, key, fingerprint, events, used)
    ORDER BY account, key
    ON CONFLICT DO NOTHING RETURNING account, key
)
SELECT
    array(SELECT seq FROM ids),
    array(SELECT account FROM uses),
    array(SELECT key FROM uses),
    array(
        SELECT row(account, version)::text FROM account_version WHERE account = ANY(:asked::integer[])
    );

-- name: versions
SELECT account, version FROM account_version WHERE account = ANY(:accounts::integer[]);

-- name: known_events
-- Locked, so that retention does not remove them meanwhile.
SELECT seq FROM event
WHERE seq = ANY(:seqs::bigint[]) AND day = ANY(:days::integer[]) ORDER BY seq FOR KEY SHARE;

-- name: last_open
-- Who is added stands behind all that is open.
SELECT given.id, (
    SELECT o.id FROM open_delivery AS o
    WHERE o.endpoint = given.endpoint AND o.contact = given.contact AND o.contact IS NOT NULL
    ORDER BY o.turn DESC LIMIT 1
)
FROM unnest(:ids::bigint[], :endpoints::integer[], :contacts::bigint[]) AS given(id, endpoint, contact);

-- name: write
WITH events AS (
    INSERT INTO event (
        seq, place, first_delivery, last_delivery, day, account, type, number, deliveries, test,
        id, contact, keys, details, body
    )
    SELECT seq, ((pg_current_xact_id()::text::bigint + :base::bigint) << 16) | (nth + :passed::bigint),
        first_delivery, last_delivery, day, account, type, number, deliveries, test, id, contact, keys, details, body
    FROM unnest(
        :seqs::bigint[], :firsts::bigint[], :lasts::bigint[], :days::integer[], :accounts::integer[],
        :types::integer[], :numbers::integer[], :made::integer[], :tests::boolean[], :ids::bytea[],
        :contacts::bytea[], :words::bytea[], :details::bytea[], :bodies::bytea[]
    ) WITH ORDINALITY AS given(
        seq, first_delivery, last_delivery, day, account, type, number, deliveries, test, id, contact, keys, details,
        body, nth
    )
), keys AS (
    INSERT INTO event_key (hash, seq, day)
    SELECT * FROM unnest(:hashes::bigint[], :hash_seqs::bigint[], :hash_days::integer[])
), deliveries AS (
    INSERT INTO delivery (id, event, day, account, endpoint, type, number, origin, ordered, state, attempts)
    SELECT id, event, day, account, endpoint, type, number, origin, contact IS NOT NULL, 0, 0
    FROM unnest(
        :d_ids::bigint[], :d_events::bigint[], :d_days::integer[], :d_accounts::integer[], :d_endpoints::integer[],
        :d_types::integer[], :d_numbers::integer[], :d_origins::smallint[], :d_contacts::bigint[]
    ) AS given(id, event, day, account, endpoint, type, number, origin, contact)
), open AS (
    INSERT INTO open_delivery (
        id, event, due_ms, contact, turn, contact_wait_ms, account, endpoint, holder, claim, attempts, state, origin
    )
    SELECT id, event, due_ms, contact, CASE WHEN contact IS NOT NULL THEN nextval('turn_number') END, wait_ms,
        account, endpoint, holder, claim, 0, 0, origin
    FROM unnest(
        :d_ids::bigint[], :d_events::bigint[], :d_dues::bigint[], :d_contacts::bigint[], :d_waits::bigint[],
        :d_accounts::integer[], :d_endpoints::integer[], :d_holders::integer[], :d_claims::integer[],
        :d_origins::smallint[]
    ) AS given(id, event, due_ms, contact, wait_ms, account, endpoint, holder, claim, origin)
), counts AS (
    INSERT INTO rollup_pending (account, endpoint, start_ms, outcome, bucket, count)
    SELECT account, 0, start_ms, :accepted::integer, 0, count
    FROM unnest(:c_accounts::integer[], :c_starts::bigint[], :c_counts::bigint[]) AS given(account, start_ms, count)
)
SELECT true;

-- name: key_use
SELECT fingerprint, events FROM key_use WHERE account = :account AND key = :key;

-- name: seqs_of_ids
SELECT id, seq FROM event_id WHERE account = :account AND id = ANY(:ids::bytea[]);

-- name: ids_of_seqs
SELECT seq, id FROM remembered WHERE seq = ANY(:seqs::bigint[]) AND account = :account;

-- name: events
SELECT seq, account, id, type, body, details, number, contact, keys, test, deliveries
FROM event WHERE account = :account AND seq = ANY(:seqs::bigint[]) AND day = ANY(:days::integer[]);
