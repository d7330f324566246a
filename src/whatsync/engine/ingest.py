"""Accepts events: decode, route, one durable write, then hand over. The first half of every event's way.

The ordinary case runs without a coroutine of its own; duplicates, stale routing and look-ups take the slow path. Knows
no HTTP.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import msgspec
from msgspec.structs import replace

from whatsync.engine.directory import Directory, RunningAccount, RunningEndpoint
from whatsync.engine.dispatch import Dispatcher
from whatsync.engine.quota import Quota
from whatsync.engine.receipt import Receipt, Timestamp
from whatsync.engine.watch import Notice
from whatsync.model import limits
from whatsync.model.delivery import State
from whatsync.model.endpoint import Ordering, passes_filters
from whatsync.model.envelope import Draft, decode_in_steps, decode_submissions, draft_of, same_content
from whatsync.model.erased import erased_body, shows_erased
from whatsync.model.errors import Conflict, FieldError, Invalid, TooLarge, Unavailable
from whatsync.model.ids import Sequence
from whatsync.ports.clock import Clock
from whatsync.ports.history import History
from whatsync.ports.media import MediaRow
from whatsync.ports.store import (
    Accepted,
    AcceptResult,
    Admission,
    Claimed,
    DeliveryRow,
    Duplicates,
    EventRow,
    Idempotency,
    Replayed,
    Stale,
    Store,
    StoreUnavailable,
)

Done = Callable[[list[Receipt] | Exception], None]
"""Takes the receipts after the commit, or why there are none: Conflict, Invalid or Unavailable."""


class _Plan:
    """An admission with what has to happen once it is on disk."""

    __slots__ = ("account", "admission", "done", "drafts", "idempotency", "known", "media", "not_to", "reserved")

    def __init__(
        self,
        account: RunningAccount,
        drafts: list[Draft],
        done: Done,
        idempotency: Idempotency | None,
        not_to: int | None = None,
        media: MediaRow | None = None,
    ) -> None:
        self.account = account
        self.drafts = drafts
        self.done = done
        self.idempotency = idempotency
        self.not_to = not_to
        self.admission = _NOTHING
        self.reserved: list[bool] = []
        self.known: list[Receipt | None] | None = None
        """Receipts of drafts that turned out to be accepted before, by position; ``None`` while there is none."""
        self.media = media


class Ingest:
    """The accepting door's engine."""

    def __init__(
        self,
        *,
        directory: Directory,
        store: Store,
        history: History,
        dispatcher: Dispatcher,
        clock: Clock,
        sequence: Sequence,
        new_id: Callable[[str], str],
        quota: Quota,
    ) -> None:
        self._directory = directory
        self._store = store
        self._history = history
        self._dispatcher = dispatcher
        self._clock = clock
        self._sequence = sequence
        self._new_id = new_id
        self._quota = quota
        self.accepted = 0
        self.listeners: dict[int, asyncio.Event] = {}
        """Feed readers waiting for an account's next event."""
        self._slow: set[asyncio.Task[None]] = set()
        self.on_media: Callable[[], None] = _nothing
        """Called when files that have to be fetched are on disk."""

    def accept(
        self, account: RunningAccount, raw: bytes, idempotency: Idempotency | None = None
    ) -> "asyncio.Future[list[Receipt]]":
        """Accept the body of ``POST /v1/events``. The future ends after the commit.

        Raises a Problem at once where the input is wrong or a limit is reached; the future may raise Conflict or
        Unavailable, and, after a large body, whatever else is wrong with it.
        """
        answer: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()
        self.begin(account, raw, idempotency, partial(_settle, answer))
        return answer

    def begin(self, account: RunningAccount, raw: bytes, idempotency: Idempotency | None, done: Done) -> None:
        """The same for who is called back: once, and perhaps before this returns."""
        self._quota.admit(account, 1, len(raw))
        if len(raw) > limits.DECODED_AT_ONCE_BYTES_MAX:
            self._run_slow(self._begin_large(account, raw, idempotency, done))
            return
        drafts = decode_submissions(raw, self._clock.now_ms(), account.own_types, self._new_id)
        self._quota.count(account, len(drafts), len(raw))
        plan = _Plan(account, drafts, done, idempotency)
        if account.orders:
            self._start(plan)
        else:
            self._write(plan)

    def emit(self, notice: Notice) -> "asyncio.Future[list[Receipt]]":
        """Accept an operational event of our own. Telling the same notice twice is one event."""
        account = self._directory.accounts[notice.account]
        draft = draft_of(notice.type, notice.id, self._clock.now_ms(), msgspec.json.encode(notice.data))
        answer: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_seen)
        self._start(_Plan(account, [draft], partial(_settle, answer), None, notice.not_to))
        return answer

    def submit(
        self,
        account: RunningAccount,
        draft: Draft,
        idempotency: Idempotency | None = None,
        media: MediaRow | None = None,
    ) -> "asyncio.Future[list[Receipt]]":
        """Accept an event that was made here, and the file that came with it, whose ``event`` is filled in."""
        answer: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()
        plan = _Plan(account, [draft], partial(_settle, answer), idempotency, media=media)
        self._start(plan)
        return answer

    # The ordinary case

    def _start(self, plan: _Plan) -> None:
        if plan.account.orders and any(draft.contact is None and draft.message_id is not None for draft in plan.drafts):
            self._run_slow(self._find_contacts(plan))
        else:
            self._write(plan)

    def _write(self, plan: _Plan) -> None:
        self._plan(plan)
        try:
            written = self._store.accept(plan.admission)
        except StoreUnavailable as problem:
            self._undo(plan)
            plan.done(Unavailable("store_unavailable", problem.reason))
            return
        written.add_done_callback(partial(self._written, plan))

    def _plan(self, plan: _Plan) -> None:
        now_ms = self._clock.now_ms()
        account, drafts = plan.account, plan.drafts
        events: list[EventRow] = []
        rows: list[DeliveryRow] = []
        reserved: list[bool] = []
        if plan.known is not None:
            drafts = [draft for draft, known in zip(drafts, plan.known, strict=True) if known is None]
        for draft in drafts:
            seq = self._sequence.next(now_ms)
            events.append(event_row(draft, seq, account.row))
            for endpoint in account.route(draft.event_type, draft.number):
                if endpoint.row == plan.not_to or (endpoint.endpoint.filters and not wants(endpoint, draft)):
                    continue
                row, place = self._delivery(draft, seq, endpoint, now_ms)
                rows.append(row)
                reserved.append(place)
            if len(rows) > limits.DELIVERIES_PER_REQUEST_MAX:
                break  # Refused below; what else it would make is not worked out.
        # A key is kept even where every event was known before: a later request with it is judged by it, too.
        used = 0 if plan.idempotency is None or events else self._sequence.next(now_ms)
        plan.admission = Admission(
            account.row, account.version, tuple(events), tuple(rows), plan.idempotency, used=used
        )
        if plan.media is not None and events:
            media = (replace(plan.media, event=events[0].seq),)
            plan.admission = replace(plan.admission, media=media)
        plan.reserved = reserved
        if len(rows) > limits.DELIVERIES_PER_REQUEST_MAX:
            self._undo(plan)
            raise TooLarge(
                "too_many_deliveries",
                f"the request would make more than {limits.DELIVERIES_PER_REQUEST_MAX:,} deliveries: "
                "send fewer events at a time",
            )

    def _delivery(self, draft: Draft, seq: int, endpoint: RunningEndpoint, now_ms: int) -> tuple[DeliveryRow, bool]:
        place = self._dispatcher.reserve(endpoint)
        contact, wait_ms = None, 0
        policy = endpoint.endpoint
        if policy.ordering is _BY_CONTACT:
            contact, wait_ms = draft.contact, policy.ordering_max_wait_seconds * 1000
        row = DeliveryRow(
            id=self._sequence.next(now_ms),
            event=seq,
            account=endpoint.account.row,
            endpoint=endpoint.row,
            type=draft.event_type,
            claimed=place,
            due_ms=now_ms,
            number=draft.number,
            contact=contact,
            contact_wait_ms=wait_ms,
        )
        return row, place

    def _written(self, plan: _Plan, written: "asyncio.Future[AcceptResult]") -> None:
        problem = written.exception()
        if problem is not None:
            self._undo(plan)
            if isinstance(problem, StoreUnavailable):
                problem = Unavailable("store_unavailable", problem.reason)
            plan.done(problem if isinstance(problem, Exception) else RuntimeError("the store gave up"))
            return
        result = written.result()
        if type(result) is Accepted:
            try:
                self.hand_over(plan.admission, plan.reserved)
                receipts: list[Receipt] | Exception = _receipts(plan)
            except Exception as bug:  # noqa: BLE001 - whoever waits gets it
                receipts = bug
            plan.done(receipts)
        else:
            self._undo(plan)
            self._run_slow(self._settle(plan, result))

    def _undo(self, plan: _Plan) -> None:
        self.forget(plan.admission, plan.reserved)
        plan.reserved = []
        plan.admission = _NOTHING

    # For whoever writes admissions himself

    def deliveries_of(
        self, account: RunningAccount, draft: Draft, seq: int, now_ms: int
    ) -> list[tuple[DeliveryRow, bool]]:
        """The deliveries of an event to be, each with whether a place in its lane was reserved for it."""
        return [
            self._delivery(draft, seq, endpoint, now_ms)
            for endpoint in account.route(draft.event_type, draft.number)
            if wants(endpoint, draft)
        ]

    def hand_over(self, admission: Admission, reserved: list[bool], passed: frozenset[int] = frozenset()) -> None:
        """The admission is on disk, except the events of the rows ``passed``: have the rest of it sent."""
        events = admission.events
        self.accepted += len(events) - len(passed)
        at = 0
        for row, place in zip(admission.deliveries, reserved, strict=True):
            while events[at].seq != row.event:
                at += 1
            if passed and row.event in passed:
                self._dispatcher.forget(row.endpoint, place)
            elif place:
                claimed = Claimed(row.id, 1, 0, _PENDING, events[at], row.contact, row.origin)
                self._dispatcher.hand_over(row.endpoint, claimed)
            else:
                self._dispatcher.left_waiting(row.endpoint, row.due_ms)
        if admission.media:
            self.on_media()
        listener = self.listeners.pop(admission.account, None)
        if listener is not None:
            listener.set()

    def forget(self, admission: Admission, reserved: list[bool]) -> None:
        """The admission was not written: give its places back."""
        for row, place in zip(admission.deliveries, reserved, strict=True):
            self._dispatcher.forget(row.endpoint, place)

    # The slow path

    async def _begin_large(
        self, account: RunningAccount, raw: bytes, idempotency: Idempotency | None, done: Done
    ) -> None:
        """Accept a large body: read a few milliseconds at a time, so that nobody else waits for it."""
        try:
            drafts: list[Draft] = []
            until = self._clock.monotonic() + limits.DECODE_TURN_SECONDS
            for step in decode_in_steps(raw, self._clock.now_ms(), account.own_types, self._new_id):
                drafts = step
                if self._clock.monotonic() >= until:
                    await self._clock.sleep(0)
                    until = self._clock.monotonic() + limits.DECODE_TURN_SECONDS
            self._quota.take(account, len(drafts), len(raw))
            self._start(_Plan(account, drafts, done, idempotency))
        except Exception as problem:  # noqa: BLE001 - whoever waits for the answer gets it
            done(problem)

    def _run_slow(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._slow.add(task)
        task.add_done_callback(self._slow.discard)

    async def _settle(self, plan: _Plan, result: AcceptResult) -> None:
        try:
            if isinstance(result, Stale):
                await self._directory.caught_up(plan.account, result.version)
                self._write(plan)
            elif isinstance(result, Replayed):
                _check_replay(plan, result)
                plan.done(await self._replay(plan, result))
            elif isinstance(result, Duplicates):
                known = self._note_duplicates(plan, result)
                if plan.idempotency is None and all(receipt is not None for receipt in known):
                    plan.done(_receipts(plan))
                else:
                    self._write(plan)
        except Exception as problem:  # noqa: BLE001 - whoever waits for the answer gets it
            plan.done(problem)

    async def _replay(self, plan: _Plan, result: Replayed) -> list[Receipt]:
        """The receipts of the first time. Events whose ids had been taken before it are not kept with the key."""
        given = {draft.id for draft in plan.drafts if draft.id_given}
        by_id = {row.id: row for row in result.events}
        made = iter([row for row in result.events if row.id not in given])
        receipts = []
        for draft in plan.drafts:
            if not draft.id_given:
                row = next(made, None)
            else:
                row = by_id.get(draft.id) or await self._history.event(plan.account.row, draft.id)
            known = Receipt(draft.id, draft.event_type, draft.timestamp, 0, repeated=True)
            receipts.append(known if row is None or not row.body else _receipt_of(row))
        return receipts

    def _note_duplicates(self, plan: _Plan, result: Duplicates) -> list[Receipt | None]:
        """Take the stored receipt where the content is the same; refuse the whole request where it is not."""
        if plan.known is None:
            plan.known = [None] * len(plan.drafts)
        known = plan.known
        positions = [at for at, receipt in enumerate(known) if receipt is None]
        for at, existing in zip(positions, result.existing, strict=True):
            if existing is None:
                continue
            draft = plan.drafts[at]
            if not existing.body:
                # Retention has removed it, its id is still remembered: what it said can't be compared any more.
                known[at] = Receipt(draft.id, draft.event_type, draft.timestamp, existing.deliveries, repeated=True)
                continue
            if not _same(existing, draft):
                raise Conflict(
                    "id_taken",
                    f"an event with the id {draft.id} exists already with other content; use a new id for a new event",
                    [
                        FieldError(
                            f"[{at}].id" if len(plan.drafts) > 1 else "id",
                            "is taken by an event with other content",
                        )
                    ],
                )
            known[at] = _receipt_of(existing)
        return known

    async def _find_contacts(self, plan: _Plan) -> None:
        """Fill in whom statuses and media are about: their message's contact, from this request or from the store."""
        try:
            here = {draft.id: draft.contact for draft in plan.drafts}
            for at, draft in enumerate(plan.drafts):
                if draft.contact is not None or draft.message_id is None:
                    continue
                contact = here.get(draft.message_id)
                if contact is None:
                    message = await self._history.event(plan.account.row, draft.message_id)
                    contact = None if message is None else message.contact
                plan.drafts[at] = msgspec.structs.replace(draft, contact=contact or draft.message_id)
            self._write(plan)
        except Exception as problem:  # noqa: BLE001 - whoever waits for the answer gets it
            plan.done(problem)


_NOTHING = Admission(0, 0, (), ())
# Members of an enum are looked up slowly in Python 3.11.
_PENDING = State.PENDING
_BY_CONTACT = Ordering.CONTACT


def _nothing() -> None:
    """Nobody fetches files here."""


def wants(endpoint: RunningEndpoint, draft: Draft) -> bool:
    """Say whether the filters of an endpoint that the route leads to let the event through."""
    policy = endpoint.endpoint
    return not policy.filters or passes_filters(policy, draft.event_type, draft.field)


def event_row(draft: Draft, seq: int, account: int, test: bool = False) -> EventRow:
    """The row of a draft, with the words it can be found by."""
    return EventRow(
        seq=seq,
        account=account,
        id=draft.id,
        type=draft.event_type,
        body=draft.body,
        details=draft.details,
        number=draft.number,
        contact=draft.contact,
        keys=draft.keys,
        test=test,
    )


def _receipts(plan: _Plan) -> list[Receipt]:
    deliveries = plan.admission.deliveries
    if plan.known is None and len(plan.drafts) == 1:
        draft = plan.drafts[0]
        return [Receipt(draft.id, draft.event_type, draft.timestamp, len(deliveries))]
    counts: dict[int, int] = {}
    for row in deliveries:
        counts[row.event] = counts.get(row.event, 0) + 1
    # An id that stands twice in a request is one event: its repeats are told what became of it.
    written = {event.id: counts.get(event.seq, 0) for event in plan.admission.events}
    receipts = []
    for draft, known in zip(plan.drafts, plan.known or [None] * len(plan.drafts), strict=True):
        if known is None:
            receipts.append(Receipt(draft.id, draft.event_type, draft.timestamp, written[draft.id]))
        elif draft.id in written:
            receipts.append(msgspec.structs.replace(known, deliveries=written[draft.id]))
        else:
            receipts.append(known)
    return receipts


def _same(existing: EventRow, draft: Draft) -> bool:
    """Whether a draft repeats what is stored; of what was erased, whether it repeats what is left."""
    if same_content(existing.type, existing.body, existing.details, draft):
        return True
    if existing.type != draft.event_type or not shows_erased(existing.type, existing.body):
        return False
    left = msgspec.structs.replace(draft, body=erased_body(draft.body), details=None)
    return same_content(existing.type, existing.body, existing.details, left)


def _receipt_of(row: EventRow) -> Receipt:
    stamp = msgspec.json.decode(row.body, type=Timestamp).timestamp
    return Receipt(row.id, row.type, stamp, row.deliveries, repeated=True)


def _check_replay(plan: _Plan, result: Replayed) -> None:
    if plan.idempotency is None or result.fingerprint != plan.idempotency.fingerprint:
        raise Invalid(
            [FieldError("Idempotency-Key", "was used before for another request; use a new key for a new request")],
            code="idempotency_key_reused",
        )


def _settle(answer: "asyncio.Future[list[Receipt]]", result: list[Receipt] | Exception) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _seen(answer: "asyncio.Future[list[Receipt]]") -> None:
    """Fetch the exception of an answer nobody waits for, so that the loop does not complain."""
    if not answer.cancelled():
        answer.exception()
