"""What people do with deliveries: retry, cancel, resend. Each answer says what will happen, and then it does.

Knows no HTTP; reads through the history, writes through the store's verbs.
"""

import msgspec

from whatsync.engine.directory import Directory, RunningAccount, RunningEndpoint
from whatsync.engine.dispatch import Dispatcher
from whatsync.engine.matching import why_not
from whatsync.engine.quota import Quota
from whatsync.engine.resending import delivery_row
from whatsync.model import limits
from whatsync.model.delivery import FINAL, WAITING, Happening, State
from whatsync.model.errors import Conflict, NotFound, TooLarge, Unavailable
from whatsync.model.ids import Sequence, delivery_id
from whatsync.model.ids import delivery_row as row_of
from whatsync.ports.clock import Clock
from whatsync.ports.history import DeliveryView, History
from whatsync.ports.store import (
    Admission,
    DeliveryRow,
    EventRow,
    Origin,
    Settled,
    Settlement,
    Stale,
    Store,
    StoreUnavailable,
)


class Promise(msgspec.Struct, frozen=True):
    """What was done with a delivery and what follows. ``code`` is stable: ``will_be_sent``, ``under_way``,
    ``released``, ``cancelled``, ``cancelled_under_way``.
    """

    delivery: int
    state: State
    code: str
    sentence: str


class Resent(msgspec.Struct, frozen=True):
    """New deliveries of an old event: pairs of delivery and endpoint."""

    event: EventRow
    deliveries: tuple[tuple[int, RunningEndpoint], ...]


