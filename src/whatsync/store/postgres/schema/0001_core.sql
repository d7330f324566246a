-- The tables of WhatsSync on PostgreSQL.
--
-- Three ideas carry them; whoever reads these tables has to know them:
--
-- 1. DAYS. event, event_key, delivery and attempt are partitioned by the day of their own row number (day = Unix
--    milliseconds of the row / 86,400,000). Row numbers hold their time (model/ids.py), so a row is looked for in its
--    day and in day 0: what outlives its day (because something is still on its way) is moved to day 0, and then the
--    day is dropped. Days are made ahead; a row whose day is missing makes it.
--
-- 2. OPEN DELIVERIES stand in open_delivery as long as they are not final; all that changes while a delivery is on its
--    way changes there. Table delivery is written when it is made and once more when it ends; none of its indexed
--    columns ever changes, so that update touches no index (HOT). Failed and cancelled ones get a row in lost_delivery,
--    which is what is looked through for what went wrong.
--
-- 3. PLACES. The feed's order is (transaction, place in it): place = (transaction id + base) << 16 | number in the
--    transaction. Whoever reads only below the oldest transaction that still runs can skip nothing, however commits
--    come out of order. The base is raised where transaction ids begin anew (a dump read into another server).
--
-- Texts that come from outside are bytea: PostgreSQL's text can't hold a zero character. Words that repeat (event
-- types, phone number ids, codes, reasons) are kept once in table word. Numbers of states: 0 pending, 1 succeeded,
-- 2 retrying, 3 failed, 4 cancelled, 5 held. Numbers of origins: as in ports/store.py.

CREATE TABLE meta (
    name text PRIMARY KEY,
    value bytea NOT NULL
);

-- The clock that all nodes go by.
CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql AS $$
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

-- One run of one node: the epoch that claims belong to. lease_until is by this server's clock, the only one that counts.
CREATE TABLE run (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node text NOT NULL,                 -- who it is, kept in the node's data folder
    label text NOT NULL,                -- for people
    version text NOT NULL,
    role text NOT NULL DEFAULT 'all',
    started_ms bigint NOT NULL,
    lease_until timestamptz NOT NULL,
    leaving boolean NOT NULL DEFAULT false,
    ended boolean NOT NULL DEFAULT false,   -- it begins nothing any more
    cleared boolean NOT NULL DEFAULT false  -- nothing of it is under way, and its claims and posts are free
);
CREATE INDEX run_alive ON run (id) WHERE NOT cleared;

-- What one run does at a time: endpoints that have an owner, duties.
CREATE TABLE post (
    name text PRIMARY KEY,
    run integer NOT NULL
);

-- Every transaction that a run writes with begins so: the run goes on, and can't be cleared until the transaction ends.
CREATE FUNCTION hold_run(wanted integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(8, wanted);
    PERFORM 1 FROM run WHERE id = wanted AND NOT ended;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'run % is over', wanted USING ERRCODE = 'WS001';
    END IF;
END
$$;

CREATE TABLE word (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text bytea NOT NULL UNIQUE
);

-- Configuration -----------------------------------------------------------------------------------------------------

CREATE TABLE document (
    row integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    id bytea NOT NULL,
    account integer NOT NULL,
    version integer NOT NULL,
    changed bigint NOT NULL DEFAULT 0,  -- see change_count
    body bytea NOT NULL,
    UNIQUE (kind, id)
);
CREATE INDEX document_changed ON document (changed);

-- Documents that were removed. Kept: a node that slept for long has to learn of them.
CREATE TABLE document_gone (
    row integer PRIMARY KEY,
    changed bigint NOT NULL,
    kind text NOT NULL,
    id bytea NOT NULL
);
CREATE INDEX document_gone_changed ON document_gone (changed);

-- One row: how many changes of configuration there were. Each raises it as the last thing before its commit, and so
-- waits for the one before it to be over: the numbers are in the order of commits, and none appears behind a higher one.
CREATE TABLE change_count (
    number bigint NOT NULL
);
INSERT INTO change_count (number) VALUES (0);

-- Every version of the kinds that history points to (endpoints), the newest one included.
CREATE TABLE document_version (
    kind text NOT NULL,
    row integer NOT NULL,
    version integer NOT NULL,
    id bytea NOT NULL,
    account integer NOT NULL,
    until_row bigint,                   -- highest row number in use when it was replaced or its endpoint deleted; NULL
                                        -- while it is the present one. Only older deliveries can have used it
    body bytea NOT NULL,
    PRIMARY KEY (kind, row, version)
);
CREATE INDEX document_version_old ON document_version (account) WHERE until_row IS NOT NULL;

CREATE TABLE account_version (
    account integer PRIMARY KEY,
    version integer NOT NULL,
    changed bigint NOT NULL DEFAULT 0
);
CREATE INDEX account_version_changed ON account_version (changed);

CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account integer NOT NULL,
    at_ms bigint NOT NULL,
    actor bytea NOT NULL,
    action bytea NOT NULL,
    subject bytea NOT NULL,
    before bytea,
    after bytea
);
CREATE INDEX audit_by_account ON audit (account, id);

