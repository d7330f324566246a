"""A fixed little story of a source: pictures that have to be fetched, a number of nobody's that is given to somebody, a
body that Meta repeats, and everything processed again as a job; and what must hold at its end.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from tests.engine.desk import ACTOR
from tests.engine.media_parts import media_over, work_over
from tests.failure.faults import Fault
from tests.failure.receivers import Receivers
from tests.failure.scenario import Story
from tests.sim.loop import Time
from tests.sim.media_world import JPEG, Paper, Shelf
from tests.sources.whatsapp.cloud import NUMBER, SECRET, body, card, change, escaped, message, signed, value
from whatsync.compose.whatsapp import WhatsApp
from whatsync.engine.intake import MediaPlaces, Taken
from whatsync.engine.reprocess_span import KIND
from whatsync.model.account import JobState
from whatsync.model.account_form import AccountForm
from whatsync.model.delivery import State
from whatsync.model.ids import derived_id, message_id
from whatsync.model.media import PURPOSE
from whatsync.model.source import NewNumberForm, NumberForm, SourceForm
from whatsync.ports.media import MediaState
from whatsync.ports.media_store import MediaUnavailable
from whatsync.ports.web_client import Sink, WebAnswer, WebRequest, WebTrouble
from whatsync.sources.whatsapp.media import GraphMedia

STRAY = "700000000000009"
"""A number that is nobody's at first."""
PICTURES = {f"picture{at}": JPEG + bytes([at]) * 40 for at in range(3)}
"""What Meta has, by its ids."""


class FaultyShelf:
    """Implements ``ports.media_store.MediaStore`` as far as fetching needs it; any call fails before or after."""

    def __init__(self, fault: Fault, stage: str) -> None:
        self.shelf = Shelf()
        self._fault = fault
        self._stage = stage

    def _strike(self, stage: str) -> None:
        if stage == self._stage and self._fault.strikes():
            raise MediaUnavailable("planted: the place for files fails")

    async def begin(self) -> Any:
        self._strike("before")
        return Paper()

    async def keep(self, unfinished: Any, name: str, _content_type: str) -> None:
        self._strike("before")
        self.shelf.files[name] = unfinished.data
        self._strike("after")

    async def remove(self, name: str) -> None:
        self.shelf.files.pop(name, None)