class Deliveries:
    """The deliveries of all accounts; each method looks inside one account only."""

    def __init__(
        self,
        *,
        directory: Directory,
        store: Store,
        history: History,
        dispatcher: Dispatcher,
        clock: Clock,
        sequence: Sequence,
        quota: Quota,
    ) -> None:
        self._directory = directory
        self._store = store
        self._history = history
        self._dispatcher = dispatcher
        self._clock = clock
        self._sequence = sequence
        self._quota = quota

    async def find(self, account: RunningAccount, public_id: str) -> DeliveryView:
        """Read a delivery by its public id. Raises NotFound."""
        row = row_of(public_id)
        view = None if row is None else await self._history.delivery(account.row, row)
        if view is None:
            raise NotFound("delivery_not_found", f"there is no delivery {public_id[:60]!r}; it may be past retention")
        return view

    async def retry(self, account: RunningAccount, public_id: str) -> Promise:
        """Try a waiting delivery now instead of when it is due; a held one of an enabled endpoint is released.

        Raises NotFound, Conflict where it is final, its endpoint is disabled, or another one has to go first.
        """
        view = await self.find(account, public_id)
        _refuse_final(view, "retried")
        endpoint = account.endpoints.get(view.endpoint)
        if endpoint is None or not endpoint.endpoint.enabled:
            raise Conflict("endpoint_disabled", _disabled_sentence(endpoint, 'with {"enabled": true, "held": "send"}'))
        if view.state is State.HELD:
            return await self._release(account, view)
        first = await self._history.waiting_for(account.row, view.id)
        if first is not None:
            raise Conflict(
                "waits_its_turn",
                f"events about one contact reach this endpoint in order: {delivery_id(first)} goes first; "
                "retry or cancel that one",
            )
        settled = await self._settle(account, view, Happening.RETRY, None)
        if settled.before not in WAITING:
            return await self.retry(account, public_id)  # It moved on while we looked.
        self._dispatcher.wake(view.endpoint)
        if settled.in_flight:
            return Promise(
                view.id,
                settled.after,
                "under_way",
                "It is being sent or is next in line in this moment, so nothing was changed; "
                "should that attempt fail, it is tried again by its schedule.",
            )
        return Promise(
            view.id, settled.after, "will_be_sent", "It is sent now, as soon as its endpoint has a free place."
        )

    async def _release(self, account: RunningAccount, view: DeliveryView) -> Promise:
        settled = await self._settle(account, view, Happening.RELEASED, None)
        if settled.before is not State.HELD:
            return await self.retry(account, delivery_id(view.id))
        self._dispatcher.wake(view.endpoint)
        return Promise(view.id, settled.after, "released", "It was held; it is released and sent now.")

    async def cancel(self, account: RunningAccount, public_id: str) -> Promise:
        """End a delivery that is not final. Raises NotFound, Conflict."""
        view = await self.find(account, public_id)
        _refuse_final(view, "cancelled")
        settled = await self._settle(account, view, Happening.CANCEL, "cancelled by request")
        if settled.before in FINAL:
            return await self.cancel(account, public_id)
        self._dispatcher.wake(view.endpoint)  # In order, the next one about the same contact may come forward.
        if settled.in_flight and not self._dispatcher.withdraw(view.endpoint, view.id):
            return Promise(
                view.id,
                settled.after,
                "cancelled_under_way",
                "It is cancelled. A request that is under way in this moment can't be called back and may still "
                "arrive; its attempt is recorded, and nothing more is sent.",
            )
        return Promise(view.id, settled.after, "cancelled", "It is cancelled; nothing more is sent.")

    async def resend(self, account: RunningAccount, event_id: str, endpoint_id: str | None = None) -> Resent:
        """Make new deliveries of an old event, to one endpoint or to all that want it now.

        Raises NotFound; Conflict where the endpoint is disabled, none wants the event, or it was a test.
        """
        event = await self._history.event(account.row, event_id)
        if event is None:
            raise NotFound("event_not_found", f"there is no event {event_id[:130]!r}; it may be past retention")
        if event.test:
            raise Conflict("test_event", "it was a test; send a new one with POST /v1/endpoints/{id}/test")
        while True:
            version = account.version
            endpoints = self._targets(account, event, endpoint_id)
            self._quota.take(account, len(endpoints), 0)
            now_ms = self._clock.now_ms()
            rows = tuple(
                delivery_row(event, endpoint, self._sequence.next(now_ms), now_ms, Origin.RESEND)
                for endpoint in endpoints
            )
            newer = await self._write(account, version, rows)
            if newer is None:
                return Resent(event, tuple((row.id, to) for row, to in zip(rows, endpoints, strict=True)))
            await self._directory.caught_up(account, newer)

    def _targets(self, account: RunningAccount, event: EventRow, endpoint_id: str | None) -> list[RunningEndpoint]:
        if endpoint_id is not None:
            endpoint = self._directory.endpoints_by_id.get(endpoint_id)
            if endpoint is None or endpoint.account.row != account.row:
                raise NotFound("endpoint_not_found", f"there is no endpoint {endpoint_id[:60]!r}")
            if not endpoint.endpoint.enabled:
                raise Conflict("endpoint_disabled", _disabled_sentence(endpoint, 'with {"enabled": true}'))
            return [endpoint]
        endpoints = [endpoint for endpoint in account.endpoints.values() if why_not(endpoint.endpoint, event) is None]
        if not endpoints:
            raise Conflict(
                "no_endpoint",
                f"no enabled endpoint wants {event.type} events like this one now; "
                "name one in endpointId to send it anyway",
            )
        if len(endpoints) > limits.DELIVERIES_PER_REQUEST_MAX:
            raise TooLarge("too_many_deliveries", f"{len(endpoints)} endpoints want it; name one in endpointId")
        return endpoints

    async def _write(self, account: RunningAccount, version: int, rows: tuple[DeliveryRow, ...]) -> int | None:
        """Write deliveries; returns the configuration's newer version where they were routed with an old one."""
        try:
            result = await self._store.accept(Admission(account.row, version, (), rows))
        except StoreUnavailable as problem:
            raise Unavailable("store_unavailable", problem.reason) from None
        if isinstance(result, Stale):
            return result.version
        for row in rows:
            self._dispatcher.wake(row.endpoint)
        return None

    async def _settle(
        self, account: RunningAccount, view: DeliveryView, happening: Happening, reason: str | None
    ) -> Settled:
        settlement = Settlement(account.row, happening, self._clock.now_ms(), deliveries=(view.id,), reason=reason)
        try:
            settled = await self._store.settle(settlement)
        except StoreUnavailable as problem:
            raise Unavailable("store_unavailable", problem.reason) from None
        if not settled:
            raise NotFound("delivery_not_found", f"there is no delivery {delivery_id(view.id)!r} any more")
        return settled[0]


def _refuse_final(view: DeliveryView, verb: str) -> None:
    if view.state in FINAL:
        raise Conflict(
            "delivery_final",
            f"the delivery is {view.state.value}, which is final, and can't be {verb}; "
            f"to send its event again: POST /v1/events/{view.event_id}/resend",
        )


def _disabled_sentence(endpoint: RunningEndpoint | None, how: str) -> str:
    if endpoint is None:
        return "the endpoint is deleted; its deliveries are being cancelled"
    return f"the endpoint is disabled; enable it first: PATCH /v1/endpoints/{endpoint.endpoint.id} {how}"