CREATE TABLE health (
    endpoint integer PRIMARY KEY,
    body bytea NOT NULL
);

-- Keys that are unique across days -------------------------------------------------------------------------------------

CREATE TABLE event_id (
    account integer NOT NULL,
    id bytea NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (account, id)
) PARTITION BY HASH (account, id);

-- Ids of events that retention removed before the time ids are remembered for was over.
CREATE TABLE remembered (
    seq bigint PRIMARY KEY,
    account integer NOT NULL,
    id bytea NOT NULL
);
CREATE INDEX remembered_by_account ON remembered (account, seq);

-- Uses of an Idempotency-Key; used is the highest row number of what was admitted with it.
CREATE TABLE key_use (
    account integer NOT NULL,
    key bytea NOT NULL,
    fingerprint bytea NOT NULL,
    events bytea NOT NULL,              -- their seqs, 8 bytes each, big-endian
    used bigint NOT NULL,
    PRIMARY KEY (account, key)
) PARTITION BY HASH (account, key);
CREATE INDEX key_use_by_age ON key_use (account, used);

-- Which types an account has had events or deliveries of: its lists are these types' lists merged.
CREATE TABLE account_type (
    account integer NOT NULL,
    type integer NOT NULL,              -- word
    PRIMARY KEY (account, type)
);

-- Events ------------------------------------------------------------------------------------------------------------

CREATE TABLE event (
    seq bigint NOT NULL,
    place bigint NOT NULL,
    first_delivery bigint,              -- the deliveries made when it was accepted lie between these two
    last_delivery bigint,
    day integer NOT NULL,
    account integer NOT NULL,
    type integer NOT NULL,              -- word
    number integer,                     -- word
    deliveries integer NOT NULL,        -- made when it was accepted
    test boolean NOT NULL,
    id bytea NOT NULL,
    contact bytea,
    keys bytea,                         -- further words it can be found by, joined by line feeds
    details bytea,
    body bytea NOT NULL,
    PRIMARY KEY (seq, day)
) PARTITION BY LIST (day);
CREATE INDEX event_by_type ON event (account, type, seq);
CREATE INDEX event_by_number ON event (account, number, seq) WHERE number IS NOT NULL;
CREATE INDEX event_unmatched ON event (account, seq) WHERE deliveries = 0;
CREATE INDEX event_by_place ON event (account, place);

-- Finds events by each of their further words: a keyed 64-bit hash. On a hit the word itself is compared.
CREATE TABLE event_key (
    hash bigint NOT NULL,
    seq bigint NOT NULL,
    day integer NOT NULL
) PARTITION BY LIST (day);
CREATE INDEX event_key_by_hash ON event_key (hash, seq);

