"""The power fails at random moments of a store's work, and what was not synced is lost or torn. A fresh store on what
is left must hold exactly what some first part of the calls leads to, all answered ones among them."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.conformance.clerk import DAY, START_MS
from tests.conformance.script import ACCOUNTS, ENDPOINTS_EACH, Actor, Step, comparable, endpoint_of
from tests.crash.faulty_disk import FaultyDisk
from tests.crash.recorded_store import Log, ModelPlace, RecordedPlace, clerk_of
from whatsync.model.ids import Sequence
from whatsync.ports.store import AttemptRow, HealthRow, Recorded, StoreRefused
from whatsync.store.sqlite import accept, connection, fold, lookup_fold, rollup
from whatsync.store.sqlite.store import SqliteStore

SEEDS = range(10)
POINTS = 50
"""Power failures of one series."""
MOMENT_SHARE = 0.02
IMAGES_MAX = 12
"""Of one life; then it has ended."""
BURSTS = 60
_VERBS = (
    ["accept"] * 6 + ["array"] * 2 + ["claim"] * 3 + ["end"] * 5 + ["pass_time", "settle", "settle_endpoint", "resend"]
    + ["give_back", "clock_back", "change", "change", "prune", "erase", "tidy"]
)  # fmt: skip


@dataclass(frozen=True)
class Image:
    """What one power failure left, and what had been asked for and answered by then."""

    moment: str
    files: dict[str, bytes]
    answered: int
    asked: int


class PowerCuts:
    """Takes images at random moments of a life."""

    def __init__(self, source: random.Random, log: Log) -> None:
        self.images: list[Image] = []
        self._source = source
        self._log = log
        self.disk: FaultyDisk | None = None

    def look(self, moment: str) -> None:
        """Called around each change of the disk, by the thread that writes."""
        if self.disk is not None and len(self.images) < IMAGES_MAX and self._source.random() < MOMENT_SHARE:
            answered = self._log.answered
            left = self.disk.after_power_failure(self._source)
            self.images.append(Image(moment, left, answered, len(self._log.entries)))


@contextmanager
def small_bounds(source: random.Random) -> Iterator[None]:
    """Make rare work frequent: checkpoints, folds, pages written before their commit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "CHECKPOINT_PAGES", source.choice([5, 50, 4_000]))
        patch.setattr(connection, "WRITE_CACHE_KIB", source.choice([16, 65_536]))
        patch.setattr(fold, "TAIL_ROWS_MAX", source.choice([10, 4_000]))
        patch.setattr(rollup, "PENDING_MAX", source.choice([5, 200]))
        patch.setattr(lookup_fold, "IDENTITIES_MAX", source.choice([20, 1 << 15]))
        yield


def write(files: dict[str, bytes], folder: Path) -> None:
    """Put the files of an image into a folder of its own."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


class Series:
    """One life after the other over one disk, each begun on what a power failure left of the one before."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.source = random.Random(seed)
        self.name = f"faulty-{seed}"
        self.folder = folder
        self.log = Log()
        self.image: Image | None = None
        self.now_ms = START_MS
        self.lives = 0
        self.points = 0

    async def run(self, points: int) -> None:
        """Live until so many power failures have been judged."""
        while self.points < points:
            self.lives += 1
            cuts = PowerCuts(self.source, self.log)
            before = len(self.log.entries)
            with small_bounds(self.source):
                await self._live(cuts)
                counts = [await self._judge(number, image) for number, image in enumerate(cuts.images)]
            self.points += len(counts)
            assert len(self.log.entries) > before
            if counts:
                self.image = cuts.images[-1]
                self.log.cut(counts[-1])

    async def _live(self, cuts: PowerCuts) -> None:
        folder = self.folder / f"life-{self.lives}"
        write({} if self.image is None else self.image.files, folder)
        disk = cuts.disk = FaultyDisk(f"{self.name}-{self.lives}", cuts.look)
        place = RecordedPlace(folder, self.log, disk.name)
        await place.open(self.now_ms)
        clerk = clerk_of(place, self.now_ms)
        clerk.sequence = Sequence(floor=place.opened.floor)
        actor = Actor(clerk)
        for _ in range(BURSTS):
            if len(cuts.images) >= IMAGES_MAX:
                break
            await asyncio.gather(*(actor.do(step) for step in self._burst()))
        self.now_ms = clerk.now
        await place.crash()
        disk.unregister()

    def _burst(self) -> list[Step]:
        """Steps begun at once: those that follow each other closely share a commit."""
        size = self.source.choice([1, 1, 3, 8])
        draw = self.source.randrange
        return [(self.source.choice(_VERBS), (draw(101), draw(101), draw(101))) for _ in range(size)]

    async def _judge(self, number: int, image: Image) -> int:
        """Open a fresh store on what is left; how many of the calls it holds."""
        folder = self.folder / f"life-{self.lives}-image-{number}"
        write(image.files, folder)
        place = RecordedPlace(folder, Log())
        await place.open(self.now_ms)
        try:
            found = await everything(place, self.now_ms)
        finally:
            await place.close()
        check_integrity(place.path)
        for count in range(image.answered, image.asked + 1):
            if await everything(self._model(count), self.now_ms) == found:
                return count
        raise AssertionError(await self._difference(image, found))

    def _model(self, count: int) -> ModelPlace:
        place = ModelPlace(self.log.entries[:count])
        place.apply(("open", (self.now_ms,)))
        return place

    async def _difference(self, image: Image, found: dict[str, object]) -> str:
        lines = [f"life {self.lives}, power lost at {image.moment}: {image.answered} of {image.asked} calls answered"]
        for count in range(image.answered, image.asked + 1):
            expected = await everything(self._model(count), self.now_ms)
            wrong = [name for name, value in expected.items() if found[name] != value]
            lines.append(f"after {count} calls these differ: {', '.join(wrong)}")
            lines += [f"  {name}: {told_apart(found[name], expected[name])}" for name in wrong]
            lines.append(f"  the next call: {self.log.entries[count : count + 1]}")
        return "\n".join(lines)


