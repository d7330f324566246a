-- What sources bring (raw bodies, what was set aside of them, people, counts), and media files.
-- Numbers of media states: 0 waiting, 1 stored, 2 failed, 3 removed.

CREATE TABLE source_body (
    seq bigint PRIMARY KEY,
    source integer NOT NULL,
    updates integer NOT NULL,
    test boolean NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX source_body_by_source ON source_body (source, seq);

CREATE TABLE set_aside (
    seq bigint PRIMARY KEY,
    body bigint NOT NULL,
    source integer NOT NULL,
    account integer NOT NULL,           -- 0: nobody's
    count integer NOT NULL,
    reason bytea NOT NULL,
    path bytea NOT NULL,
    sentence bytea NOT NULL,
    number bytea,
    reference bytea
);
CREATE INDEX set_aside_body ON set_aside (body);
CREATE INDEX set_aside_source ON set_aside (source, seq);
CREATE INDEX set_aside_number ON set_aside (number, seq) WHERE number IS NOT NULL;
CREATE INDEX set_aside_reference ON set_aside (reference, seq) WHERE reference IS NOT NULL;

CREATE TABLE contact (
    account integer NOT NULL,
    version integer NOT NULL,
    seen_ms bigint NOT NULL,
    id bytea NOT NULL,
    phone bytea,
    user_id bytea,
    name bytea,
    PRIMARY KEY (account, id)
);

-- A word (phone:…, user:…) leads to one person.
CREATE TABLE contact_word (
    account integer NOT NULL,
    word bytea NOT NULL,
    contact bytea NOT NULL,
    PRIMARY KEY (account, word)
);
CREATE INDEX contact_word_by_contact ON contact_word (account, contact);

CREATE TABLE arrival_count (
    source integer NOT NULL,
    start_ms bigint NOT NULL,           -- of a quarter of an hour
    number bytea NOT NULL,              -- empty: about none
    what bytea NOT NULL,
    count bigint NOT NULL,
    first_ms bigint NOT NULL,
    last_ms bigint NOT NULL,
    PRIMARY KEY (source, number, start_ms, what)
);
CREATE INDEX arrival_count_by_time ON arrival_count (source, start_ms);

CREATE TABLE media (
    name bytea PRIMARY KEY,
    event bigint NOT NULL,              -- row of the event that keeps it
    created_ms bigint NOT NULL,
    changed_ms bigint NOT NULL,
    due_ms bigint,                      -- when there is something to do; while claimed: when the claim ends
    size bigint,
    account integer NOT NULL,
    holder integer,                     -- the run that has claimed it
    claim integer NOT NULL,
    attempts integer NOT NULL,
    state smallint NOT NULL,
    id bytea NOT NULL,
    mime_type bytea,
    reason bytea,
    sha256 bytea NOT NULL,
    task bytea NOT NULL
);
CREATE INDEX media_due ON media (due_ms, name) WHERE due_ms IS NOT NULL;
CREATE INDEX media_event ON media (event);
CREATE INDEX media_ended ON media (changed_ms) WHERE state > 1 AND due_ms IS NULL;
