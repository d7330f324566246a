"""The feed of live events as one endless stream: long polls, and patient new tries when the connection is lost.

Knows the API's feed and how a server is found again after a restart; forwards nothing.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from whatsync.cli.client import Access, ApiFailure, Unreachable, query_text, read_answer, unreachable
from whatsync.cli.failure import Failure
from whatsync.ports.clock import Clock
from whatsync.ports.randomness import Randomness

WAIT_SECONDS = 25
TIMEOUT_SECONDS = 45.0
BACK_OFF_SECONDS = 0.5
BACK_OFF_SECONDS_MAX = 15.0
PAGE_ITEMS = 100
_FEED = "/v1/events/feed"

Event = dict[str, Any]


class Told(Protocol):
    """Who hears of the connection's fate."""

    def connected(self, url: str) -> None:
        """The feed is being read."""

    def lost(self, reason: str, seconds: float) -> None:
        """It is not; the next try is in so many seconds."""

    def skipped(self) -> None:
        """Retention has removed events that had not been read yet."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Which events are wanted; empty means all."""

    types: tuple[str, ...] = ()
    number: str | None = None
    since: str | None = None
    """Begin with what was accepted at this time or later, as RFC 3339; else with what comes now."""

    def wants(self, event: Event) -> bool:
        """Whether an event of the feed is wanted."""
        if self.types and event["event"] not in self.types:
            return False
        return self.number is None or event.get("number") == self.number


class LiveFeed:
    """Reads the feed. ``find`` says where the server is: asked anew after each loss, as a restart changes its token."""

    def __init__(
        self, find: Callable[[], Access], wish: Wish, told: Told, clock: Clock, randomness: Randomness
    ) -> None:
        self._find = find
        self._wish = wish
        self._told = told
        self._clock = clock
        self._randomness = randomness
        self._access = find()
        self._http = self._client()

    async def close(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def events(self) -> AsyncIterator[Event]:
        """Yield wanted events, oldest first, for ever. Raises Failure where trying again can't help."""
        cursor = (await self._patiently("now", 0))["nextCursor"]
        # The cursor was taken before the past is read, so that nothing falls between; what comes in both is sent once.
        past = await self._past()
        for event in past:
            yield event
        known = {event["id"] for event in past}
        while True:
            page = await self._patiently(cursor, WAIT_SECONDS)
            cursor = page["nextCursor"]
            for event in page["items"]:
                if event["id"] not in known and self._wish.wants(event):
                    yield event

    async def event(self, event_id: str) -> Event:
        """Read one event. Raises Failure."""
        found: Event = await self._get(f"/v1/events/{quote(event_id, safe='')}", {})
        return found

    async def _past(self) -> list[Event]:
        """What was accepted since the time wished for, oldest first."""
        if self._wish.since is None:
            return []
        found: list[Event] = []
        query: dict[str, str | int | bool | None] = {"since": self._wish.since, "limit": 200, "cursor": None}
        while True:
            page = await self._get("/v1/events", query)
            found += [event for event in page["items"] if self._wish.wants(event) and not event.get("test")]
            query["cursor"] = page.get("nextCursor")
            if query["cursor"] is None:
                return found[::-1]

    async def _patiently(self, cursor: str, wait: int) -> dict[str, Any]:
        """One page of the feed, however long it takes to get it."""
        failures = 0
        while True:
            try:
                page: dict[str, Any] = await self._get(_FEED, {"after": cursor, "wait": wait, "limit": PAGE_ITEMS})
            except CursorExpired as expired:
                self._told.skipped()
                cursor = expired.oldest
            except Failure as failure:
                failures += 1
                await self._wait(failure, failures)
            else:
                self._told.connected(self._access.url)
                return page

    async def _wait(self, failure: Failure, failures: int) -> None:
        """Wait before the next try, and look for the server anew. Raises the failure where it will stay."""
        before = self._access
        if isinstance(failure, ApiFailure) and failure.status in (400, 403, 404, 422):
            raise failure
        seconds = min(BACK_OFF_SECONDS * 2 ** (failures - 1), BACK_OFF_SECONDS_MAX)
        seconds *= 0.75 + self._randomness.fraction() / 2
        self._told.lost(failure.message, seconds)
        await self._clock.sleep(seconds)
        try:
            self._access = self._find()
        except Unreachable:
            return
        if self._access != before:
            await self._http.aclose()
            self._http = self._client()
        elif isinstance(failure, ApiFailure) and failure.status == 401:
            raise failure

    def _client(self) -> httpx.AsyncClient:
        access = self._access
        return httpx.AsyncClient(base_url=access.url, headers=access.headers, timeout=TIMEOUT_SECONDS)

    async def _get(self, path: str, query: dict[str, Any]) -> Any:
        params = query_text(query)
        if path == _FEED and self._wish.types:
            params["event"] = ",".join(self._wish.types)
        try:
            answer = await self._http.get(path, params=params)
        except httpx.HTTPError as problem:
            raise unreachable(self._access.url, problem) from None
        if answer.status_code == 410 and path == _FEED:
            raise CursorExpired(answer.json().get("oldestCursor", "now"))
        return read_answer(answer)


class CursorExpired(Failure):
    """Events behind the cursor are past retention; ``oldest`` is where to go on."""

    def __init__(self, oldest: str) -> None:
        super().__init__("some events are past retention")
        self.oldest = oldest
