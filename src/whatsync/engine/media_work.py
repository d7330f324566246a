"""Fetches media files in the background and removes those that have ended. Durable: all of it is told by the rows.

Bounded in number, so that downloads never slow messages. Knows neither HTTP nor anybody's API: how a file is fetched is
given to the constructor.
"""

import asyncio
import heapq
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec

from whatsync.engine.directory import Directory, RunningAccount
from whatsync.engine.lead import Lead
from whatsync.engine.media import Media
from whatsync.engine.receipt import Receipt
from whatsync.engine.watch import Notice
from whatsync.model import limits, retry
from whatsync.model.details import read_details
from whatsync.model.documented import MediaUpload
from whatsync.model.draft import Draft, draft_of_data
from whatsync.model.errors import Conflict, Unavailable
from whatsync.model.media import MediaTask, bare_type, content_type, decode_task
from whatsync.ports.clock import Clock
from whatsync.ports.history import History
from whatsync.ports.media import MediaOutcome, MediaRow, MediaState
from whatsync.ports.media_store import MediaUnavailable, UnfinishedFile
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import Store, StoreUnavailable

logger = logging.getLogger(__name__)

MEDIA_UPLOAD = "media.upload"
MEDIA_FAILED = "media.failed"
_PAUSE_SECONDS = 1.0
_SOON_SECONDS = 60.0
"""Until the next try where the trouble is our own disk or bucket."""


class Fetched(msgspec.Struct, frozen=True):
    """All bytes are in the file, and they are the ones that were meant."""

    mime_type: str | None = None
    """As the place it came from said at last."""


class NotFetched(msgspec.Struct, frozen=True):
    """This try failed. ``code`` is stable, ``sentence`` says why and what to do, without personal data."""

    code: str
    sentence: str
    final: bool = False
    """No further try can help."""
    retry_after_seconds: float = 0.0


Fetch = Callable[[MediaTask, UnfinishedFile], Awaitable[Fetched | NotFetched]]
"""Gets the bytes of one file. Raises MediaUnavailable from the file; every other failure is a value."""
Submit = Callable[[RunningAccount, Draft], "asyncio.Future[list[Receipt]]"]


