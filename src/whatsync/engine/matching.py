"""Whether an endpoint wants an event that is already stored, and why not. The rules themselves are the model's.

Pure look-ups over what is handed in; used wherever deliveries are made or explained after the fact.
"""

from whatsync.engine.directory import RunningAccount
from whatsync.model.catalogue import DOCUMENTED, covered_by_wildcard, is_operational
from whatsync.model.endpoint import (
    META_TYPES,
    WILDCARD,
    Endpoint,
    Format,
    Why,
    passes_filters,
    subscribes,
    takes_number,
)
from whatsync.model.envelope import scalar_of
from whatsync.model.ids import ms_of
from whatsync.ports.store import EventRow


def why_not(endpoint: Endpoint, event: EventRow) -> Why | None:
    """Say why the endpoint as given would not get the event if it came now; ``None`` where it would."""
    if not subscribes(endpoint, event.type, covered_by_wildcard(event.type)):
        return Why.NOT_SUBSCRIBED
    if _is_about_itself(endpoint, event) or not _passes(endpoint, event):
        return Why.FILTERED
    return None if endpoint.enabled else Why.DISABLED


def why_not_then(endpoint: Endpoint, event: EventRow) -> Why | None:
    """Say why the endpoint, as it was when the event was accepted, did not get it."""
    if endpoint.created_ms > ms_of(event.seq):
        return Why.CREATED_LATER
    return why_not(endpoint, event)


def wanted_types(account: RunningAccount, endpoint: Endpoint) -> tuple[str, ...]:
    """The event types the endpoint subscribes to, ``*`` written out."""
    types = dict.fromkeys(name for name in endpoint.events if name != WILDCARD)
    if WILDCARD in endpoint.events:
        covered = META_TYPES if endpoint.format is Format.META else (*DOCUMENTED, *account.own_types)
        types.update(dict.fromkeys(covered))
    return tuple(types)


def _passes(endpoint: Endpoint, event: EventRow) -> bool:
    return takes_number(endpoint, event.number) and passes_filters(
        endpoint, event.type, lambda name: scalar_of(event.body, name)
    )


def _is_about_itself(endpoint: Endpoint, event: EventRow) -> bool:
    """An operational event about an endpoint never goes to that endpoint."""
    return is_operational(event.type) and scalar_of(event.body, "endpointId") == endpoint.id
