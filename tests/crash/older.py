"""``python older.py serve``: the real server as it was before the newest migration, to be upgraded under load. What has
changed since is put back here; with the next migration this file is written anew. Nothing but its test imports this.
"""

import sys

from whatsync.cli.app import main
from whatsync.store.postgres import schema
from whatsync.store.postgres.statements import statements

SCHEMA = 5
"""The last migration it knows."""
BEFORE = {
    ("history.sql", "events_unmatched"): "SELECT x.seq FROM event AS x WHERE x.account = :account AND x.deliveries = 0 "
    "AND <seq_between> AND <of_days> ORDER BY x.seq DESC LIMIT :limit::integer",
}

if __name__ == "__main__":
    known = {number: text for number, text in schema.migrations().items() if number <= SCHEMA}
    schema.migrations = lambda: known
    for (file, name), text in BEFORE.items():
        assert name in statements(file).names()
        statements(file)._texts[name] = text
    sys.argv[0] = "whatsync"
    main()
