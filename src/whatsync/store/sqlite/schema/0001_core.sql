-- The tables of WhatsSync on SQLite.
--
-- Two ideas carry the hot path; whoever reads these tables has to know them:
--
-- 1. THE TAIL. Secondary indexes over a growing history cost a page per row and index, because each endpoint, type and
--    number appends at another place. So the big ones are tables of their own (the *_by_* tables below) that are filled
--    in bulk, a few thousand rows at a time. mark 'folded' says how far: every event (by seq) and delivery (by id) up
--    to it stands in them; rows above it, the tail, are found by walking the table itself above the mark. The mark and
--    the rows have to be read in one read transaction. Rows that are committed out of order, below the mark, are
--    entered at once. The tail holds a few thousand rows at most, and none while the server is quiet.
--
-- 2. LOOKUPS (identity, keyword) are keyed 64-bit hashes, kept newest first in runs of limited size. Hashes of events
--    above mark 'looked_up' are in memory only (lookup.py) and are made again from the events when the store opens. On
--    a hit the full text is compared.
--
-- Row numbers of events and deliveries hold their time (model/ids.py). Words that repeat (event types, phone number ids,
-- codes, reasons) are kept once in table word. Numbers of states: 0 pending, 1 succeeded, 2 retrying, 3 failed,
-- 4 cancelled, 5 held. Numbers of origins: as in ports/store.py.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE mark (
    name TEXT PRIMARY KEY,
    row INTEGER NOT NULL
) WITHOUT ROWID;

-- How many commits there were: tells after a failed COMMIT whether it took effect.
CREATE TABLE committed (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL
);

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    started_ms INTEGER NOT NULL,
    version TEXT NOT NULL
);

CREATE TABLE word (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);

-- Configuration -----------------------------------------------------------------------------------------------------

CREATE TABLE document (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    account INTEGER NOT NULL,
    version INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (kind, id)
);

-- Every version of the kinds that history points to (endpoints), the newest one included.
CREATE TABLE document_version (
    kind TEXT NOT NULL,
    row INTEGER NOT NULL,
    version INTEGER NOT NULL,
    id TEXT NOT NULL,
    account INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (kind, row, version)
) WITHOUT ROWID;

CREATE TABLE account_version (
    account INTEGER PRIMARY KEY,
    version INTEGER NOT NULL
);

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    before BLOB,
    after BLOB
);
CREATE INDEX audit_by_account ON audit (account, id);

CREATE TABLE health (
    endpoint INTEGER PRIMARY KEY,
    body BLOB NOT NULL
);

-- Events ------------------------------------------------------------------------------------------------------------

CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    type INTEGER NOT NULL,              -- word
    number INTEGER,                     -- word
    test INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,        -- made when it was accepted; see the next two
    delivery_offset INTEGER,            -- id of the first of them, minus seq; NULL where there is none
    delivery_span INTEGER,              -- id of the last minus id of the first
    place INTEGER,                      -- in the feed; NULL means seq. Set (above every place given before) where an
                                        -- event was committed after one with a higher seq
    id TEXT NOT NULL,
    contact TEXT,
    keys TEXT,                          -- further words it can be found by, joined by line feeds
    body BLOB NOT NULL,
    details BLOB
);
CREATE INDEX event_unmatched ON event (account) WHERE deliveries = 0;
CREATE INDEX event_late ON event (account, place) WHERE place IS NOT NULL;

CREATE TABLE event_by_type (
    account INTEGER NOT NULL,
    type INTEGER NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (account, type, event)
) WITHOUT ROWID;

CREATE TABLE event_by_number (
    account INTEGER NOT NULL,
    number INTEGER NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (account, number, event)
) WITHOUT ROWID;

-- Highest feed place of an account that retention removed something at.
CREATE TABLE feed_floor (
    account INTEGER PRIMARY KEY,
    place INTEGER NOT NULL
);

-- Ids of events that retention removed before the time ids are remembered for was over.
CREATE TABLE remembered (
    seq INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    id TEXT NOT NULL
);

-- Uses of an Idempotency-Key; used is the highest row number of what was admitted with it.
CREATE TABLE idempotency (
    used INTEGER PRIMARY KEY,
    account INTEGER NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    events BLOB NOT NULL                -- their seqs, 8 bytes each, big-endian
);

-- One run of a lookup: identity finds event.seq by (account, id) and idempotency.used by (account, key); keyword finds
-- event.seq by each further word. Newest run = highest number. filter: bits of its hashes, once it is full.
CREATE TABLE lookup_run (
    kind INTEGER NOT NULL,              -- 0 identity, 1 keyword
    run INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    last_row INTEGER NOT NULL,          -- highest row number it leads to
    filter BLOB,
    PRIMARY KEY (kind, run)
);

CREATE TABLE identity (
    run INTEGER NOT NULL,
    hash INTEGER NOT NULL,
    row INTEGER NOT NULL,
    PRIMARY KEY (run, hash, row)
) WITHOUT ROWID;

