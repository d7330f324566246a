"""Worlds with media: Meta's files come late, broken or never, over days; the place for files fails; the server dies in
between. The laws about files stand here.
"""

import asyncio
import hashlib
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from tests.engine.media_parts import BASE_URL, media_over, work_over
from tests.sim.life import Life, Parts
from tests.sim.operations import Submission
from tests.sim.source_world import Body, SourceLife, SourceWorld
from tests.sim.world import DAY, EPOCH_S, HOUR, MINUTE
from tests.sources.whatsapp.cloud import NUMBER, body, card, change, escaped, message, value
from whatsync.engine.intake import MediaPlaces
from whatsync.engine.media_work import MediaWork
from whatsync.model import limits
from whatsync.model.ids import derived_id, message_id
from whatsync.model.media import PURPOSE, media_name
from whatsync.ports.media import MediaState
from whatsync.ports.media_store import KeptFile, MediaMissing, MediaUnavailable, UnfinishedFile
from whatsync.ports.web_client import Sink, WebAnswer, WebRequest, WebTrouble
from whatsync.sources.whatsapp.media import GraphMedia

KEY = PURPOSE.ljust(32, b"\0")
"""What the world's vault makes of it."""
TOKEN = "token"
JPEG = b"\xff\xd8\xff\xe0"
URL_S = 300.0
"""How long an address that Meta gives is good."""
TRIES_MAX = 120
"""More than seven days of tries by the schedule, crashes included."""
MOODS = ("http_500", "http_404", "rate_limited", "cut", "other bytes", "a page", "unreachable", "slow")


@dataclass
class Original:
    """A file at Meta: what it is, and until when asking for it goes wrong."""

    id: str
    data: bytes
    good_from_s: float
    moods: tuple[str, ...]
    hash_in_webhook: bool
    tried: int = 0
    mood: str | None = None
    """What goes wrong with the present try."""

    @property
    def media_id(self) -> str:
        return self.id.replace("wamid", "media")


@dataclass
class Shelf:
    """The files that are kept, whatever becomes of the server."""

    files: dict[str, bytes] = field(default_factory=dict)


class Paper:
    """Bytes on their way in."""

    def __init__(self) -> None:
        self.data = b""

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def beginning(self) -> bytes:
        return self.data[:16]

    async def write(self, data: bytes) -> None:
        self.data += data

    def sha256(self) -> bytes:
        return hashlib.sha256(self.data).digest()

    async def discard(self) -> None:
        return


class ShelfStore:
    """Implements ``ports.media_store.MediaStore`` over a shelf; before or after its effect, keeping can fail."""

    def __init__(self, shelf: Shelf, source: random.Random, faulty: Callable[[], bool]) -> None:
        self.shelf = shelf
        self._source = source
        self._faulty = faulty

    async def begin(self) -> Any:
        self._fail()
        return Paper()

    async def keep(self, unfinished: UnfinishedFile, name: str, content_type: str) -> None:
        assert isinstance(unfinished, Paper)
        await asyncio.sleep(0.01)
        self._fail()
        self.put(name, unfinished.data)
        self._fail()

    def put(self, name: str, data: bytes) -> None:
        self.shelf.files[name] = data

    def _fail(self) -> None:
        if self._faulty() and self._source.random() < 0.1:
            raise MediaUnavailable("the simulated place for files is full")

    async def size(self, name: str) -> int | None:
        return len(self.shelf.files[name]) if name in self.shelf.files else None

    async def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        if name not in self.shelf.files:
            raise MediaMissing(name)
        yield self.shelf.files[name][start : start + length]

    async def remove(self, name: str) -> None:
        self.shelf.files.pop(name, None)

    async def files(self) -> AsyncIterator[KeptFile]:
        for name in list(self.shelf.files):
            yield KeptFile(name, 0)

    async def sweep(self, now_ms: int) -> None:
        return

    async def problem(self) -> str | None:
        return None

    async def close(self) -> None:
        return


