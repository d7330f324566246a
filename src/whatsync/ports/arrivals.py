"""What a store keeps of sources: raw bodies, elements set aside, contacts, and counts. Plain data for both sides.

``ports/store.py`` has the verbs that write them, ``ports/history.py`` those that read them.
"""

import msgspec


class BodyRow(msgspec.Struct, frozen=True, gc=False):
    """A source's request as it came, kept for the retention time."""

    seq: int
    """Row sequence; holds when it came."""
    source: int
    """Row of the source's document."""
    body: bytes
    """Packed or not, as the engine likes; the store does not look into it."""
    updates: int = 0
    """Elements in it."""
    test: bool = False


class SetAsideRow(msgspec.Struct, frozen=True, gc=False):
    """An element of a body that became no event (yet)."""

    seq: int
    """Row sequence of its own."""
    body: int
    """``BodyRow.seq``."""
    source: int
    account: int
    """Row of the account whose number it names; 0 where it is nobody's."""
    reason: str
    """Stable word."""
    path: str
    sentence: str
    number: str | None = None
    reference: str | None = None
    """The message's own id at the source."""
    count: int = 1
    """Elements it stands for: all of one body that are for one unassigned number are one row."""


class ContactRow(msgspec.Struct, frozen=True, gc=False):
    """A person as an account knows him. ``words`` lead to him: ``phone:+…``, ``user:…``; a word leads to one person."""

    account: int
    id: str
    """``contact_…``, stable for life."""
    words: tuple[str, ...]
    version: int
    """Rises with each write; 0 only in what is not stored yet."""
    seen_ms: int
    """Time of the newest thing said about his name or phone, by the source."""
    phone: str | None = None
    user_id: str | None = None
    name: str | None = None


class Count(msgspec.Struct, frozen=True, gc=False):
    """How often something happened at a source within a quarter of an hour. ``number`` is empty where it is about none.

    ``what`` is one of ``webhook`` (requests), ``update``, ``duplicate``, ``set_aside``, ``rejected`` (bad signature).
    """

    source: int
    number: str
    start_ms: int
    what: str
    count: int
    first_ms: int
    last_ms: int


class TakenIn(msgspec.Struct, frozen=True):
    """All of it is on disk, except the events of these rows, which existed already, and what hangs on them."""

    passed: tuple[int, ...]


class Outdated(msgspec.Struct, frozen=True):
    """Nothing was written: configurations have moved on to these versions (by account), or contacts have changed."""

    versions: dict[int, int]
    contacts: tuple[tuple[int, str], ...]
    """Account and id of contacts that had another version than expected."""


class SetAsideQuery(msgspec.Struct, frozen=True):
    """Filters of what was set aside, joined by *and*; rows below ``before``, newest first."""

    source: int | None = None
    account: int | None = None
    number: str | None = None
    reason: str | None = None
    reference: str | None = None
    before: int | None = None
    limit: int = 50