CREATE TABLE keyword (
    run INTEGER NOT NULL,
    hash INTEGER NOT NULL,
    row INTEGER NOT NULL,
    PRIMARY KEY (run, hash, row)
) WITHOUT ROWID;

-- Deliveries --------------------------------------------------------------------------------------------------------

-- A row keeps its size when its first attempt succeeds, so that it is overwritten in place: at_ms serves two ends, and
-- outcome is wide from the start.
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY,
    event INTEGER NOT NULL,
    account INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    type INTEGER NOT NULL,              -- word
    number INTEGER,                     -- word
    state INTEGER NOT NULL,
    in_flight INTEGER NOT NULL,         -- 1: claimed (only while pending or retrying)
    queued INTEGER NOT NULL,            -- 1: open and in the indexes of open deliveries. 0: final; or in the tail,
                                        -- pending and in flight since it was accepted (folding sets it to 1)
    at_ms INTEGER,                      -- pending, retrying: when it is due (meaningless while in flight);
                                        -- final: when it ended; held: meaningless
    attempts INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    outcome INTEGER NOT NULL,           -- 1 << 46 before any; else that + (1 << 45) + (duration_us << 10) + status,
                                        -- of the attempt that decided last; status 0 where no answer came
    code INTEGER,                       -- word; of that attempt
    origin INTEGER NOT NULL,
    contact INTEGER,                    -- keyed hash; ordered endpoints only
    contact_wait_ms INTEGER,
    reason INTEGER                      -- word
);
-- Finding what is due, and claims to take back.
CREATE INDEX delivery_queue ON delivery (endpoint, in_flight, at_ms) WHERE queued = 1 AND state IN (0, 2);
-- Open deliveries of an endpoint by state, oldest first.
CREATE INDEX delivery_open ON delivery (endpoint, state) WHERE queued = 1;
CREATE INDEX delivery_contact ON delivery (endpoint, contact) WHERE contact IS NOT NULL AND state IN (0, 2, 5);
-- Resends, recoveries and tests; the other deliveries of an event lie together (event.delivery_offset).
CREATE INDEX delivery_added ON delivery (event) WHERE origin <> 0;
CREATE INDEX delivery_test ON delivery (account) WHERE origin = 3;
-- What went wrong is looked for across everything else.
CREATE INDEX delivery_state ON delivery (account, state) WHERE state > 1;
CREATE INDEX delivery_lost ON delivery (endpoint, state) WHERE state IN (3, 4);
CREATE INDEX delivery_pending ON delivery (account) WHERE queued = 1 AND state = 0;
CREATE INDEX delivery_code ON delivery (account, code) WHERE code IS NOT NULL;

CREATE TABLE delivery_by_endpoint (
    endpoint INTEGER NOT NULL,
    delivery INTEGER NOT NULL,
    PRIMARY KEY (endpoint, delivery)
) WITHOUT ROWID;

CREATE TABLE delivery_by_type (
    account INTEGER NOT NULL,
    type INTEGER NOT NULL,
    delivery INTEGER NOT NULL,
    PRIMARY KEY (account, type, delivery)
) WITHOUT ROWID;

CREATE TABLE delivery_by_number (
    account INTEGER NOT NULL,
    number INTEGER NOT NULL,
    delivery INTEGER NOT NULL,
    PRIMARY KEY (account, number, delivery)
) WITHOUT ROWID;

CREATE TABLE attempt (
    delivery INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    number INTEGER NOT NULL,
    state INTEGER NOT NULL,
    flags INTEGER NOT NULL,             -- 1 late, 2 connection reused, 4 answer truncated, 8 test, 16 ordered
    started_ms INTEGER NOT NULL,
    took_ms INTEGER NOT NULL,           -- finished_ms - started_ms
    due_ms INTEGER,
    status INTEGER,
    code INTEGER,                       -- word
    dns_us INTEGER,
    connect_us INTEGER,
    tls_us INTEGER,
    first_byte_us INTEGER,
    total_us INTEGER NOT NULL,
    endpoint_version INTEGER NOT NULL,
    signed_s INTEGER NOT NULL,
    run INTEGER NOT NULL,
    detail TEXT,
    address TEXT,
    signatures BLOB NOT NULL,
    answer_headers BLOB NOT NULL,
    answer_body BLOB NOT NULL,
    PRIMARY KEY (delivery, claim)
) WITHOUT ROWID;

-- Rollups -----------------------------------------------------------------------------------------------------------

CREATE TABLE rollup (
    account INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,          -- 0: all of them, and accepted events
    start_ms INTEGER NOT NULL,
    outcome INTEGER NOT NULL,           -- word
    bucket INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (account, endpoint, start_ms, outcome, bucket)
) WITHOUT ROWID;

-- Counts of the commits since the last fold, not in rollup yet: add them when reading. MessagePack, a list of
-- [account, endpoint, start_ms, outcome (text), bucket, count].
CREATE TABLE rollup_pending (
    id INTEGER PRIMARY KEY,
    body BLOB NOT NULL
);

INSERT INTO mark (name, row) VALUES ('folded', -1), ('looked_up', -1);
INSERT INTO committed (id, number) VALUES (1, 0);
