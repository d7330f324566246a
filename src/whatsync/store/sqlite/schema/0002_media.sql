-- Media files: one row from the moment their URL is public. The bytes lie elsewhere (ports/media_store.py).
-- Numbers of states: 0 waiting, 1 stored, 2 failed, 3 removed.

CREATE TABLE media (
    name TEXT NOT NULL UNIQUE,
    account INTEGER NOT NULL,
    event INTEGER NOT NULL,             -- row of the event that keeps it
    id TEXT NOT NULL,
    state INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    due_ms INTEGER,                     -- when there is something to do; while claimed: when the claim ends
    claimed INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    size INTEGER,
    mime_type TEXT,
    reason TEXT,
    sha256 BLOB NOT NULL,
    task BLOB NOT NULL
);
CREATE INDEX media_due ON media (due_ms, name) WHERE due_ms IS NOT NULL;
CREATE INDEX media_claimed ON media (claimed) WHERE claimed = 1;
CREATE INDEX media_event ON media (event);
CREATE INDEX media_ended ON media (changed_ms) WHERE state > 1 AND due_ms IS NULL;
