"""An endpoint: a customer's URL, the events it wants and how they are delivered to it. Pure data and the question
``wants``.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec

from whatsync.model import limits
from whatsync.model.account import SealedSecrets

WILDCARD = "*"

Scalar = str | int | float | bool | None


class Ordering(StrEnum):
    """Whether events about one contact keep their order on the way to this endpoint."""

    NONE = "none"
    CONTACT = "contact"


class Format(StrEnum):
    """Whose envelope the endpoint gets: ours, or Meta's own."""

    WHATSYNC = "whatsync"
    META = "meta"


META_TYPES = ("message.incoming", "message.status")
"""The documented types that have a shape at Meta; besides them, an endpoint of that format gets ``whatsapp.…``."""


class DisabledBy(StrEnum):
    """Why an endpoint is not enabled."""

    USER = "user"
    GONE = "gone"
    FAILING = "failing"


class Release(StrEnum):
    """What to do with held deliveries when an endpoint is enabled."""

    SEND = "send"
    DROP = "drop"
    KEEP = "keep"


class Why(StrEnum):
    """Why an endpoint did not get an event; the words ``GET /v1/messages`` uses."""

    NOT_SUBSCRIBED = "not_subscribed"
    FILTERED = "filtered"
    DISABLED = "disabled"
    CREATED_LATER = "created_later"


class Endpoint(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Document kind ``endpoint``. ``headers`` and ``secrets`` are sealed; ``None`` in a policy field means the
    installation's default.
    """

    id: str
    url: str
    events: tuple[str, ...]
    created_ms: int
    updated_ms: int
    description: str = ""
    enabled: bool = True
    disabled_by: DisabledBy | None = None
    disabled_ms: int | None = None
    enabled_ms: int | None = None
    """When it was last enabled again: failures from before that count no more."""
    numbers: tuple[str, ...] | None = None
    filters: dict[str, dict[str, tuple[Scalar, ...]]] = {}
    headers: dict[str, str] = {}
    retry_schedule: tuple[float, ...] | None = None
    timeout_seconds: float | None = None
    max_in_flight: int | None = None
    rate_limit_per_second: float | None = None
    ordering: Ordering = Ordering.NONE
    ordering_max_wait_seconds: int = limits.ORDERING_MAX_WAIT_SECONDS
    include_details: bool = False
    format: Format = Format.WHATSYNC
    secrets: SealedSecrets | None = None
    release: Release | None = None
    """Held deliveries still to be sent or dropped in the background; ``None`` when there is nothing to do."""
    release_until: int | None = None
    """Highest delivery row the release reaches: what is held later is not its business."""


def needs_owner(endpoint: Endpoint) -> bool:
    """Say whether one node at a time must send to it: its order and its limits hold over all nodes together."""
    return (
        endpoint.ordering is Ordering.CONTACT
        or endpoint.rate_limit_per_second is not None
        or endpoint.max_in_flight is not None
    )


def subscribes(endpoint: Endpoint, event_type: str, covered_by_wildcard: bool) -> bool:
    """Say whether the endpoint lists this type, by name or by ``*`` where that covers it."""
    if event_type in endpoint.events:
        return True
    meta = endpoint.format is Format.META and event_type not in META_TYPES
    return covered_by_wildcard and not meta and WILDCARD in endpoint.events


def takes_number(endpoint: Endpoint, number: str | None) -> bool:
    """Say whether the endpoint wants events of this business number; one that names numbers wants no others."""
    return endpoint.numbers is None or number in endpoint.numbers


def passes_filters(endpoint: Endpoint, event_type: str, field: Callable[[str], Scalar]) -> bool:
    """Say whether the field filters let the event through. ``field`` reads a scalar of the event's data by name."""
    wanted: Mapping[str, tuple[Scalar, ...]] = endpoint.filters.get(event_type, {})
    return all(field(name) in values for name, values in wanted.items())
