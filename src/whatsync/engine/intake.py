"""Takes in what a source brings: one durable write for the raw body and all events in it, across all its accounts.

Works out whose everything is and who is meant, writes, and begins anew where configuration or people moved meanwhile.
Knows no payload and no HTTP.
"""

import asyncio
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

import msgspec

from whatsync.engine.arrival_counts import ASIDE, DUPLICATE, SAMPLE, UPDATE, WEBHOOK, ArrivalCounts
from whatsync.engine.directory import Directory, RunningAccount
from whatsync.engine.ingest import Ingest, event_row
from whatsync.engine.ownership import Ownership
from whatsync.engine.people import Meeting, People
from whatsync.engine.source_directory import RunningSource
from whatsync.model import limits
from whatsync.model.arrival import Arrival, Reading, SeenNumber, SetAside, Sighting, draft_of_arrival
from whatsync.model.draft import Draft
from whatsync.model.errors import Unavailable
from whatsync.model.ids import Sequence, derived_id, ms_of
from whatsync.model.media import MediaTask, encode_task, media_name
from whatsync.ports.arrivals import BodyRow, ContactRow, Outdated, SetAsideRow, TakenIn
from whatsync.ports.clock import Clock
from whatsync.ports.media import MediaRow, MediaState
from whatsync.ports.store import Admission, DeliveryRow, EventRow, Intake, IntakeResult, Origin, Store, StoreUnavailable

_PLAIN, _PACKED = b"\0", b"\1"
_PACK_FROM_BYTES = 4_000
"""Packing less costs more than it saves: setting the packer up takes longer than all else about a small body."""


class MediaPlaces(msgspec.Struct, frozen=True):
    """How files get their public place before they are here."""

    key: bytes
    """Of this installation, for names."""
    url: Callable[[str], str]
    token: Callable[[str], str | None]
    """The access token for a number's files; without one nothing is fetched, and there is no URL."""


class Taken(msgspec.Struct, frozen=True):
    """What became of a body."""

    events: int
    duplicates: int
    set_aside: int
    seq: int


_Left = tuple[int, SetAside, int]
"""What becomes no event: the account whose it is (0: nobody's), what it is, how many elements it stands for."""


class _Part(msgspec.Struct):
    """What is one account's in a body."""

    account: RunningAccount
    arrivals: list[Arrival]
    sightings: list[Sighting]


class Refused(msgspec.Struct, frozen=True):
    """A request does not prove that it comes from its source; nothing was stored."""

    code: str
    sentence: str


class Callback(Protocol):
    """The door of WhatsApp sources, as the web asks for it (``sources/whatsapp/inbound.py``)."""

    def challenge(self, source_id: str, mode: str | None, token: str | None, challenge: str | None) -> str:
        """What to answer when Meta checks the callback."""

    async def receive(self, source_id: str, headers: Mapping[str, str], body: bytes) -> Taken | Refused:
        """Take a request in."""

    def proof(self, source: RunningSource, body: bytes) -> Mapping[str, str]:
        """The headers that prove that a body is the source's, for samples of our own."""


class _Share(msgspec.Struct):
    """One account's admission with the places reserved for its deliveries."""

    admission: Admission
    reserved: list[bool]
    contacts: list[ContactRow]


