"""The tables that are moved, in order, and how a row of SQLite becomes rows of PostgreSQL. Asks no database."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from whatsync.store.keyed_hash import Hash
from whatsync.store.postgres.coding import raw

Row = tuple[Any, ...]

STEPS = (
    "run", "word", "document", "document_version", "account_version", "audit", "health", "event", "event_id",
    "event_key", "remembered", "key_use", "feed_floor", "account_type", "delivery", "open_delivery", "lost_delivery",
    "attempt", "rollup", "rollup_long", "rollup_mark", "source_body", "set_aside", "contact", "contact_word",
    "arrival_count", "media",
)  # fmt: skip
_PLAIN_TEXT = frozenset({"node", "label", "version", "role", "kind"})
"""Columns that hold only words of our own; every other text is kept as bytes."""
_TRUTHS = frozenset({"leaving", "ended", "cleared", "test", "ordered"})
_KEY_COLUMNS = ("hash", "seq", "day")


class Converter:
    """One table's rows turned from SQLite's into PostgreSQL's."""

    def __init__(self, table: str, columns: Sequence[str], hash_of: Hash) -> None:
        self._hash_of = hash_of
        self._is_key = table == "event_key"
        self.columns = _KEY_COLUMNS if self._is_key else tuple(columns)
        self._kinds = [_kind(column) for column in columns]

    def rows(self, row: Sequence[Any]) -> Iterator[Row]:
        """What becomes of a row."""
        if self._is_key:
            account, keys, seq, day = row
            for word in dict.fromkeys(keys.split("\n")):
                yield self._hash_of(account, word), seq, day
        else:
            yield tuple([_converted(kind, value) for kind, value in zip(self._kinds, row, strict=True)])


def _kind(column: str) -> str:
    if column in _TRUTHS:
        return "truth"
    if column == "lease_until":
        return "time"
    return "text" if column in _PLAIN_TEXT else "any"


def _converted(kind: str, value: Any) -> Any:
    if kind == "truth":
        return bool(value)
    if kind == "time":
        return datetime.fromtimestamp(value, UTC)
    if kind == "any" and isinstance(value, str):
        return raw(value)
    return value
