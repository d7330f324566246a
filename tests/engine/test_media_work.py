"""Files fetched in the background: told once, tried again for days, given up with a reason, gone when they have to."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.engine.desk import Desk, opened_desk
from tests.engine.media_parts import media_over, work_over
from tests.net.receivers import until
from tests.patience import PATIENCE_SECONDS
from whatsync.engine.directory import RunningAccount
from whatsync.engine.media import StillComing
from whatsync.engine.media_sweep import MediaSweep
from whatsync.engine.media_work import Fetched, NotFetched
from whatsync.media.folder import FolderStore
from whatsync.model import limits
from whatsync.model.draft import draft_of
from whatsync.model.errors import Gone, NotFound
from whatsync.model.media import MediaTask, encode_task
from whatsync.net.system import SystemRandomness
from whatsync.ports.media import MediaClaim, MediaRow, MediaState
from whatsync.ports.media_store import MediaUnavailable, UnfinishedFile
from whatsync.ports.store import StoreUnavailable
from whatsync.store.memory import Disk

DAY = 86_400


@dataclass
class Origin:
    """Where files come from: gives ``data`` unless told to fail; a hold keeps all fetches waiting."""

    data: bytes = b"bytes of a file"
    failures: list[NotFetched | Exception] = field(default_factory=list)
    hold: asyncio.Event | None = None
    fetches: int = 0
    now: int = 0
    most: int = 0

    async def fetch(self, task: MediaTask, unfinished: UnfinishedFile) -> Fetched | NotFetched:
        self.fetches += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self.hold is not None:
                await self.hold.wait()
            if self.failures:
                failure = self.failures.pop(0)
                if isinstance(failure, Exception):
                    raise failure
                return failure
            await unfinished.write(self.data)
            return Fetched("image/jpeg")
        finally:
            self.now -= 1


class Bench:
    """An engine with its media parts; the work runs as a task."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk = desk
        self.files = FolderStore(folder, SystemRandomness())
        self.origin = Origin()
        self.media = media_over(desk, self.files, desk.vault)
        self.work = work_over(desk, self.media, self.origin.fetch)
        self.sweep = MediaSweep(media=self.media, history=desk.store, clock=desk.clock, keeping=set())
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.ensure_future(self.work.run())

    async def stop(self) -> None:
        """Let go as a crash does."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def message(self, account: RunningAccount, number: int = 1) -> str:
        """Accept a message that came with a file; the file's name."""
        id_ = f"media_{number}"
        name = self.media.name_of(id_, "image/jpeg")
        url = self.media.url_of(name)
        data = {"from": "+1", "to": "+2", "text": None, "media": {"mediaType": "image", "mediaUrl": url}}
        now_ms = self.desk.clock.now_ms()
        draft = draft_of("message.incoming", f"msg_{number}", now_ms, msgspec.json.encode(data))
        task = MediaTask(f"msg_{number}", "111", f"m{number}", "image", url, "image/jpeg", "Look")
        row = MediaRow(
            name, account.row, 0, id_, now_ms, MediaState.WAITING, now_ms, "image/jpeg", task=encode_task(task)
        )
        await self.desk.ingest.submit(account, draft, None, row)
        self.media.wake()
        return name

    def row(self, name: str) -> MediaRow:
        return self.desk.store.disk.media[name]

    async def until(self, name: str, state: MediaState) -> MediaRow:
        """Wait until a file is in a state and nothing is left to do about it."""
        await until(lambda: self.row(name).state is state and self.row(name).due_ms is None)
        return self.row(name)

    async def tries(self, count: int) -> None:
        """Wait until so many fetches have ended and their outcomes are written."""
        await until(lambda: self.origin.fetches == count and self.origin.now == 0)
        await until(lambda: not self.desk.store.disk.media_claimed)

    def events(self, kind: str) -> list[Any]:
        """Data of all events of a type, in the order they were accepted."""
        disk = self.desk.store.disk
        rows = [disk.events[seq] for seq in disk.feed if disk.events[seq].type == kind]
        return [msgspec.json.decode(row.body) for row in rows]

    def on_disk(self) -> list[str]:
        return sorted(path.name for path in self.files.folder.rglob("*") if path.is_file())


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened_desk() as desk:
        made = Bench(desk, tmp_path)
        made.start()
        yield made
        await made.stop()
        await made.files.close()


