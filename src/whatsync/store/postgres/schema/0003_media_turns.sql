-- Files are claimed in turns: by account, then by when they are due.

CREATE INDEX media_turn ON media (account, due_ms, name) WHERE due_ms IS NOT NULL;
