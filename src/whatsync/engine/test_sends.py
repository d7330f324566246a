"""Test sends: the documented example of an event type, fresh and marked as a test, one attempt at one endpoint.

Outside its lane, so that a disabled or crowded endpoint can be tried too; recorded like any attempt. Knows no HTTP.
"""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from enum import StrEnum

import msgspec

from whatsync.engine.attempt import Attempter
from whatsync.engine.directory import Directory, RunningAccount, RunningEndpoint
from whatsync.engine.ingest import event_row
from whatsync.engine.outcome import Outcome
from whatsync.engine.quota import Quota
from whatsync.engine.recorder import Recorder
from whatsync.engine.rotation import made_secret
from whatsync.engine.standing import SOLE, Standing
from whatsync.model.arrival import Arrival, draft_of_arrival
from whatsync.model.catalogue import CATALOGUE, Kind, kind_of
from whatsync.model.delivery import State
from whatsync.model.details import Details
from whatsync.model.endpoint import Format
from whatsync.model.envelope import Draft, decode_submissions, draft_of
from whatsync.model.errors import FieldError, Invalid, NotFound, Unavailable
from whatsync.model.ids import Sequence, delivery_id
from whatsync.model.signature import Signer
from whatsync.model.timestamp import format_time
from whatsync.ports.clock import Clock
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import (
    Accepted,
    Admission,
    Claimed,
    DeliveryRow,
    EventRow,
    Origin,
    Stale,
    Store,
    StoreUnavailable,
)

_TRIES = 20
_RECORD_SECONDS_MAX = 10.0
_EXAMPLE_NUMBER = "106540352242922"
"""The ``phoneNumberId`` of examples, for endpoints that are not bound to numbers."""


class Signing(StrEnum):
    """What a test is signed with."""

    PRESENT = "present"
    """As every request is now."""
    NEWEST = "newest"
    """As it will be after the switch of a rotation."""
    FORGED = "forged"
    """With a secret nobody knows: a receiver that verifies refuses it."""


class TestSent(msgspec.Struct, frozen=True):
    """A test that was sent; whether it succeeded stands in ``outcome``."""

    __test__ = False  # the name is the product's; it is no test case

    delivery: str
    event: EventRow
    outcome: Outcome


