-- What sources bring: raw bodies, what was set aside of them, people, and counts.

CREATE TABLE source_body (
    seq INTEGER PRIMARY KEY,
    source INTEGER NOT NULL,
    test INTEGER NOT NULL,
    updates INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX source_body_by_source ON source_body (source, seq);

CREATE TABLE set_aside (
    seq INTEGER PRIMARY KEY,
    body INTEGER NOT NULL,
    source INTEGER NOT NULL,
    account INTEGER NOT NULL,           -- 0: nobody's
    count INTEGER NOT NULL,
    reason TEXT NOT NULL,
    path TEXT NOT NULL,
    sentence TEXT NOT NULL,
    number TEXT,
    reference TEXT
);
CREATE INDEX set_aside_body ON set_aside (body);
CREATE INDEX set_aside_source ON set_aside (source, seq);
CREATE INDEX set_aside_number ON set_aside (number, seq) WHERE number IS NOT NULL;
CREATE INDEX set_aside_reference ON set_aside (reference, seq) WHERE reference IS NOT NULL;

CREATE TABLE contact (
    account INTEGER NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    phone TEXT,
    user_id TEXT,
    name TEXT,
    PRIMARY KEY (account, id)
) WITHOUT ROWID;

-- A word (phone:…, user:…) leads to one person.
CREATE TABLE contact_word (
    account INTEGER NOT NULL,
    word TEXT NOT NULL,
    contact TEXT NOT NULL,
    PRIMARY KEY (account, word)
) WITHOUT ROWID;
CREATE INDEX contact_word_by_contact ON contact_word (account, contact);

CREATE TABLE arrival_count (
    source INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,          -- of a quarter of an hour
    number TEXT NOT NULL,               -- empty: about none
    what TEXT NOT NULL,
    count INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (source, number, start_ms, what)
) WITHOUT ROWID;
CREATE INDEX arrival_count_by_time ON arrival_count (source, start_ms);