class Reception:
    """Takes bodies in, first time or again."""

    def __init__(
        self,
        *,
        directory: Directory,
        store: Store,
        ingest: Ingest,
        people: People,
        counts: ArrivalCounts,
        clock: Clock,
        sequence: Sequence,
        media: MediaPlaces | None = None,
    ) -> None:
        self._directory = directory
        self._ownership = Ownership(directory)
        self._store = store
        self._ingest = ingest
        self._people = people
        self._counts = counts
        self._clock = clock
        self._sequence = sequence
        self._media = media
        self.on_numbers: list[Callable[[RunningSource, tuple[SeenNumber, ...]], None]] = []
        """Called with numbers that are not known yet, or are known otherwise."""

    async def take_in(self, source: RunningSource, raw: bytes, reading: Reading, again: int | None = None) -> Taken:
        """Write all of it, then hand the deliveries over. ``again``: the row of the body, where it is stored already.

        Raises Unavailable: then nothing was written.
        """
        self._note_numbers(source, reading)
        for _ in range(limits.INTAKE_TRIES_MAX):
            body = self._body(source, raw, reading) if again is None else None
            seq = body.seq if body is not None else again or 0
            parts, left = self._parts(source, reading, self._clock.now_ms() if again is None else ms_of(again))
            for part in parts.values():
                await self._people.look_up(part.account, _sightings(part))
            shares = self._shares(parts.values(), seq if reading.sample else None)
            aside = [self._aside_row(source, seq, one) for one in left]
            intake = Intake(
                tuple(share.admission for share in shares),
                tuple(contact for share in shares for contact in share.contacts),
                body,
                tuple(aside),
                again,
            )
            result = await self._write(source, intake, shares)
            if isinstance(result, TakenIn):
                return self._taken(source, intake, shares, result)
            self._undo(intake, shares)
            for account, version in result.versions.items():
                running = self._directory.accounts.get(account)
                if running is not None:
                    await self._directory.caught_up(running, version)
        raise Unavailable("busy", "the configuration keeps changing; try again", retry_after_seconds=1)

    # Whose everything is

    def _note_numbers(self, source: RunningSource, reading: Reading) -> None:
        if reading.sample:
            return
        news = [seen for seen in reading.numbers if self._is_news(source, seen)]
        if news:
            for listener in self.on_numbers:
                listener(source, tuple(news))

    def _is_news(self, source: RunningSource, seen: SeenNumber) -> bool:
        known = self._directory.whatsapp.numbers.get(seen.number)
        if known is None:
            return True
        if self._ownership.is_foreign(source, known):
            return False
        told = ((seen.business, known.number.business), (seen.display, known.number.display))
        return any(new is not None and new != old for new, old in told)

    def _parts(self, source: RunningSource, reading: Reading, came_ms: int) -> "tuple[dict[int, _Part], list[_Left]]":
        """The accounts' parts by row; and what becomes no event: of what is nobody's one row a number, with how many
        elements it stands for.
        """
        parts: dict[int, _Part] = {}
        left: dict[tuple[str | None, str], tuple[SetAside, int]] = {}
        for arrival in reading.arrivals:
            if reading.sample:
                owner = self._ownership.of_sample(source)
            else:
                owner = self._ownership.of_arrival(source, arrival, came_ms)
            account = self._directory.accounts.get(owner.account)
            if account is not None and account.account.deleted_ms is None:
                self._part(parts, account).arrivals.append(arrival)
            elif not reading.sample:
                key = (arrival.number, owner.sentence)
                reference = arrival.details.get("wamid")
                one = SetAside(arrival.path, owner.reason, owner.sentence, arrival.number, reference)
                known, count = left.get(key, (one, 0))
                left[key] = (known, count + 1)
        for sighting in reading.sightings:
            account = self._directory.accounts.get(self._ownership.of_sighting(source, sighting).account)
            if account is not None and account.account.deleted_ms is None:
                self._part(parts, account).sightings.append(sighting)
        owned = [(self._ownership.of_element(source, one.number, came_ms).account, one, 1) for one in reading.set_aside]
        return parts, [*((0, one, count) for one, count in left.values()), *owned]

    def _part(self, parts: dict[int, _Part], account: RunningAccount) -> _Part:
        part = parts.get(account.row)
        if part is None:
            part = parts[account.row] = _Part(account, [], [])
        return part

    def _aside_row(self, source: RunningSource, body: int, given: _Left) -> SetAsideRow:
        account, one, count = given
        return SetAsideRow(
            self._sequence.next(self._clock.now_ms()),
            body,
            source.row,
            account,
            one.reason,
            one.path,
            one.sentence,
            one.number,
            one.reference,
            count,
        )

    # What is written

    def _body(self, source: RunningSource, raw: bytes, reading: Reading) -> BodyRow:
        seq = self._sequence.next(self._clock.now_ms())
        return BodyRow(seq, source.row, packed(raw), reading.updates, reading.sample)

    def _shares(self, parts: Iterable[_Part], sample: int | None) -> list[_Share]:
        shares: list[_Share] = []
        try:
            for part in parts:
                shares.append(self._share(part, sample))  # noqa: PERF401 - those made so far must be known
        except BaseException:
            # A mistake of ours must leave nothing reserved behind.
            for share in shares:
                self._ingest.forget(share.admission, share.reserved)
            self._people.clear()
            raise
        return shares

    def _share(self, part: _Part, sample: int | None) -> _Share:
        """One account's admission, people first. ``sample``: the row of a body that is a test."""
        now_ms = self._clock.now_ms()
        meeting = Meeting(self._people, part.account, now_ms)
        made: list[tuple[Draft, Arrival | None]] = []
        for sighting in part.sightings:
            meeting.see(sighting)
        for arrival in part.arrivals:
            person = arrival.sighting
            contact_id = None if person is None or sample is not None else meeting.see(person)
            place = self._place(arrival) if sample is None else None
            if sample is not None:
                arrival = msgspec.structs.replace(arrival, id=_sample_id(arrival, sample))  # noqa: PLW2901
            made.append((draft_of_arrival(arrival, now_ms, contact_id, place and place[1]), arrival))
        rows: list[EventRow] = []
        deliveries: list[DeliveryRow] = []
        reserved: list[bool] = []
        files: list[MediaRow] = []
        for draft, source_arrival in (*((one, None) for one in meeting.drafts), *made):
            seq = self._sequence.next(now_ms)
            rows.append(event_row(draft, seq, part.account.row, test=sample is not None))
            for row, place_kept in self._ingest.deliveries_of(part.account, draft, seq, now_ms):
                test = msgspec.structs.replace(row, origin=Origin.TEST) if sample is not None else row
                deliveries.append(test)
                reserved.append(place_kept)
            if source_arrival is not None and sample is None:
                files += self._files(part.account.row, source_arrival, draft, seq, now_ms)
        admission = Admission(
            part.account.row, part.account.version, tuple(rows), tuple(deliveries), media=tuple(files)
        )
        return _Share(admission, reserved, meeting.contacts)

    def _place(self, arrival: Arrival) -> tuple[str, str] | None:
        """Name and URL of an arrival's file."""
        media, file = self._media, arrival.file
        if media is None or file is None or arrival.number is None or media.token(arrival.number) is None:
            return None
        name = media_name(media.key, file.id, file.mime_type)
        return name, media.url(name)

    def _files(self, account: int, arrival: Arrival, draft: Draft, seq: int, now_ms: int) -> list[MediaRow]:
        place, file = self._place(arrival), arrival.file
        if place is None or file is None:
            return []
        name, url = place
        task = MediaTask(
            message_id=arrival.id,
            number=arrival.number or "",
            media_id=file.media_id,
            media_type=file.media_type,
            media_url=url,
            mime_type=file.mime_type,
            caption=file.caption,
            sha256=file.sha256,
            source_url=file.url,
            details=_file_details(draft),
        )
        return [
            MediaRow(
                name,
                account,
                seq,
                file.id,
                now_ms,
                MediaState.WAITING,
                due_ms=now_ms,
                mime_type=file.mime_type,
                task=encode_task(task),
            )
        ]

    # Writing

    async def _write(self, source: RunningSource, intake: Intake, shares: list[_Share]) -> TakenIn | Outdated:
        written = self._store.take_in(intake)
        try:
            return await asyncio.shield(written)
        except asyncio.CancelledError:
            # The caller is gone, the write goes on: what becomes of it is seen to all the same.
            written.add_done_callback(partial(self._written_alone, source, intake, shares))
            raise
        except StoreUnavailable as problem:
            self._undo(intake, shares)
            raise Unavailable("store_unavailable", problem.reason) from None
        except Exception:
            # A mistake of ours must leave nothing reserved behind.
            self._undo(intake, shares)
            raise

    def _written_alone(
        self, source: RunningSource, intake: Intake, shares: list[_Share], written: "asyncio.Future[IntakeResult]"
    ) -> None:
        if written.cancelled() or written.exception() is not None or isinstance(written.result(), Outdated):
            self._undo(intake, shares)
        else:
            result = written.result()
            assert isinstance(result, TakenIn)
            self._taken(source, intake, shares, result)

    def _undo(self, intake: Intake, shares: Iterable[_Share]) -> None:
        for share in shares:
            self._ingest.forget(share.admission, share.reserved)
        self._people.forget({(contact.account, contact.id) for contact in intake.contacts})

    def _taken(self, source: RunningSource, intake: Intake, shares: list[_Share], result: TakenIn) -> Taken:
        passed = frozenset(result.passed)
        events = 0
        for share in shares:
            mine = passed.intersection(event.seq for event in share.admission.events) if passed else passed
            self._ingest.hand_over(share.admission, share.reserved, mine)
            events += len(share.admission.events)
        aside = sum(row.count for row in intake.set_aside)
        if intake.body is not None:
            self._count(source, intake, len(passed), aside)
        seq = intake.body.seq if intake.body is not None else intake.settled or 0
        return Taken(events - len(passed), len(passed), aside, seq)

    def _count(self, source: RunningSource, intake: Intake, duplicates: int, aside: int) -> None:
        counts, numbers = self._counts, dict[str, int]()
        updates = 0
        for admission in intake.admissions:
            for event in admission.events:
                updates += 1
                if event.number is not None:
                    numbers[event.number] = numbers.get(event.number, 0) + 1
        counts.add(source.row, WEBHOOK)
        if intake.body is not None and intake.body.test:
            counts.add(source.row, SAMPLE)
        counts.add(source.row, UPDATE, count=updates)
        counts.add(source.row, DUPLICATE, count=duplicates)
        counts.add(source.row, ASIDE, count=aside)
        for row in intake.set_aside:
            if row.number is not None:
                numbers[row.number] = numbers.get(row.number, 0) + row.count
        for number, count in numbers.items():
            counts.add(source.row, UPDATE, number, count)


def packed(raw: bytes) -> bytes:
    """A raw body as it is kept."""
    return _PLAIN + raw if len(raw) < _PACK_FROM_BYTES else _PACKED + zlib.compress(raw, 1)


def unpacked(kept: bytes) -> bytes:
    """The raw body again."""
    return zlib.decompress(kept[1:]) if kept[:1] == _PACKED else kept[1:]


def _sightings(part: _Part) -> list[Sighting]:
    return [*part.sightings, *(one.sighting for one in part.arrivals if one.sighting is not None)]


def _sample_id(arrival: Arrival, body: int) -> str:
    prefix = arrival.id.partition("_")[0] + "_"
    return derived_id(prefix, "sample", str(body), arrival.path)


def _file_details(draft: Draft) -> msgspec.Raw:
    """The details of a message as the event about its file has them: who and where, not all that Meta sent."""
    if draft.details is None:
        return msgspec.Raw(b"")
    given: dict[str, Any] = msgspec.json.decode(draft.details)
    given["raw"] = None
    return msgspec.Raw(msgspec.json.encode(given))