class SimulatedMeta:
    """Implements ``ports.web_client.WebClient``: the Graph API's two steps for the world's files."""

    def __init__(self, world: "MediaWorld") -> None:
        self._world = world

    def _mood(self, original: Original) -> str | None:
        world = self._world
        return None if world.time.now >= original.good_from_s else world.meta_source.choice(original.moods)

    async def ask(self, request: WebRequest) -> WebAnswer | WebTrouble:
        world = self._world
        original = world.originals[request.url.split("/")[-1].split("?")[0]]
        original.tried += 1
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            world.broken.append("Meta was asked without the token")
        mood = original.mood = self._mood(original)
        await asyncio.sleep(14 if mood == "slow" else 0.1)
        if mood == "unreachable":
            return WebTrouble("connection_refused", "simulated")
        if mood in ("http_500", "http_404", "rate_limited"):
            status, code = {"http_500": (500, 2), "http_404": (400, 100), "rate_limited": (429, 130429)}[mood]
            return WebAnswer(status, {"retry-after": "400"}, msgspec.json.encode({"error": {"code": code}}))
        host = "cdn.example" if mood == "a page" else "lookaside.fbsbx.com"
        said = {
            "url": f"https://{host}/{original.media_id}/{world.time.now}",
            "mime_type": "image/jpeg",
            "sha256": hashlib.sha256(original.data).hexdigest(),
            "file_size": str(len(original.data)),
        }
        return WebAnswer(200, {}, msgspec.json.encode(said))

    async def download(self, request: WebRequest, sink: Sink) -> WebAnswer | WebTrouble:
        world = self._world
        *_, media_id, issued = request.url.split("/")
        original = world.originals[media_id]
        if ("cdn.example" in request.url) == ("Authorization" in request.headers):
            world.broken.append(f"the token was sent wrongly with {request.url.split('/')[2]}")
        if world.time.now > float(issued) + URL_S:
            return WebAnswer(404, {}, b"")
        mood = original.mood
        pieces = [original.data[at : at + 10] for at in range(0, len(original.data), 10)]
        if mood == "other bytes":
            pieces[-1] = b"x" * len(pieces[-1])
        if mood == "a page":
            pieces = [b"<html>"]
        for at, piece in enumerate(pieces):
            await asyncio.sleep(200 if mood == "slow" else 0.05)
            if mood == "cut" and at == len(pieces) - 1:
                return WebTrouble("connection_reset", "simulated")
            await sink(piece)
        if mood == "a page":
            return WebAnswer(200, {"content-type": "text/html"}, b"")
        return WebAnswer(200, {"content-type": "image/jpeg"}, b"")


@dataclass
class MediaParts(Parts):
    """The classes the media parts are made of; a planted bug replaces one."""

    shelf_store: type[ShelfStore] = ShelfStore
    graph: type[GraphMedia] = GraphMedia
    work: type[MediaWork] = MediaWork


class MediaLife(SourceLife):
    """A life that fetches files."""

    world: "MediaWorld"

    async def start(self) -> None:
        await super().start()
        world, parts = self.world, self.parts
        assert isinstance(parts, MediaParts)
        files = parts.shelf_store(world.shelf, world.meta_source, lambda: world.time.now < world.plan.faults_until_s)
        self.media = media_over(self, files, self.directory.whatsapp._vault)
        self.whatsapp.reception._media = MediaPlaces(key=KEY, url=self.media.url_of, token=lambda _: TOKEN)
        graph = parts.graph(
            client=SimulatedMeta(world), clock=self.clock, token_of=lambda _: TOKEN, version_of=lambda _: "v25.0"
        )
        work = work_over(self, self.media, graph.fetch, parts.work)
        self.tasks.append(asyncio.get_running_loop().create_task(work.run()))


def plan_files(source: random.Random, until_s: float) -> tuple[list[Body], list[Original]]:
    """Bodies of pictures, a few in each, and what Meta has of them."""
    moments = sorted(source.random() * until_s for _ in range(source.randint(1, 12)))
    bodies: list[Body] = []
    originals: list[Original] = []
    for at in range(0, len(moments), size := source.choice([1, 3])):
        changes: list[Any] = []
        events: list[str] = []
        for nth, moment_s in enumerate(moments[at : at + size], at):
            wamid, said_s = f"wamid.{nth}", int(EPOCH_S + moment_s)
            late_s = source.choice([0, 0, 1, MINUTE, HOUR, DAY, 4 * DAY, float("inf")])
            moods = tuple(source.sample(MOODS, source.randint(1, 3)))
            data = JPEG + source.randbytes(source.randint(30, 60))
            one = Original(wamid, data, moment_s + late_s, moods, source.random() < 0.5)
            originals.append(one)
            image: dict[str, Any] = {"id": one.media_id, "mime_type": "image/jpeg", "caption": "Look"}
            if one.hash_in_webhook:
                image["sha256"] = hashlib.sha256(data).hexdigest()
            said = message(wamid, "image", said_s, image=image)
            changes.append(change(value(contacts=[card()], messages=[said])))
            events.append(message_id(NUMBER, wamid))
        comes_s = moments[at]
        again = [comes_s + source.choice([0, MINUTE, DAY]) for _ in range(source.choice([0, 0, 1]))]
        bodies.append(Body(escaped(body(*changes)), sorted([comes_s, *again]), events))
    return bodies, originals