def told_apart(found: object, expected: object) -> str:
    """What stands in one of two lists alone."""
    if not isinstance(found, list | tuple) or not isinstance(expected, list | tuple):
        return f"found {found}, expected {expected}"
    more, less = [one for one in found if one not in expected], [one for one in expected if one not in found]
    return f"found besides {more}, not found {less}"


async def everything(place: RecordedPlace | ModelPlace, now_ms: int) -> dict[str, object]:
    """All that can be read, what opening told, and what claims give. Which row a document got is the store's own
    choice. Nothing can be done with the place afterwards: it is all claimed.
    """
    opened = place.opened
    documents = sorted((one.kind, one.id, one.account, one.version, one.body) for one in opened.documents)
    told = {"documents": documents, "versions": opened.versions, "backlog": opened.backlog, "health": opened.health}
    read = await Actor(clerk_of(place, now_ms)).everything()
    # How often something was claimed is not seen but here, and what comes next goes by it.
    endpoints = [endpoint_of(account, number) for account in ACCOUNTS for number in range(ENDPOINTS_EACH)]
    claims = {f"claims {one}": comparable(await place.claim_all(one, now_ms + 400 * DAY)) for one in endpoints}
    return {**told, **read, **claims}


def check_integrity(path: Path) -> None:
    """SQLite itself finds nothing wrong with the file."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    found = db.execute("PRAGMA integrity_check").fetchall()
    db.close()
    assert found == [("ok",)], f"{path} is damaged: {found[:5]}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_power_failure_leaves_whole_calls_and_all_answered_ones(tmp_path: Path, seed: int) -> None:
    series = Series(seed, tmp_path)
    await series.run(POINTS)
    assert series.points >= POINTS


# Planted bugs


def sync_off(patch: pytest.MonkeyPatch) -> None:
    """``synchronous`` is off."""
    set_ = connection._set

    def careless(db: apsw.Connection, **settings: str | int) -> None:
        set_(db, **(settings | ({"synchronous": "OFF"} if "synchronous" in settings else {})))

    patch.setattr(connection, "_set", careless)


def acknowledge_first(patch: pytest.MonkeyPatch) -> None:
    """Outcomes are answered before the commit."""
    record = SqliteStore.record

    def hasty(self: SqliteStore, attempts: list[AttemptRow], health: list[HealthRow]) -> "asyncio.Future[Recorded]":
        record(self, attempts, health)
        answer: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
        answer.set_result(Recorded())
        return answer

    patch.setattr(SqliteStore, "record", hasty)


def commit_in_between(patch: pytest.MonkeyPatch) -> None:
    """Events and their deliveries become two transactions."""
    insert = accept._INSERT_EVENTS

    class Torn:
        def run(self, db: apsw.Connection, values: list[Any]) -> None:
            insert.run(db, values)
            db.execute("COMMIT")
            db.execute("BEGIN IMMEDIATE")

    patch.setattr(accept, "_INSERT_EVENTS", Torn())


@pytest.mark.slow
@pytest.mark.parametrize("plant", [sync_off, acknowledge_first, commit_in_between])
async def test_a_planted_bug_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    plant(monkeypatch)
    for seed in SEEDS:
        (tmp_path / str(seed)).mkdir()
        try:
            await Series(1_000 + seed, tmp_path / str(seed)).run(POINTS)
        except (AssertionError, StoreRefused, apsw.CorruptError) as found:
            signs = ("these differ", "is damaged", "is malformed")
            assert any(sign in str(found) for sign in signs)  # noqa: PT017 - it is the subject
            return
    pytest.fail(f"{plant.__doc__} Not found in {POINTS * len(SEEDS)} power failures")
