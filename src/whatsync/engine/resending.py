"""What making further deliveries of old events has in common: the rows, and which events still need one.

Reads the history, writes nothing. Knows no HTTP.
"""

from collections.abc import Sequence

import msgspec

from whatsync.engine.directory import RunningEndpoint
from whatsync.model import limits
from whatsync.model.delivery import OPEN, State
from whatsync.model.endpoint import Ordering
from whatsync.ports.history import DeliveryQuery, DeliveryView, History
from whatsync.ports.store import DeliveryRow, EventRow, Origin

Pair = tuple[int, int]
"""Row of an event and row of an endpoint."""


class Standing(msgspec.Struct):
    """Where one event stands at one endpoint, over all its deliveries there."""

    newest: int = 0
    """The newest of the deliveries below the ceiling that was asked for."""
    succeeded: int = 0
    """The newest delivery that succeeded."""
    open: bool = False


def delivery_row(event: EventRow, endpoint: RunningEndpoint, row: int, now_ms: int, origin: Origin) -> DeliveryRow:
    """A further delivery of ``event``, left in the store until its endpoint's lane takes it."""
    policy = endpoint.endpoint
    ordered = policy.ordering is Ordering.CONTACT
    return DeliveryRow(
        id=row,
        event=event.seq,
        account=endpoint.account.row,
        endpoint=endpoint.row,
        type=event.type,
        claimed=False,
        due_ms=now_ms,
        number=event.number,
        contact=event.contact if ordered else None,
        contact_wait_ms=policy.ordering_max_wait_seconds * 1000 if ordered else 0,
        origin=origin,
    )


async def standings(
    history: History, account: int, events: Sequence[int], ceiling: int, endpoint: int | None = None
) -> dict[Pair, Standing]:
    """Look up where events stand at each endpoint they were delivered to, tests left out."""
    found: dict[Pair, Standing] = {}
    query = DeliveryQuery(
        account, endpoint, events=tuple(events), test=False, limit=limits.PAGE_ITEMS_MAX, ascending=True
    )
    while events:
        page = await history.deliveries(query)
        for view in page.items:
            _count(found.setdefault((view.event, view.endpoint), Standing()), view, ceiling)
        if page.next is None:
            break
        query = msgspec.structs.replace(query, before=page.next)
    return found


def _count(standing: Standing, view: DeliveryView, ceiling: int) -> None:
    if view.id < ceiling:
        standing.newest = max(standing.newest, view.id)
    if view.state is State.SUCCEEDED:
        standing.succeeded = max(standing.succeeded, view.id)
    standing.open = standing.open or view.state in OPEN


async def event_behind(history: History, view: DeliveryView, endpoint: RunningEndpoint) -> EventRow | None:
    """The event of a delivery as far as a further one needs it: read only where its contact counts."""
    if endpoint.endpoint.ordering is Ordering.CONTACT:
        return await history.event_by_seq(view.account, view.event)
    return EventRow(view.event, view.account, view.event_id, view.type, b"", number=view.number)