class MediaWork:
    """One loop that claims what is due, and a bounded number of tasks that do it."""

    def __init__(
        self,
        *,
        media: Media,
        directory: Directory,
        store: Store,
        history: History,
        clock: Clock,
        randomness: Randomness,
        fetch: Fetch,
        submit: Submit,
        emit: Callable[[Notice], "asyncio.Future[list[Receipt]]"],
    ) -> None:
        self._media = media
        self._directory = directory
        self._store = store
        self._history = history
        self._clock = clock
        self._randomness = randomness
        self._fetch = fetch
        self._submit = submit
        self._emit = emit
        self._running: dict[asyncio.Task[None], int] = {}
        """What is under way, and whose it is."""
        self._after = 0
        """The account behind which the next look begins."""
        self._dues_ms: list[int] = []
        """A heap of times at which something is due again, as far as they were written here."""
        self._lead = Lead(clock)
        self._planned = False
        """Nothing is left that a later clock had planned. What one had before the start is not known."""

    async def run(self) -> None:
        """Work for ever. Cancelled, it lets go of what is under way; it is done again later."""
        try:
            while True:
                await self._media.work(await self._turn())
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _turn(self) -> float:
        """Begin all that is due and has room; returns the seconds until there may be more."""
        free = limits.MEDIA_FETCHES_MAX - len(self._running)
        if free <= 0:
            return limits.MEDIA_IDLE_SECONDS
        now_ms = self._clock.now_ms()
        try:
            if self._lead.due(now_ms) or not self._planned:
                await self._plan_anew()
            contended = await self._claim(now_ms)
        except StoreUnavailable:
            return _PAUSE_SECONDS
        if len(self._running) >= limits.MEDIA_FETCHES_MAX:
            return limits.MEDIA_IDLE_SECONDS  # A task's end wakes the loop.
        if contended:
            return _PAUSE_SECONDS
        while self._dues_ms and self._dues_ms[0] <= now_ms:
            heapq.heappop(self._dues_ms)
        if not self._dues_ms:
            return limits.MEDIA_IDLE_SECONDS
        return min((self._dues_ms[0] - now_ms) / 1000, limits.MEDIA_IDLE_SECONDS)

    async def _claim(self, now_ms: int) -> bool:
        """Go round the accounts once while there is room; whether another node was quicker with some."""
        until_ms = now_ms + limits.MEDIA_CLAIM_SECONDS * 1000
        begun, contended, round_ended = self._after, False, False
        while not round_ended and (free := limits.MEDIA_FETCHES_MAX - len(self._running)) > 0:
            held = Counter(self._running.values())
            before, found = self._after, await self._store.claim_media(now_ms, until_ms, free, held, self._after)
            for row in found.rows:
                self._begin(row)
            contended |= found.contended
            self._after = found.after or 0
            # Back where it began, or past it.
            round_ended = found.after is None or (before < begun <= found.after) or found.after == begun
        return contended

    async def _plan_anew(self) -> None:
        """Have what a later clock had planned come forward."""
        self._planned = False
        after: tuple[int, str] | None = (self._clock.now_ms(), "")
        while after is not None:
            after = await self._store.replan_media(self._clock.now_ms(), after, limits.REPLAN_FILES_MAX)
        self._planned = True

    def _begin(self, row: MediaRow) -> None:
        task = asyncio.get_running_loop().create_task(self._do(row))
        self._running[task] = row.account
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._running.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a media file could not be seen to because of a bug", exc_info=task.exception())
        self._media.wake()

    async def _do(self, row: MediaRow) -> None:
        """See to one claimed row. Where the store can't take the outcome, the claim's end brings it back."""
        try:
            outcome = await (self._remove(row) if row.state is MediaState.REMOVED else self._get(row))
            if outcome.due_ms is not None:
                heapq.heappush(self._dues_ms, outcome.due_ms)
            late = await self._store.record_media([outcome])
            if late and outcome.state is MediaState.STORED:
                await self._take_back(row.name)
        except (StoreUnavailable, Unavailable):
            await self._clock.sleep(_PAUSE_SECONDS)
        finally:
            self._media.settled(row.name)

    async def _take_back(self, name: str) -> None:
        """The row ended while its file was kept: nobody else removes it now."""
        row = await self._history.media(name)
        if row is None or row.state is MediaState.REMOVED:
            try:
                await self._media.files.remove(name)
            except MediaUnavailable:
                return  # Swept later.

    # Removing

    async def _remove(self, row: MediaRow) -> MediaOutcome:
        now_ms = self._clock.now_ms()
        try:
            await self._media.files.remove(row.name)
        except MediaUnavailable as problem:
            self._media.trouble = problem.reason
            logger.warning("a media file can't be removed and will be tried again: %s", problem.reason)
            soon_ms = now_ms + int(_SOON_SECONDS * 1000)
            return MediaOutcome(row.name, row.claim, MediaState.REMOVED, now_ms, soon_ms, reason=row.reason)
        self._media.trouble = None
        self._media.tally.removed += 1
        return MediaOutcome(row.name, row.claim, MediaState.REMOVED, now_ms, reason=row.reason)

    # Fetching

    async def _get(self, row: MediaRow) -> MediaOutcome:
        task = decode_task(row.task)
        self._media.tally.fetching += 1
        try:
            unfinished = await self._media.files.begin()
            try:
                return await self._fetched(row, task, unfinished)
            finally:
                await unfinished.discard()
        except MediaUnavailable as problem:
            self._media.trouble = problem.reason
            logger.warning("media files can't be kept and will be fetched again: %s", problem.reason)
            return self._again(row, NotFetched("storage_unavailable", problem.reason), _SOON_SECONDS)
        finally:
            self._media.tally.fetching -= 1

    async def _fetched(self, row: MediaRow, task: MediaTask, unfinished: UnfinishedFile) -> MediaOutcome:
        result = await self._try(task, unfinished)
        if isinstance(result, NotFetched):
            return await self._failed(row, task, result)
        # Retention or an erasure may have ended it meanwhile.
        current = await self._history.media(row.name)
        account = self._directory.accounts.get(row.account)
        if current is None or current.claim != row.claim or account is None:
            return MediaOutcome(row.name, row.claim, MediaState.REMOVED, self._clock.now_ms(), reason="expired")
        mime_type = row.mime_type or result.mime_type
        await self._media.files.keep(unfinished, row.name, content_type(mime_type))
        self._media.trouble = None
        event = await self._told(account, row, task, mime_type)
        self._media.tally.stored += 1
        self._media.tally.stored_bytes += unfinished.size
        return MediaOutcome(
            row.name,
            row.claim,
            MediaState.STORED,
            self._clock.now_ms(),
            mime_type=mime_type,
            size=unfinished.size,
            sha256=unfinished.sha256(),
            event=event,
        )

    async def _try(self, task: MediaTask, unfinished: UnfinishedFile) -> Fetched | NotFetched:
        try:
            async with asyncio.timeout(limits.MEDIA_FETCH_SECONDS):
                return await self._fetch(task, unfinished)
        except TimeoutError:
            return NotFetched("timeout", f"the download took longer than {limits.MEDIA_FETCH_SECONDS:g} s")
        except MediaUnavailable:
            raise
        except Exception:
            logger.exception("fetching a media file met a bug")
            return NotFetched("internal_error", "fetching the file failed here; the server's log tells why")

    async def _told(self, account: RunningAccount, row: MediaRow, task: MediaTask, mime_type: str | None) -> int | None:
        """Make the event, which may have been made before a crash; returns its row. Raises Unavailable."""
        try:
            await self._submit(account, upload_draft(row.id, task, mime_type, self._clock.now_ms()))
        except Conflict:
            logger.info("a media.upload event was known with other content")
        event = await self._history.event(account.row, row.id)
        return None if event is None else event.seq

    async def _failed(self, row: MediaRow, task: MediaTask, result: NotFetched) -> MediaOutcome:
        now_ms = self._clock.now_ms()
        over = now_ms >= row.created_ms + limits.MEDIA_KEPT_SECONDS * 1000
        if not result.final and not over:
            return self._again(row, result, result.retry_after_seconds)
        if not result.final:
            result = _expired(result)
        self._media.tally.failed += 1
        logger.warning("a media file will not be fetched", extra={"code": result.code, "attempts": row.attempts + 1})
        if row.account in self._directory.accounts:
            await self._told_of(_failure(row, task, result))
        return MediaOutcome(row.name, row.claim, MediaState.FAILED, now_ms, reason=result.code)

    async def _told_of(self, notice: Notice) -> None:
        """Make the operational event before the row ends: a crash in between tells it again, as the same event."""
        try:
            await self._emit(notice)
        except Conflict:
            return  # Told before, at another time.

    def _again(self, row: MediaRow, result: NotFetched, at_least_seconds: float) -> MediaOutcome:
        self._media.tally.retried += 1
        waits = limits.MEDIA_RETRY_SECONDS
        wait = waits[min(row.attempts, len(waits) - 1)]
        now_ms = self._clock.now_ms()
        due_ms = retry.due_ms(now_ms, wait, self._randomness.fraction(), at_least_seconds)
        logger.info(
            "a media file will be fetched again",
            extra={"code": result.code, "attempts": row.attempts + 1, "seconds": (due_ms - now_ms) // 1000},
        )
        return MediaOutcome(row.name, row.claim, MediaState.WAITING, now_ms, due_ms, reason=result.code)


def _expired(last: NotFetched) -> NotFetched:
    days = limits.MEDIA_KEPT_SECONDS // 86_400
    return NotFetched(
        "expired",
        f"WhatsApp keeps a file for {days} days, and no download succeeded. Ask the sender to send it again. "
        f"The last try: {last.sentence}",
    )


def _failure(row: MediaRow, task: MediaTask, result: NotFetched) -> Notice:
    data = {
        "messageId": task.message_id,
        "mediaType": task.media_type,
        "mediaUrl": task.media_url,
        "number": task.number,
        "code": result.code,
        "error": result.sentence,
    }
    return Notice(row.account, MEDIA_FAILED, f"evt_media_failed_{row.id.removeprefix('media_')}", data)


def upload_draft(event_id: str, task: MediaTask, mime_type: str | None, now_ms: int) -> Draft:
    """The ``media.upload`` event of a fetched file. Made again later it is the same event."""
    data = MediaUpload(
        message_id=task.message_id,
        media_type=task.media_type,
        media_url=task.media_url,
        mime_type=(task.mime_type or mime_type or bare_type(None))[: limits.WORD_CHARS_MAX],
        caption=task.caption,
    )
    details = read_details(task.details) if task.details else None
    return msgspec.structs.replace(draft_of_data(MEDIA_UPLOAD, event_id, now_ms, data, details), timestamp_given=False)