async def test_a_file_is_fetched_and_told_once(bench: Bench) -> None:
    account = await bench.desk.account()
    name = await bench.message(account)
    row = await bench.until(name, MediaState.STORED)
    assert (row.size, row.task, row.mime_type) == (len(bench.origin.data), b"", "image/jpeg")
    (event,) = bench.events("media.upload")
    assert event["id"] == "media_1"
    assert event["data"] == {
        "messageId": "msg_1",
        "mediaType": "image",
        "mediaUrl": f"https://a.example/media/{name}",
        "mimeType": "image/jpeg",
        "caption": "Look",
    }
    assert bench.desk.store.disk.events[row.event].id == "media_1"
    found = await bench.media.find(name)
    assert b"".join([piece async for piece in await bench.media.read(found, 0, 100)]) == bench.origin.data


async def test_it_is_tried_again_until_it_comes(bench: Bench) -> None:
    account = await bench.desk.account()
    bench.origin.failures = [NotFetched("http_500", "no"), ValueError("a bug"), NotFetched("timeout", "no")]
    name = await bench.message(account)
    for tries, wait in enumerate(limits.MEDIA_RETRY_SECONDS[:3], start=1):
        await bench.tries(tries)
        assert bench.row(name).due_ms == bench.desk.clock.now_ms() + wait * 1000
        bench.desk.clock.advance(wait)
        bench.media.wake()
    row = await bench.until(name, MediaState.STORED)
    assert row.attempts == 4
    assert len(bench.events("media.upload")) == 1
    assert bench.events("media.failed") == []


async def test_regression_the_next_try_is_not_forgotten_when_something_else_wakes_the_loop(bench: Bench) -> None:
    account = await bench.desk.account()
    bench.origin.failures = [NotFetched("http_500", "no"), NotFetched("later", "no", retry_after_seconds=20)]
    for number in range(2):
        await bench.message(account, number)
        await bench.tries(number + 1)
    await bench.stop()
    for _ in range(2):
        assert await bench.work._turn() == limits.MEDIA_RETRY_SECONDS[0]
    bench.desk.clock.advance(limits.MEDIA_RETRY_SECONDS[0])
    assert await bench.work._turn() == 20 - limits.MEDIA_RETRY_SECONDS[0]


async def test_a_clock_that_ran_ahead_holds_no_file_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await bench.desk.account()
    monkeypatch.setattr(bench.desk.clock, "monotonic", lambda: 100.0)
    bench.desk.clock.advance(DAY)
    bench.origin.failures = [NotFetched("http_500", "no")]
    name = await bench.message(account)
    await bench.tries(1)
    bench.desk.clock.ms -= DAY * 1000
    bench.media.wake()
    soon_ms = bench.desk.clock.now_ms() + limits.MEDIA_RETRY_SECONDS[0] * 1000
    await until(lambda: bench.row(name).due_ms == soon_ms)


async def test_what_a_clock_ahead_had_planned_before_the_start_is_planned_anew(bench: Bench) -> None:
    account = await bench.desk.account()
    bench.desk.clock.advance(DAY)
    bench.origin.failures = [NotFetched("http_500", "no")]
    name = await bench.message(account)
    await bench.tries(1)
    await bench.stop()
    bench.desk.clock.ms -= DAY * 1000
    bench.work._planned = False  # as in a new process
    bench.start()
    soon_ms = bench.desk.clock.now_ms() + limits.MEDIA_RETRY_SECONDS[0] * 1000
    await until(lambda: bench.row(name).due_ms == soon_ms)


