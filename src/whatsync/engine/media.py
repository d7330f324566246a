"""Media files as the doors ask for them: their URLs, what a URL stands for now, their bytes, and taking them away.

Knows no HTTP, and not how a file is fetched from where it came from.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from whatsync.model import limits
from whatsync.model.errors import Gone, NotFound, Unavailable
from whatsync.model.media import PURPOSE, is_media_name, media_name
from whatsync.ports.clock import Clock
from whatsync.ports.history import History
from whatsync.ports.media import MediaRow, MediaState
from whatsync.ports.media_store import MediaMissing, MediaStore, MediaUnavailable
from whatsync.ports.store import Store
from whatsync.ports.vault import Vault

ERASED = "erased"
EXPIRED = "expired"
_REMOVED = {
    EXPIRED: "it is past the time the account keeps its events for",
    ERASED: "it was erased",
}
_FAILED = {
    EXPIRED: ("media_not_fetched", "WhatsApp keeps a file for 7 days, and no download succeeded in that time"),
    "too_large": ("media_too_large", "it is larger than a file may be here"),
}


class StillComing(Unavailable):
    """The bytes are on their way; nothing is wrong (425)."""

    status = 425


class MediaTally(msgspec.Struct):
    """What has been done about media since the start, for the metrics."""

    stored: int = 0
    """Files fetched or uploaded."""
    stored_bytes: int = 0
    retried: int = 0
    """Fetches that failed and will be tried again."""
    failed: int = 0
    """Fetches that failed for good."""
    removed: int = 0
    """Files removed for retention or erasure."""
    orphans: int = 0
    """Files without a row that were swept."""
    fetching: int = 0
    """Fetches under way now."""
    waiting: int = 0
    """Requests that wait for a file now."""


class Media:
    """What stands behind the URLs of media files."""

    def __init__(
        self, *, store: Store, history: History, files: MediaStore, clock: Clock, vault: Vault, base_url: str
    ) -> None:
        self._store = store
        self._history = history
        self.files = files
        self._clock = clock
        self._key = vault.derive(PURPOSE)
        self._base_url = base_url
        self._arrivals: dict[str, asyncio.Event] = {}
        self._wakeup = asyncio.Event()
        self.tally = MediaTally()
        self.trouble: str | None = None
        """Why files can't be kept or removed just now; ``None`` since the last one that could be."""

    # Names

    def name_of(self, media_id: str, mime_type: str | None) -> str:
        """The name of the file whose ``media.upload`` event has this id; known before the file is here."""
        return media_name(self._key, media_id, mime_type)

    def url_of(self, name: str) -> str:
        """The public URL of a name."""
        return f"{self._base_url}/{name}"

    def name_in(self, url: str) -> str | None:
        """The name in one of our URLs, whatever it began with when it was made; ``None`` in others'."""
        name = url.rpartition("/")[2]
        return name if is_media_name(name) else None

    # What a URL stands for

    async def find(self, name: str) -> MediaRow:
        """The row of a stored file, waiting a while for one on its way.

        Raises NotFound, Gone with the reason, or StillComing with the seconds after which to ask again.
        """
        if not is_media_name(name):
            raise _unknown()
        row = await self._history.media(name)
        if row is not None and row.state is MediaState.WAITING:
            row = await self._arrived(row)
        if row is None:
            raise _unknown()
        if row.state is MediaState.WAITING:
            raise StillComing("media_on_its_way", "the file is still on its way here; ask again soon", _patience(row))
        if row.state is not MediaState.STORED:
            raise _gone(row)
        return row

    async def _arrived(self, row: MediaRow) -> MediaRow | None:
        """The row when it has changed, or as it is after the time to wait."""
        if self.tally.waiting >= limits.MEDIA_WAITERS_MAX:
            return row
        found: MediaRow | None = row
        until = self._clock.monotonic() + limits.MEDIA_WAIT_SECONDS
        self.tally.waiting += 1
        try:
            while found is not None and found.state is MediaState.WAITING:
                left = until - self._clock.monotonic()
                if left <= 0:
                    break
                arrival = self._arrivals.setdefault(row.name, asyncio.Event())
                # Another server over the same database may be the one that fetches it.
                await self._wait(arrival, min(left, limits.MEDIA_LOOK_SECONDS))
                found = await self._history.media(row.name)
        finally:
            self.tally.waiting -= 1
            if self.tally.waiting == 0:
                self._arrivals.clear()
        return found

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return

    def settled(self, name: str) -> None:
        """Tell those who wait that a name's row has changed."""
        arrival = self._arrivals.pop(name, None)
        if arrival is not None:
            arrival.set()

    async def read(self, row: MediaRow, start: int, length: int) -> AsyncIterator[bytes]:
        """A part of a stored file, its first piece already read. Raises NotFound or Unavailable where that fails."""
        pieces = self.files.read(row.name, start, length)
        try:
            first = await anext(pieces, b"")
        except MediaMissing:
            raise NotFound(
                "media_lost", "the file is gone from where it was kept; the server's operator knows"
            ) from None
        except MediaUnavailable as problem:
            raise Unavailable("media_unavailable", f"the file can't be read now: {problem.reason}") from None
        return _joined(first, pieces)

    # Taking away

    async def remove(self, account: int, url: str, reason: str = ERASED) -> None:
        """End one of the account's files by its URL; its bytes are removed soon. Others' URLs are passed over."""
        name = self.name_in(url)
        if name is None:
            return
        await self._store.remove_media(account, [name], reason, self._clock.now_ms())
        self.settled(name)
        self.wake()

    # Work

    def wake(self) -> None:
        """There is something to do: rows that are due were written."""
        self._wakeup.set()

    async def work(self, seconds: float) -> None:
        """Return when there may be something to do, at the latest after ``seconds``."""
        await self._wait(self._wakeup, seconds)
        self._wakeup.clear()


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for piece in rest:
        yield piece


def _unknown() -> NotFound:
    return NotFound("media_not_found", "there is no such file")


def _gone(row: MediaRow) -> Gone:
    reason = row.reason or "gone"
    if row.state is MediaState.FAILED:
        code, sentence = _FAILED.get(reason, (f"media_{reason}", "it could not be fetched"))
        return Gone(code, f"there is no file: {sentence}")
    return Gone(f"media_{reason}", f"there is no such file any more: {_REMOVED.get(reason, 'it was removed')}")


def _patience(row: MediaRow) -> int:
    """Seconds after which to ask again: sooner at first, later where several fetches have failed."""
    return (5, 30, 120)[min(row.attempts, 2)]