class MediaWorld(SourceWorld):
    """A world whose events are pictures."""

    life = MediaLife

    def __init__(self, seed: int, parts: MediaParts | None = None) -> None:
        super().__init__(seed, parts or MediaParts())
        plan = self.plan
        plan.jumps = []
        self.meta_source = random.Random(seed ^ 0x3E7A)
        self.bodies, originals = plan_files(random.Random(seed ^ 0xF17E), plan.faults_until_s)
        self.originals = {one.media_id: one for one in originals}
        self.shelf = Shelf()
        self.broken: list[str] = []
        stable = frozenset(one.id for one in plan.endpoints if one.id not in plan.unstable)
        self.submissions = {
            id_: Submission(id_, "", b"", 0, endpoints=stable) for one in self.bodies for id_ in one.events
        }

    def _new_life(self, loop: Any) -> Life:
        self.broken += self._told_without_file()
        life = super()._new_life(loop)
        assert isinstance(life, MediaLife)
        life.world = self
        return life

    # The laws

    def _judge(self) -> list[str]:
        told = [event for event in self.disk.events.values() if event.type == "media.upload"]
        for event in told:
            ends = [one.id for one in self.plan.endpoints if one.id not in self.plan.unstable and "*" in one.events]
            self.submissions[event.id] = Submission(event.id, "", b"", 0, 0.0, frozenset(ends))
        faults = [*self.broken, *self._told_without_file()]
        for one in self.originals.values():
            faults += self._fate(one)
        return [*faults, *super()._judge()]

    def _people(self) -> Iterable[str]:
        """Not the subject here."""
        return ()

    def _events_of(self, kind: str) -> dict[str, list[dict[str, Any]]]:
        """Data of the events of a type, by the message they are about."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for event in self.disk.events.values():
            if event.type == kind:
                data = msgspec.json.decode(event.body)["data"]
                found[data["messageId"]].append(data)
        return found

    def _told_without_file(self) -> Iterable[str]:
        """A ``media.upload`` event is told of only when its file outlives everything."""
        for (data,) in self._events_of("media.upload").values():
            if data["mediaUrl"].rpartition("/")[2] not in self.shelf.files:
                yield f"{data['mediaUrl']} was told of and is not there"

    def _fate(self, one: Original) -> Iterable[str]:
        """Every file that Meta gives in time is stored with the right bytes and told of once, each other one is given
        up with a word about it; neither asks Meta without end.
        """
        about = message_id(NUMBER, one.id)
        name = media_name(KEY, derived_id("media_", NUMBER, one.id, one.media_id), "image/jpeg")
        row, url = self.disk.media.get(name), f"{BASE_URL}/{name}"
        event = next((event for event in self.disk.events.values() if event.id == about), None)
        if row is None or event is None:
            yield f"{about} came with a file that is not known"
            return
        media = msgspec.json.decode(event.body)["data"]["media"]
        if media["mediaUrl"] != url:
            yield f"{about} tells of {media['mediaUrl']}, its file is {url}"
        told, failed = self._events_of("media.upload")[about], self._events_of("media.failed")[about]
        good = one.good_from_s < float("inf")
        wanted = (MediaState.STORED, 1, 0) if good else (MediaState.FAILED, 0, 1)
        if (row.state, len(told), len(failed)) != wanted:
            yield f"{about}: its file is {row.state.name}, told of {len(told)} times, given up {len(failed)} times"
        if good and self.shelf.files.get(name) != one.data:
            yield f"{about}: other bytes are kept than Meta has"
        if one.tried > TRIES_MAX:
            yield f"{about}: Meta was asked {one.tried} times"


def run(seed: int, parts: MediaParts | None = None) -> list[str]:
    """Run one schedule and return every broken law; the same seed always gives the same answer."""
    with pytest.MonkeyPatch.context() as patch:
        # Nothing happens behind the server's back here, and a week of looks costs minutes.
        patch.setattr(limits, "MEDIA_IDLE_SECONDS", 900.0)
        return MediaWorld(seed, parts).run()