class TestSends:
    """Sends tests. ``new_id`` makes an event id with the given prefix; ``observe`` hears of each attempt;
    ``meta_example`` makes Meta's body for an event type, number, wamid and time (s), where Meta has one;
    ``whatsapp_example`` gives what a ``whatsapp.…`` event is made of, for type, number, wamid and time (ms), where one
    is known.
    """

    __test__ = False  # the name is the product's; it is no test case

    def __init__(
        self,
        *,
        directory: Directory,
        store: Store,
        recorder: Recorder,
        attempter: Attempter,
        clock: Clock,
        sequence: Sequence,
        new_id: Callable[[str], str],
        quota: Quota,
        observe: Callable[[Outcome, RunningEndpoint], None],
        randomness: Randomness,
        standing: Standing = SOLE,
        meta_example: Callable[[str, str, str, int], bytes | None] = lambda *_: None,
        whatsapp_example: Callable[[str, str, str, int], Arrival | None] = lambda *_: None,
    ) -> None:
        self._standing = standing
        self._directory = directory
        self._store = store
        self._recorder = recorder
        self._attempter = attempter
        self._clock = clock
        self._sequence = sequence
        self._new_id = new_id
        self._quota = quota
        self._observe = observe
        self._randomness = randomness
        self._meta_example = meta_example
        self._whatsapp_example = whatsapp_example
        self._tasks: set[asyncio.Task[TestSent]] = set()

    async def send(
        self, account: RunningAccount, endpoint_id: str, event_type: str, signing: Signing = Signing.PRESENT
    ) -> TestSent:
        """Send the example of ``event_type`` once and return what came of it; subscriptions and filters do not count.

        Goes on to the end, record included, when the caller is cancelled. Raises NotFound, Invalid, LimitExceeded,
        Unavailable.
        """
        running = self._directory.endpoints_by_id.get(endpoint_id)
        if running is None or running.account.row != account.row:
            raise NotFound("endpoint_not_found", f"there is no endpoint {endpoint_id[:40]!r}")
        draft = self._draft(running, event_type)
        self._quota.take(account, 1, len(draft.body))
        if not self._recorder.gate_open:
            raise Unavailable("store_unavailable", "results can't be recorded now, so nothing is sent; try again later")
        if not self._standing.covers(running):
            raise Unavailable("lease_lost", "the database was not heard of for too long, so nothing is sent; try again")
        task = asyncio.get_running_loop().create_task(self._send(running, draft, self._signer(running, signing)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    def _signer(self, running: RunningEndpoint, signing: Signing) -> Signer | None:
        if signing is Signing.PRESENT:
            return None
        if signing is Signing.FORGED:
            unknown = made_secret(self._randomness)
            return Signer(unknown, (unknown,))
        secrets = (running.keyring or running.account.keyring).secrets
        _, valid = secrets.signing_secrets(self._clock.now_ms())
        return Signer(secrets.current, (secrets.current, *(one for one in valid if one != secrets.current)))

    async def _send(self, running: RunningEndpoint, draft: Draft, signer: Signer | None) -> TestSent:
        claimed = await self._accept(running, draft)
        outcome = await self._attempter.attempt(claimed, running, signer)
        self._observe(outcome, running)
        await self._record(outcome)
        return TestSent(delivery_id(claimed.id), claimed.event, outcome)

    async def _accept(self, running: RunningEndpoint, draft: Draft) -> Claimed:
        """Write the event and its one delivery, claimed by us."""
        account = running.account
        for _ in range(_TRIES):
            now_ms = self._clock.now_ms()
            event = event_row(draft, self._sequence.next(now_ms), account.row, test=True)
            row = DeliveryRow(
                id=self._sequence.next(now_ms),
                event=event.seq,
                account=account.row,
                endpoint=running.row,
                type=event.type,
                claimed=True,
                due_ms=now_ms,
                number=event.number,
                origin=Origin.TEST,
            )
            try:
                result = await self._store.accept(Admission(account.row, account.version, (event,), (row,)))
            except StoreUnavailable as problem:
                raise Unavailable("store_unavailable", problem.reason) from None
            if isinstance(result, Accepted):
                return Claimed(row.id, 1, 0, State.PENDING, event, None, Origin.TEST)
            if isinstance(result, Stale):
                await self._directory.caught_up(account, result.version)
        raise Unavailable("configuration_changing", "the account is being changed all the time; try again")

    async def _record(self, outcome: Outcome) -> None:
        """Wait until the attempt is on disk. It gets there even where the caller is told that it takes long."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def recorded(_held: bool) -> None:
            if not written.done():
                written.set_result(None)

        self._recorder.add(outcome.row, recorded)
        patience = asyncio.ensure_future(self._clock.sleep(_RECORD_SECONDS_MAX))
        try:
            await asyncio.wait((written, patience), return_when=asyncio.FIRST_COMPLETED)
        finally:
            patience.cancel()
        if not written.done():
            raise Unavailable("store_unavailable", "the test was sent, but its result can't be written down yet")

    # The example

    def _draft(self, running: RunningEndpoint, event_type: str) -> Draft:
        now_ms = self._clock.now_ms()
        own_types = running.account.own_types
        known = CATALOGUE.get(event_type)
        if known is None:
            arrival = self._arrival(running, event_type, now_ms)
            if arrival is not None:
                return draft_of_arrival(arrival, now_ms, None, None)
            if event_type not in own_types:
                raise Invalid([FieldError("event", _no_example(event_type))])
            body = msgspec.json.encode({"event": event_type, "data": {}})
            return decode_submissions(body, now_ms, own_types, self._new_id)[0]
        data = dict(known.example["data"])
        for field in known.fields:
            if field.is_time and data.get(field.name) is not None:
                data[field.name] = format_time(now_ms)
        event_id = self._new_id(known.id_prefix)
        details = self._details(running, event_type, event_id, now_ms) if known.kind is Kind.DOCUMENTED else None
        return draft_of(event_type, event_id, now_ms, msgspec.json.encode(data), details)

    def _arrival(self, running: RunningEndpoint, event_type: str, now_ms: int) -> Arrival | None:
        """What Meta says beside messages, under an id of its own each time."""
        if kind_of(event_type) is not Kind.WHATSAPP:
            return None
        event_id, number = self._new_id("evt_"), _number_of(running)
        arrival = self._whatsapp_example(event_type, number, _wamid_of(event_id), now_ms)
        return None if arrival is None else msgspec.structs.replace(arrival, id=event_id)

    def _details(self, running: RunningEndpoint, event_type: str, event_id: str, now_ms: int) -> Details | None:
        """Meta's own body for an endpoint that gets these; else details where they are asked for."""
        policy, number = running.endpoint, _number_of(running)
        if policy.format is Format.META:
            wamid = _wamid_of(event_id)
            raw = self._meta_example(event_type, number, wamid, now_ms // 1000)
            if raw is not None:
                return Details(number=number, wamid=wamid, type="text", raw=msgspec.Raw(raw))
        return _example_details(number) if policy.include_details else None


def _number_of(running: RunningEndpoint) -> str:
    numbers = running.endpoint.numbers
    return numbers[0] if numbers else _EXAMPLE_NUMBER


def _wamid_of(event_id: str) -> str:
    return "wamid." + b64encode(event_id.encode()).decode()


def _example_details(number: str) -> Details:
    """Details as they may look, so that the endpoint's owner sees their place in the body."""
    return Details(number=number, type="text", contact_id="contact_123456", profile_name="John Doe")


def _no_example(event_type: str) -> str:
    if kind_of(event_type) is Kind.WHATSAPP:
        return "is a type of Meta's own that has no example here; choose another, or one of GET /v1/event-types"
    return f"there is no event type {event_type[:80]!r}; GET /v1/event-types lists them"