-- Highest place of an account that retention removed something at.
CREATE TABLE feed_floor (
    account integer PRIMARY KEY,
    place bigint NOT NULL
);

-- Deliveries --------------------------------------------------------------------------------------------------------

CREATE TABLE delivery (
    id bigint NOT NULL,
    event bigint NOT NULL,
    day integer NOT NULL,
    account integer NOT NULL,
    endpoint integer NOT NULL,
    type integer NOT NULL,              -- word
    number integer,                     -- word
    origin smallint NOT NULL,
    ordered boolean NOT NULL,
    state smallint NOT NULL,            -- 0 until it is final: see open_delivery
    attempts integer NOT NULL,          -- from here on: once it is final
    status integer,
    code integer,                       -- word
    reason integer,                     -- word
    ended_ms bigint,
    duration_us bigint,
    PRIMARY KEY (id, day)
) PARTITION BY LIST (day);
CREATE INDEX delivery_by_endpoint ON delivery (endpoint, id);
CREATE INDEX delivery_by_type ON delivery (account, type, id);
CREATE INDEX delivery_by_number ON delivery (account, number, id) WHERE number IS NOT NULL;
-- Resends, recoveries and tests; the other deliveries of an event lie together (event.first_delivery).
CREATE INDEX delivery_added ON delivery (event) WHERE origin <> 0;
CREATE INDEX delivery_test ON delivery (account, id) WHERE origin = 3;

CREATE TABLE open_delivery (
    id bigint PRIMARY KEY,
    event bigint NOT NULL,
    due_ms bigint,                      -- pending, retrying and unclaimed: when it is due
    contact bigint,                     -- keyed hash; ordered endpoints only
    turn bigint,                        -- with a contact: the order about it, which is that of commits
    contact_wait_ms bigint,
    duration_us bigint,                 -- of the attempt that decided last
    account integer NOT NULL,
    endpoint integer NOT NULL,
    holder integer,                     -- the run that has claimed it
    claim integer NOT NULL,
    attempts integer NOT NULL,
    status integer,
    code integer,                       -- word
    reason integer,                     -- word
    state smallint NOT NULL,
    origin smallint NOT NULL
) WITH (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);
-- Finding what is due: by endpoint, never across another one's rows.
CREATE INDEX open_delivery_queue ON open_delivery (endpoint, due_ms, id) WHERE holder IS NULL AND state IN (0, 2);
CREATE INDEX open_delivery_by_endpoint ON open_delivery (endpoint, state, id);
CREATE INDEX open_delivery_by_account ON open_delivery (account, state, id);
CREATE INDEX open_delivery_by_contact ON open_delivery (endpoint, contact, turn) WHERE contact IS NOT NULL;
-- Drawn while the contact is locked.
CREATE SEQUENCE turn_number;
CREATE INDEX open_delivery_by_code ON open_delivery (account, code, id) WHERE code IS NOT NULL;

-- Failed and cancelled deliveries, and any final one with a code.
CREATE TABLE lost_delivery (
    id bigint PRIMARY KEY,
    account integer NOT NULL,
    endpoint integer NOT NULL,
    code integer,                       -- word
    state smallint NOT NULL
);
CREATE INDEX lost_delivery_by_endpoint ON lost_delivery (endpoint, state, id);
CREATE INDEX lost_delivery_by_account ON lost_delivery (account, state, id);
CREATE INDEX lost_delivery_by_code ON lost_delivery (account, code, id) WHERE code IS NOT NULL;

