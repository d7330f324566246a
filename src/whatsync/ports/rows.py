"""Rows of the history as a store takes them and gives them back: events, deliveries, attempts, an endpoint's health.
Frozen data; knows no store.
"""

from enum import IntEnum

import msgspec

from whatsync.model.delivery import State
from whatsync.model.health import Health


class Origin(IntEnum):
    """Why a delivery exists."""

    EVENT = 0
    RESEND = 1
    RECOVER = 2
    TEST = 3


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """One event as stored. ``seq`` is its 63-bit row sequence, whose upper bits are the accepting time in
    milliseconds.
    """

    seq: int
    account: int
    id: str
    type: str
    body: bytes
    """The canonical envelope without details."""
    details: bytes | None = None
    number: str | None = None
    """``phoneNumberId`` of the business number, where there is one."""
    contact: str | None = None
    """Whom it is about: the ordering key."""
    keys: tuple[str, ...] = ()
    """Further words it can be found by, each ``kind:value`` (``message:msg_…``, ``phone:+…``, ``contact:…``,
    ``wamid:…``).
    """
    test: bool = False
    deliveries: int = 0
    """How many deliveries were made when it was accepted; filled in by the store on reading."""


class DeliveryRow(msgspec.Struct, frozen=True, gc=False):
    """A new delivery. Handed over in memory (``claimed``, with claim number 1) or left waiting in the store until
    ``due_ms``.
    """

    id: int
    event: int
    account: int
    endpoint: int
    type: str
    claimed: bool
    due_ms: int
    number: str | None = None
    contact: str | None = None
    """Set for endpoints with ordering only. Then the store itself decides when it is due: at once where no earlier
    delivery to this endpoint about this contact is open, else when the one before has waited ``contact_wait_ms`` since
    it was made (``claimed`` counts for nothing). When a delivery ends in whatever way, the next one about that contact,
    if nothing has been tried for it, is brought forward: to at once, or to when the next earlier open one will have
    waited."""
    contact_wait_ms: int = 0
    origin: Origin = Origin.EVENT


class AttemptRow(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request that was made (or could not be made), and what it led to. Times in microseconds where they end
    in ``_us``.
    """

    delivery: int
    claim: int
    number: int
    account: int
    endpoint: int
    started_ms: int
    finished_ms: int
    state: State
    """What the delivery becomes if the claim still holds."""
    due_ms: int | None
    status: int | None
    code: str | None
    detail: str | None = None
    address: str | None = None
    reused: bool = False
    dns_us: int | None = None
    connect_us: int | None = None
    tls_us: int | None = None
    first_byte_us: int | None = None
    total_us: int = 0
    endpoint_version: int = 0
    """Version of the endpoint's document that was used: URL and headers as sent are read back from it."""
    signed_s: int = 0
    signatures: bytes = b""
    """The 32-byte HMACs as sent, one after the other: first the one of ``X-WhatsSync-Signature``, then those of
    ``webhook-signature``.
    """
    run: int = 0
    answer_headers: bytes = b""
    answer_body: bytes = b""
    truncated: bool = False
    test: bool = False
    ordered: bool = False
    """The delivery has a contact: its end brings the next one about that contact forward."""


class Waiting(msgspec.Struct, frozen=True):
    """A look at an endpoint: how long the oldest delivery that waited for it had been waiting."""

    account: int
    endpoint: int
    at_ms: int
    age_ms: int


class HealthRow(msgspec.Struct, frozen=True):
    """An endpoint's health, kept with the outcomes that changed it."""

    endpoint: int
    health: Health
