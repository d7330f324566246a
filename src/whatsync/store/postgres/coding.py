"""How rows are written down in PostgreSQL, beyond what all adapters write alike: texts as bytes, days, events."""

from collections.abc import Sequence
from typing import Any

from whatsync.model.ids import ms_of
from whatsync.ports.store import EventRow

DAY_MS = 86_400_000
OPEN_DAY = 0
"""The partition of what has outlived its day."""
ROW_MAX = (1 << 63) - 1


def raw(text: str) -> bytes:
    """A text as it is kept: any character, zero and lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")


def text_of(data: bytes) -> str:
    """Read back what ``raw`` wrote."""
    return data.decode("utf-8", "surrogatepass")


def raw_or_none(text: str | None) -> bytes | None:
    """The same where there may be none."""
    return None if text is None else raw(text)


def text_or_none(data: bytes | None) -> str | None:
    """The same where there may be none."""
    return None if data is None else text_of(data)


def day_of(row: int) -> int:
    """The day that a row was made in."""
    return ms_of(row) // DAY_MS


def days_of(rows: Sequence[int]) -> list[int]:
    """Each row's day, as far as a column can hold it."""
    return [min(ms_of(row) // DAY_MS, (1 << 31) - 1) for row in rows]


def read_event(row: Sequence[Any], type_: str, number: str | None) -> EventRow:
    """Read columns seq, account, id, type, body, details, number, contact, keys, test, deliveries; the words' texts
    are given.
    """
    seq, account, event_id, _, body, details, _, contact, keys, test, deliveries = row
    return EventRow(
        seq,
        account,
        text_of(event_id),
        type_,
        body,
        details,
        number,
        text_or_none(contact),
        tuple(text_of(keys).split("\n")) if keys else (),
        test,
        deliveries,
    )