CREATE TABLE attempt (
    delivery bigint NOT NULL,
    started_ms bigint NOT NULL,
    due_ms bigint,
    signed_s bigint NOT NULL,
    total_us bigint NOT NULL,
    dns_us bigint,
    connect_us bigint,
    tls_us bigint,
    first_byte_us bigint,
    day integer NOT NULL,
    claim integer NOT NULL,
    number integer NOT NULL,
    took_ms integer NOT NULL,           -- from start to end
    status integer,
    code integer,                       -- word
    endpoint_version integer NOT NULL,
    run integer NOT NULL,
    state smallint NOT NULL,
    flags smallint NOT NULL,            -- 1 late, 2 connection reused, 4 answer truncated, 8 test, 16 ordered
    detail bytea,
    address bytea,
    signatures bytea NOT NULL,
    answer_headers bytea NOT NULL,
    answer_body bytea NOT NULL,
    PRIMARY KEY (delivery, claim, day)
) PARTITION BY LIST (day);

-- Rollups -----------------------------------------------------------------------------------------------------------

CREATE TABLE rollup (
    account integer NOT NULL,
    endpoint integer NOT NULL,          -- 0: all of them, and accepted events
    start_ms bigint NOT NULL,
    outcome integer NOT NULL,           -- word
    bucket smallint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (account, endpoint, start_ms, outcome, bucket)
);

-- What was counted since the last fold, not in rollup yet: add it when reading. Only inserted into, so that no two
-- commits wait for the same count.
CREATE TABLE rollup_pending (
    account integer NOT NULL,
    endpoint integer NOT NULL,
    start_ms bigint NOT NULL,
    outcome integer NOT NULL,
    bucket smallint NOT NULL,
    count bigint NOT NULL
);

-- Up to where an account's minutes have been added up to hours.
CREATE TABLE rollup_mark (
    account integer NOT NULL,
    endpoint integer NOT NULL,
    until_ms bigint NOT NULL,
    PRIMARY KEY (account, endpoint)
);

-- Fixed partitions --------------------------------------------------------------------------------------------------

DO $$
BEGIN
    FOR n IN 0..7 LOOP
        EXECUTE format('CREATE TABLE event_id_%s PARTITION OF event_id FOR VALUES WITH (MODULUS 8, REMAINDER %s)', n, n);
        EXECUTE format('CREATE TABLE key_use_%s PARTITION OF key_use FOR VALUES WITH (MODULUS 8, REMAINDER %s)', n, n);
    END LOOP;
END
$$;

CREATE TABLE event_open PARTITION OF event FOR VALUES IN (0);
CREATE TABLE event_key_open PARTITION OF event_key FOR VALUES IN (0);
CREATE TABLE delivery_open PARTITION OF delivery FOR VALUES IN (0);
CREATE TABLE attempt_open PARTITION OF attempt FOR VALUES IN (0);

INSERT INTO meta (name, value) VALUES
    ('hash_key', sha256(gen_random_uuid()::text::bytea || gen_random_uuid()::text::bytea)),
    ('place_base', '0');

-- Days --------------------------------------------------------------------------------------------------------------

-- Make a day's partitions. They are made apart and then attached, which stops neither readers nor writers.
CREATE FUNCTION make_day(wanted integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    part text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['event', 'event_key', 'delivery', 'attempt'] LOOP
        part := parent || '_' || wanted;
        IF to_regclass(quote_ident(part)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, parent);
            IF parent = 'delivery' THEN
                EXECUTE format('ALTER TABLE %I SET (fillfactor = 85)', part);
            END IF;
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (%s)', parent, part, wanted);
        END IF;
    END LOOP;
END
$$;

-- Drop a day in which nothing is left; false where something is.
CREATE FUNCTION drop_day(wanted integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    part text;
    used boolean;
BEGIN
    FOREACH parent IN ARRAY ARRAY['event', 'event_key', 'delivery', 'attempt'] LOOP
        part := parent || '_' || wanted;
        IF to_regclass(quote_ident(part)) IS NOT NULL THEN
            EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent);
            EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', part) INTO used;
            IF used THEN
                RETURN false;
            END IF;
        END IF;
    END LOOP;
    FOREACH parent IN ARRAY ARRAY['event', 'event_key', 'delivery', 'attempt'] LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', parent || '_' || wanted);
    END LOOP;
    RETURN true;
END
$$;