class FaultyMeta:
    """Implements ``ports.web_client.WebClient``: the two steps; any call fails, a download after some of its bytes."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    async def ask(self, request: WebRequest) -> WebAnswer | WebTrouble:
        await asyncio.sleep(0.05)
        if self._fault.strikes():
            return WebTrouble("connection_reset", "planted")
        media_id = request.url.split("/")[-1].split("?")[0]
        said = {
            "url": f"https://lookaside.fbsbx.com/{media_id}",
            "sha256": hashlib.sha256(PICTURES[media_id]).hexdigest(),
        }
        return WebAnswer(200, {}, msgspec.json.encode(said))

    async def download(self, request: WebRequest, sink: Sink) -> WebAnswer | WebTrouble:
        data = PICTURES[request.url.split("/")[-1]]
        await sink(data[:20])
        if self._fault.strikes():
            return WebTrouble("connection_reset", "planted")
        await sink(data[20:])
        return WebAnswer(200, {"content-type": "image/jpeg"}, b"")


class SourceStory(Story):
    """The engine with a source and its media parts."""

    def __init__(self, store: Any, receivers: Receivers, time: Time, files: FaultyShelf, meta: FaultyMeta) -> None:
        super().__init__(store, receivers, time)
        self.files = files
        self.meta = meta

    async def open(self) -> None:
        """Open the counter, then what stands on it."""
        await super().open()
        self.media = media_over(self, self.files, self.vault)
        self.whatsapp = WhatsApp(
            directory=self.directory,
            configuration=self.configuration,
            store=self.store,
            history=self.store,
            ingest=self.ingest,
            vault=self.vault,
            clock=self.clock,
            randomness=self.randomness,
            sequence=self.sequence,
            tell=self.notices.append,
            media=MediaPlaces(key=self.vault.derive(PURPOSE), url=self.media.url_of, token=lambda _: "token"),
        )
        graph = GraphMedia(client=self.meta, clock=self.clock, token_of=lambda _: "token", version_of=lambda _: "v25.0")
        work = work_over(self, self.media, graph.fetch)
        self.jobs._works = {KIND: self.whatsapp.reprocess_span}
        for loop in (work.run, self.whatsapp.numbers.run, self.whatsapp.reprocessing.run, self._flush):
            self._tasks.append(asyncio.ensure_future(loop()))

    async def _flush(self) -> None:
        while True:
            await self.clock.sleep(5)
            await self.whatsapp.counts.flush()

    async def tell(self) -> None:
        """The story."""
        self.who = (await self.patiently(lambda: self.accounts.create(AccountForm(name="Shop"), ACTOR))).running
        await self.put_up("fine", events=["message.incoming", "media.upload", "contact.update"])
        form = SourceForm(name="App", app_secret=SECRET)
        self.app = await self.patiently(lambda: self.whatsapp.sources.create(form, ACTOR))
        number = NewNumberForm(phone_number_id=NUMBER, source=self.app.source.id, account=self.who.account.id)
        await self.patiently(lambda: self.whatsapp.numbers.create(number, ACTOR))
        first = body(change(value(contacts=[card()], messages=[_picture(0), _picture(1), message("wamid.text")])))
        await self.bring(first)
        await self.bring(body(change(value(STRAY, contacts=[card()], messages=[_picture(2), message("wamid.text")]))))
        await self.bring(first)
        while STRAY not in self.directory.whatsapp.numbers:
            await self.clock.sleep(1)
        given = NumberForm(account=self.who.account.id)
        await self.patiently(lambda: self.whatsapp.numbers.patch(STRAY, given, ACTOR))
        while self.store.disk.set_aside:
            await self.clock.sleep(1)
        parameters = self.whatsapp.reprocess_span.parameters(self.app, 0, None)
        job = await self.patiently(lambda: self.jobs.start(self.who, KIND, parameters, ACTOR))
        await self.jobs.ended()
        ended = self.jobs.read(self.who, job.id)
        assert (ended.state, ended.done) == (JobState.DONE, 0), "everything was there already"
        while any(row.due_ms is not None for row in self.store.disk.media.values()):
            await self.clock.sleep(10)
        await self.come_to_rest()
        self.ended = True

    async def bring(self, given: Any) -> None:
        """As Meta does: until it is answered."""
        raw = escaped(given)
        taken = await self.patiently(lambda: self.whatsapp.inbound.receive(self.app.source.id, signed(raw), raw))
        assert isinstance(taken, Taken)


def _picture(at: int) -> dict[str, Any]:
    image = {"id": f"picture{at}", "mime_type": "image/jpeg"}
    return message(f"wamid.picture{at}", "image", image=image)


async def faults_of(story: SourceStory) -> list[str]:
    """Every broken law, in words."""
    views = await story.views(story.who)
    return [*_events(story), *_files(story), *_deliveries(story, views), *_rest(story)]


def _events(story: SourceStory) -> Iterable[str]:
    """Each message is one event, each file one more, and the person two: one for each number."""
    wanted = Counter(
        {
            "message.incoming": 5,
            "media.upload": 3,
            "contact.update": 1,
        }
    )
    found = Counter(event.type for event in story.store.disk.events.values())
    if found != wanted:
        yield f"the events are {dict(found)}, not {dict(wanted)}"
    ids = {event.id for event in story.store.disk.events.values()}
    for number, wamid in ((NUMBER, "wamid.picture0"), (NUMBER, "wamid.text"), (STRAY, "wamid.text")):
        if message_id(number, wamid) not in ids:
            yield f"{wamid} of {number} is not there"


def _files(story: SourceStory) -> Iterable[str]:
    """Each file is stored with its bytes."""
    for at, (media_id, data) in enumerate(PICTURES.items()):
        number = STRAY if at == 2 else NUMBER
        name = story.media.name_of(derived_id("media_", number, f"wamid.{media_id}", media_id), "image/jpeg")
        row = story.store.disk.media.get(name)
        if row is None or row.state is not MediaState.STORED or story.files.shelf.files.get(name) != data:
            yield f"{media_id} is {row}, kept are {story.files.shelf.files.get(name)!r}"


def _deliveries(story: SourceStory, views: Iterable[Any]) -> Iterable[str]:
    """Each event went to the endpoint once, and was taken there."""
    made = Counter(view.event_id for view in views)
    for view in views:
        if view.state is not State.SUCCEEDED:
            yield f"{view.event_id} is {view.state}"
    for event in story.store.disk.events.values():
        if made[event.id] != 1:
            yield f"{event.id} has {made[event.id]} deliveries"
    bodies = {event.id: event.body for event in story.store.disk.events.values()}
    for arrival in story.receivers.arrivals:  # type: ignore[attr-defined]
        if bodies.get(arrival.event_id) != arrival.body:
            yield f"{arrival.event_id} arrived with other bytes"


def _rest(story: SourceStory) -> Iterable[str]:
    """Nothing is left in memory; every body is kept."""
    dispatcher = story.dispatcher
    if dispatcher.in_flight or dispatcher.budget.deliveries_held or dispatcher.recorder.unrecorded:
        yield f"{dispatcher.in_flight} in flight, {dispatcher.budget.deliveries_held} held in memory"
    for lane in dispatcher.lanes.values():
        if lane.owned or lane.writing or lane.queue or lane.in_flight:
            yield f"lane {lane.endpoint.row}: owned {lane.owned}, writing {lane.writing}, queued {len(lane.queue)}"
    if len(story.store.disk.bodies) < 3:
        yield f"{len(story.store.disk.bodies)} of 3 bodies are kept"