async def test_a_store_that_takes_no_writes_is_asked_again_to_plan(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.stop()
    bench.work._planned = False
    asked: list[bool] = []

    async def refusing(*_arguments: Any) -> None:
        asked.append(True)
        if len(asked) == 1:
            raise StoreUnavailable("full")

    monkeypatch.setattr(bench.desk.store, "replan_media", refusing)
    assert await bench.work._turn() == 1.0
    for _ in range(2):
        assert await bench.work._turn() == limits.MEDIA_IDLE_SECONDS
    assert len(asked) == 2


async def test_a_wish_to_wait_is_heard(bench: Bench) -> None:
    account = await bench.desk.account()
    bench.origin.failures = [NotFetched("rate_limited", "later", retry_after_seconds=7_200)]
    name = await bench.message(account)
    await bench.tries(1)
    assert bench.row(name).due_ms == bench.desk.clock.now_ms() + 7_200_000


async def test_what_can_not_come_is_told_with_the_reason(bench: Bench) -> None:
    account = await bench.desk.account()
    bench.origin.failures = [NotFetched("too_large", "it is too large", final=True)]
    name = await bench.message(account)
    await bench.until(name, MediaState.FAILED)
    (event,) = bench.events("media.failed")
    assert event["data"] == {
        "messageId": "msg_1",
        "mediaType": "image",
        "mediaUrl": f"https://a.example/media/{name}",
        "number": "111",
        "code": "too_large",
        "error": "it is too large",
    }
    with pytest.raises(Gone) as gone:
        await bench.media.find(name)
    assert gone.value.code == "media_too_large"
    assert bench.on_disk() == []


async def test_after_seven_days_it_is_given_up(bench: Bench) -> None:
    account = await bench.desk.account()
    name = await bench.message(account)
    tries = 0
    bench.origin.failures = [NotFetched("not_found", "no such file")] * 1_000
    while bench.row(name).state is MediaState.WAITING:
        tries += 1
        await bench.tries(tries)
        bench.desk.clock.advance(limits.MEDIA_RETRY_SECONDS[-1])
        bench.media.wake()
    assert 50 <= tries <= 60
    (event,) = bench.events("media.failed")
    assert event["data"]["code"] == "expired"
    with pytest.raises(Gone) as gone:
        await bench.media.find(name)
    assert gone.value.code == "media_not_fetched"
    assert "The last try: no such file" in event["data"]["error"]


async def test_only_so_many_at_a_time(bench: Bench) -> None:
    accounts = [await bench.desk.account(f"Shop {number}") for number in range(20)]
    bench.origin.hold = asyncio.Event()
    names = [await bench.message(account, number) for number, account in enumerate(accounts)]
    await until(lambda: bench.origin.now == limits.MEDIA_FETCHES_MAX)
    bench.origin.hold.set()
    for name in names:
        await bench.until(name, MediaState.STORED)
    assert bench.origin.most == limits.MEDIA_FETCHES_MAX


async def test_a_flood_of_one_account_delays_nobody_else(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEDIA_DUE_LOOKED_AT", 4)
    monkeypatch.setattr(limits, "MEDIA_ACCOUNTS_LOOKED_AT", 1)
    flooding, *others = [await bench.desk.account(f"Shop {number}") for number in range(3)]
    bench.origin.hold = asyncio.Event()
    names = [await bench.message(flooding, number) for number in range(40)]
    await until(lambda: bench.origin.now == limits.MEDIA_FETCHES_MAX // 2)
    for number, account in enumerate(others, start=100):
        before = bench.origin.now
        names.append(await bench.message(account, number))
        await until(lambda before=before: bench.origin.now == before + 1)  # type: ignore[misc]
    bench.origin.hold.set()
    for name in names:
        await bench.until(name, MediaState.STORED)
    assert bench.origin.fetches == len(names)


async def test_what_another_node_was_quicker_with_is_looked_for_again_soon(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = [MediaClaim((), contended=True), MediaClaim(())]

    async def claim(*_arguments: Any) -> MediaClaim:
        return claims.pop(0)

    await bench.stop()
    monkeypatch.setattr(bench.desk.store, "claim_media", claim)
    assert await bench.work._turn() < await bench.work._turn() == limits.MEDIA_IDLE_SECONDS


async def test_a_full_disk_is_no_reason_to_give_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await bench.desk.account()
    begin = bench.files.begin

    async def full() -> Any:
        raise MediaUnavailable("the disk is full")

    monkeypatch.setattr(bench.files, "begin", full)
    name = await bench.message(account)
    await until(lambda: bench.row(name).attempts == 1)
    assert bench.row(name).reason == "storage_unavailable"
    assert bench.media.trouble == "the disk is full"
    monkeypatch.setattr(bench.files, "begin", begin)
    bench.desk.clock.advance(60)
    bench.media.wake()
    await bench.until(name, MediaState.STORED)
    assert bench.media.trouble is None


@pytest.mark.parametrize("cut", ["while fetching", "after keeping", "after the event"])
async def test_a_crash_at_any_point_ends_with_one_file_and_one_event(
    tmp_path: Path, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    async with opened_desk(disk) as desk:
        first = Bench(desk, tmp_path)
        name = await first.message(await desk.account())
        stuck = asyncio.Event()

        async def never(*_: object) -> Any:
            stuck.set()
            await asyncio.Event().wait()

        if cut == "while fetching":
            monkeypatch.setattr(first.work, "_fetch", never)
        elif cut == "after keeping":
            monkeypatch.setattr(first.work, "_told", never)
        else:
            monkeypatch.setattr(desk.store, "record_media", never)
        first.start()
        await asyncio.wait_for(stuck.wait(), PATIENCE_SECONDS)
        await first.stop()
        await first.files.close()
    async with opened_desk(disk) as desk:
        second = Bench(desk, tmp_path)
        desk.clock.advance(100)
        second.start()
        await second.until(name, MediaState.STORED)
        assert len(second.events("media.upload")) == 1
        assert second.on_disk() == [name]
        await second.stop()
        await second.files.close()


async def test_what_is_removed_while_it_is_fetched_leaves_nothing(bench: Bench) -> None:
    account = await bench.desk.account()
    bench.origin.hold = asyncio.Event()
    name = await bench.message(account)
    await until(lambda: bench.origin.now == 1)
    await bench.media.remove(account.row, bench.media.url_of(name))
    bench.origin.hold.set()
    row = await bench.until(name, MediaState.REMOVED)
    await until(lambda: not bench.desk.store.disk.media_claimed and bench.origin.now == 0)
    assert row.reason == "erased"
    assert bench.events("media.upload") == []
    with pytest.raises(Gone):
        await bench.media.find(name)
    assert bench.on_disk() == []


async def test_files_go_with_their_events(bench: Bench) -> None:
    account = await bench.desk.account()
    name = await bench.message(account)
    await bench.until(name, MediaState.STORED)
    bench.desk.clock.advance(40 * DAY)
    now_ms = bench.desk.clock.now_ms()
    await bench.desk.store.prune(account.row, now_ms - 30 * DAY * 1000, 0, 100, now_ms)
    bench.media.wake()
    await bench.until(name, MediaState.REMOVED)
    assert bench.on_disk() == []
    with pytest.raises(Gone) as gone:
        await bench.media.find(name)
    assert gone.value.code == "media_expired"
    bench.desk.clock.advance(40 * DAY)
    await bench.desk.store.prune(account.row, 0, 0, 100, bench.desk.clock.now_ms())
    with pytest.raises(NotFound):
        await bench.media.find(name)


async def test_a_bucket_that_can_not_remove_is_asked_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await bench.desk.account()
    name = await bench.message(account)
    await bench.until(name, MediaState.STORED)
    remove, asked = bench.files.remove, asyncio.Event()

    async def failing(_name: str) -> None:
        asked.set()
        raise MediaUnavailable("out of reach")

    monkeypatch.setattr(bench.files, "remove", failing)
    await bench.media.remove(account.row, bench.media.url_of(name))
    await asyncio.wait_for(asked.wait(), PATIENCE_SECONDS)
    await until(lambda: not bench.desk.store.disk.media_claimed)
    monkeypatch.setattr(bench.files, "remove", remove)
    assert bench.on_disk() == [name]
    bench.desk.clock.advance(61)
    bench.media.wake()
    await bench.until(name, MediaState.REMOVED)
    assert bench.on_disk() == []


async def test_others_files_can_not_be_removed(bench: Bench) -> None:
    account, other = await bench.desk.account(), await bench.desk.account("Other")
    name = await bench.message(account)
    await bench.until(name, MediaState.STORED)
    await bench.media.remove(other.row, bench.media.url_of(name))
    await bench.media.remove(account.row, "https://elsewhere.example/picture.jpg")
    assert bench.row(name).state is MediaState.STORED


async def test_files_without_a_row_are_swept_when_they_are_old(bench: Bench) -> None:
    account = await bench.desk.account()
    name = await bench.message(account)
    await bench.until(name, MediaState.STORED)
    orphan = bench.media.name_of("media_orphan", "image/png")
    unfinished = await bench.files.begin()
    await unfinished.write(b"left")
    await bench.files.keep(unfinished, orphan, "image/png")
    stamp = (bench.files.folder / orphan[:2] / orphan).stat().st_mtime_ns // 1_000_000
    bench.desk.clock.ms = stamp + 1_000
    assert await bench.sweep.pass_once() == 0
    bench.desk.clock.ms = stamp + limits.MEDIA_ORPHAN_SECONDS * 1000 + 1_000
    assert await bench.sweep.pass_once() == 1
    assert bench.on_disk() == [name]


async def test_who_asks_meanwhile_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await bench.desk.account()
    bench.origin.hold = asyncio.Event()
    name = await bench.message(account)
    waiting = [asyncio.ensure_future(bench.media.find(name)) for _ in range(3)]
    await until(lambda: bench.media.tally.waiting == 3)
    monkeypatch.setattr(limits, "MEDIA_WAITERS_MAX", 3)
    with pytest.raises(StillComing):
        await bench.media.find(name)
    bench.origin.hold.set()
    assert {row.state for row in await asyncio.gather(*waiting)} == {MediaState.STORED}
    assert bench.media.tally.waiting == 0
