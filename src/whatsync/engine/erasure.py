"""Erasing one person: texts, media references, contact, details and kept answers go, ids and times stay. A durable job.

Follows the person from phone to contact id and back, and from messages to their statuses and media. Knows no HTTP.
"""

from collections.abc import Awaitable, Callable, Iterable

import msgspec

from whatsync.engine.directory import RunningAccount
from whatsync.engine.dispatch import Dispatcher
from whatsync.engine.jobs import Step
from whatsync.engine.recover import counted
from whatsync.model import limits
from whatsync.model.account import Job, JobState
from whatsync.model.delivery import OPEN, Happening
from whatsync.model.erased import erased_body, kept_keys, person_keys
from whatsync.model.errors import FieldError, Invalid
from whatsync.model.phone import is_phone, phone_word
from whatsync.ports.clock import Clock
from whatsync.ports.history import DeliveryQuery, History
from whatsync.ports.store import EventRow, Settlement, Store

KIND = "erase"
REASON = "erased"
"""Why a delivery that was still open ended."""

_WORDS_MAX = 100
"""Names of one person that are followed."""


class ErasureParameters(msgspec.Struct, frozen=True):
    """The words the person is known by; more may be found on the way. Forgotten when the job ends."""

    words: tuple[str, ...]


class Erasure:
    """The kind of job behind ``POST /v1/erasures``."""

    kind = KIND

    def __init__(
        self,
        *,
        store: Store,
        history: History,
        dispatcher: Dispatcher,
        clock: Clock,
        remove_media: Callable[[int, str], Awaitable[None]] | None = None,
        forget_person: Callable[[RunningAccount, tuple[str, ...]], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._history = history
        self._dispatcher = dispatcher
        self._clock = clock
        self._remove_media = remove_media
        self._forget_person = forget_person

    def parameters(self, phone: str | None, contact_id: str | None) -> ErasureParameters:
        """Check whom it is about. Raises Invalid unless exactly one of the two is given."""
        if (phone is None) == (contact_id is None):
            raise Invalid([FieldError("", "must hold either phone or contactId")])
        if contact_id is not None:
            if not 0 < len(contact_id) <= limits.REFERENCE_CHARS_MAX:
                raise Invalid([FieldError("contactId", f"must have from 1 to {limits.REFERENCE_CHARS_MAX} characters")])
            return ErasureParameters((f"contact:{contact_id}",))
        phone = (phone or "").strip()
        if not is_phone(phone):
            raise Invalid([FieldError("phone", "must be a phone number such as +1234567890")])
        word = phone_word(phone)
        # Whoever writes to a business may be known without the plus as well.
        return ErasureParameters(tuple(dict.fromkeys((f"phone:{word}", f"phone:{phone}"))))

    async def step(self, account: RunningAccount, job: Job) -> Step:
        """Erase up to a page of the events that one of the person's words leads to."""
        words = msgspec.json.decode(job.parameters, type=ErasureParameters).words
        found = await self._history.find(account.row, [words[job.phase]], limits.JOB_STEP_ITEMS)
        events = [event for event in found if not _is_erased(event)]
        if not events:
            ended = job.phase + 1 == len(words)
            after = msgspec.structs.replace(
                job, phase=job.phase + 1, state=JobState.DONE if ended else JobState.RUNNING
            )

            async def forget() -> None:
                if self._forget_person is not None:
                    await self._forget_person(account, words)

            return Step(after, effect=forget) if ended else Step(after)
        everything = {event.seq: event for event in events}
        for event in events:
            for related in await self._about_message(account, event):
                if not _is_erased(related):
                    everything[related.seq] = related
        more = [key for event in everything.values() for key in person_keys(event.keys)]
        words = tuple(dict.fromkeys((*words, *more)))[:_WORDS_MAX]
        job = msgspec.structs.replace(
            job,
            parameters=msgspec.Raw(msgspec.json.encode(ErasureParameters(words))),
            examined=job.examined + len(everything),
        )

        async def effect() -> None:
            await self._erase(account, list(everything.values()))

        return Step(counted(job, len(everything), {}), effect=effect)

    async def _about_message(self, account: RunningAccount, event: EventRow) -> tuple[EventRow, ...]:
        """Statuses and media of the message that an event is or is about, and the message itself."""
        names = {event.id} if event.type == "message.incoming" else set()
        names |= {key.partition(":")[2] for key in event.keys if key.startswith("message:")}
        if not names:
            return ()
        keys = [f"{kind}:{name}" for name in names for kind in ("message", "id")]
        return await self._history.find(account.row, keys, limits.SEARCH_EVENTS_MAX)

    async def _erase(self, account: RunningAccount, events: Iterable[EventRow]) -> None:
        """End what is still to be sent, then erase. May be repeated."""
        events = list(events)
        await self._end_deliveries(account, [event.seq for event in events])
        for event in events:
            for url in _media_urls(event):
                if self._remove_media is not None:
                    await self._remove_media(account.row, url)
            await self._store.erase(account.row, event.seq, erased_body(event.body), kept_keys(event.keys))

    async def _end_deliveries(self, account: RunningAccount, events: list[int]) -> None:
        query = DeliveryQuery(
            account.row, events=tuple(events), states=tuple(OPEN), limit=limits.PAGE_ITEMS_MAX, ascending=True
        )
        while True:
            page = await self._history.deliveries(query)
            rows = tuple(view.id for view in page.items)
            if rows:
                now_ms = self._clock.now_ms()
                settlement = Settlement(account.row, Happening.CANCEL, now_ms, deliveries=rows, reason=REASON)
                for settled in await self._store.settle(settlement):
                    self._dispatcher.withdraw(settled.endpoint, settled.id)
            if page.next is None:
                return
            query = msgspec.structs.replace(query, before=page.next)


class _Media(msgspec.Struct, rename="camel"):
    media_url: str | None = None


class _Data(msgspec.Struct, rename="camel"):
    media_url: str | None = None
    media: _Media | None = None


class _Body(msgspec.Struct):
    data: _Data


_WITH_MEDIA = ("media.upload", "message.incoming")
_decode = msgspec.json.Decoder(_Body).decode


def _media_urls(event: EventRow) -> tuple[str, ...]:
    """URLs of the files an event came with."""
    if event.type not in _WITH_MEDIA:
        return ()
    data = _decode(event.body).data
    urls = (data.media_url, None if data.media is None else data.media.media_url)
    return tuple(url for url in urls if url is not None)


def _is_erased(event: EventRow) -> bool:
    return (
        event.details is None
        and event.contact is None
        and event.keys == kept_keys(event.keys)
        and event.body == erased_body(event.body)
    )
