"""This node among others over one database: its heartbeat and lease, its posts, what it hears and calls out.

Implements ``standing.Standing``. Whatever it misses, a look at all that waits finds again. Knows no SQL and no HTTP.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from whatsync.engine.calls import Calls
from whatsync.engine.common_clock import CommonClock
from whatsync.engine.directory import Directory, RunningEndpoint
from whatsync.engine.dispatch import Dispatcher
from whatsync.engine.lease import Lease
from whatsync.engine.news import NewsReader
from whatsync.engine.posts import Duty, Posts
from whatsync.engine.standing import Loop, Result
from whatsync.engine.sweep import Sweep
from whatsync.model import limits
from whatsync.model.endpoint import needs_owner
from whatsync.model.ids import NODE_MAX, Sequence
from whatsync.ports.cluster import Beat, Cluster, Member, Over, Role, Signal
from whatsync.ports.store import StoreUnavailable

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0
_ALONE_PAUSE_SECONDS = 0.2


class Node:
    """One of many equals. ``attach`` it to the parts it moves before its loops run."""

    leased = True

    def __init__(
        self,
        *,
        cluster: Cluster,
        role: Role,
        clock: CommonClock,
        directory: Directory,
        sequence: Sequence,
        cursor: int,
        timeout_seconds: float = limits.REQUEST_TIMEOUT_SECONDS,
    ) -> None:
        self._cluster = cluster
        self._role = role
        self._clock = clock
        self._directory = directory
        self._sequence = sequence
        self._timeout_seconds = timeout_seconds
        self._leaving = False
        self._refreshed = clock.monotonic()
        self._refreshes = 2.0 * limits.REFRESHES_PER_SECOND
        self._look = asyncio.Event()
        self.lease = Lease(clock)
        self.calls = Calls(cluster, clock)
        self.news = NewsReader(cluster, directory, cursor)
        self.posts = Posts(cluster, directory, self.calls, clock)
        self.members: tuple[Member, ...] = ()
        self.posts.on_taken = self._look.set
        self.news.on_change.append(self.posts.look)
        directory.catch_up = self.news.catch_up

    def attach(self, dispatcher: Dispatcher, sweep: Sweep) -> None:
        """Say which parts this node moves."""
        self._dispatcher = dispatcher
        self._sweep = sweep
        self.posts.attach(dispatcher)
        self.news.on_endpoint += [dispatcher.changed, sweep.look]

    def loops(self) -> dict[str, Loop]:
        """What has to run for ever, by name."""
        return {
            "heartbeat": self.run,
            "signals": self.calls.run,
            "hearing": self.listen,
            "posts": self.posts.run,
            "look": self.look_around,
        }

    # Standing

    def mine(self, endpoint: RunningEndpoint) -> bool:
        """Whether this node sends to the endpoint."""
        if self._leaving or not self._role.delivers:
            return False
        return endpoint.row in self.posts.rows or not needs_owner(endpoint.endpoint)

    def covers(self, endpoint: RunningEndpoint) -> bool:
        """Whether the lease outlasts a request to the endpoint."""
        return self.lease.covers(endpoint.endpoint.timeout_seconds or self._timeout_seconds)

    def call(self, endpoint: RunningEndpoint) -> None:
        """Let those know that send to it."""
        if not self.mine(endpoint):
            self.calls.due(endpoint.row)

    def call_off(self, endpoint: int, delivery: int) -> None:
        """Let those know that may have it in memory."""
        self.calls.ended(endpoint, delivery)

    def announce(self) -> None:
        """Let all know that there is news."""
        self.calls.configuration()
        self.posts.look()

    async def catch_up(self) -> None:
        """Read what others have changed."""
        await self.news.catch_up()

    async def refreshed(self) -> bool:
        """Read what others have changed; whoever asks for made-up names all the time may not cause more than a few
        questions a second.
        """
        now, most = self._clock.monotonic(), limits.REFRESHES_PER_SECOND
        self._refreshes = min(2.0 * most, self._refreshes + (now - self._refreshed) * most)
        self._refreshed = now
        if self._refreshes < 1:
            return False
        self._refreshes -= 1
        try:
            await self.news.catch_up()
        except StoreUnavailable:
            return False
        return True

    def only(self, duty: str, loop: Loop, begin: Callable[[], object] | None = None) -> Loop:
        """``loop`` while this node has the duty."""
        self.posts.duties[duty] = Duty(loop, begin)
        return self.posts.duties[duty].run

    def trouble(self) -> str | None:
        """Whether the lease is lost."""
        if self.lease.covers(0):
            return None
        return "the database was not heard of for too long, so nothing is sent until it is"

    def warnings(self) -> list[str]:
        """Whether the clocks are apart."""
        apart = self._clock.apart_seconds()
        if abs(apart) <= limits.CLOCKS_APART_SECONDS_MAX:
            return []
        return [f"this machine's clock differs from the database's by {apart:+.0f} s; the database's is used"]

    # Heartbeat

    async def run(self) -> None:
        """Be heard of, for ever."""
        while True:
            try:
                await self.beat()
            except StoreUnavailable as problem:
                logger.warning("the database can't be reached, the lease runs on for a while: %s", problem.reason)
                await self._clock.sleep(_PAUSE_SECONDS)
            else:
                await self._clock.sleep(limits.HEARTBEAT_SECONDS)

    async def beat(self) -> None:
        """Renew the lease, under which all that others changed is known. Raises StoreUnavailable."""
        asked = self._clock.monotonic()
        answer = await self._cluster.beat(self._role, limits.LEASE_SECONDS, self._leaving)
        if isinstance(answer, Over):
            asked = self._clock.monotonic()
            answer = await self._rejoin()
        self._clock.set(answer.now_ms, asked)
        self._meet(answer)
        if answer.changed > self.news.cursor:
            await self.news.catch_up()
        if self.lease.renewed(asked):
            self._dispatcher.resume()

    async def _rejoin(self) -> Beat:
        """Others have taken over what was claimed here: begin anew, with nothing."""
        logger.warning("this node was not heard of for too long, others have taken its work over; it joins again")
        self.lease.void()
        beat = await self._cluster.rejoin(self._role, limits.LEASE_SECONDS)
        self._sequence.renumber(beat.epoch & NODE_MAX)
        self._dispatcher.drop_claims()
        self.posts.reset()
        return beat

    def _meet(self, beat: Beat) -> None:
        if beat.members != self.members:
            self.members = beat.members
            self._look.set()
        takes_up = self._role.delivers and not self._leaving
        self.posts.meet(beat.epoch if takes_up else None, beat.members)
        if self.posts.missing:
            self.posts.look()

    # Hearing and looking

    async def listen(self) -> None:
        """Do what others call out, for ever."""
        while True:
            try:
                await self._heed(await self._cluster.hear())
            except StoreUnavailable:
                await self._clock.sleep(_PAUSE_SECONDS)

    async def _heed(self, heard: Signal) -> None:
        for endpoint, delivery in heard.ended:
            self._dispatcher.drop(endpoint, delivery)
        if heard.everything:
            self._look.set()
            self.posts.look()
        if heard.configuration or heard.everything:
            await self.news.catch_up()
        for row in heard.endpoints:
            running = self._directory.endpoints.get(row)
            if running is not None and self.mine(running):
                self._dispatcher.wake(row)
            elif self.posts.wants(row):
                self.posts.look()

    async def look_around(self) -> None:
        """Look at all that waits: from time to time, and when somebody came or went."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limits.LOOK_SECONDS):
                    await self._look.wait()
            self._look.clear()
            try:
                await self.look_once()
            except StoreUnavailable:
                await self._clock.sleep(_PAUSE_SECONDS)
                self._look.set()

    async def look_once(self) -> None:
        """Find what is due and unclaimed, and deliveries of endpoints that are off or gone. Raises StoreUnavailable."""
        waiting = await self._cluster.waiting()
        if any(one.endpoint not in self._directory.endpoints for one in waiting):
            await self.news.catch_up()  # What is still unknown afterwards is gone, not new.
        for one in waiting:
            running = self._directory.endpoints.get(one.endpoint)
            if running is not None and one.health is not None:
                self._dispatcher.learn(running, one.health)
            if running is None:
                self._sweep.look_gone(one.endpoint, one.account)
            elif one.next_due_ms is None:
                continue
            elif not running.endpoint.enabled:
                self._sweep.look(one.endpoint)
            elif self.mine(running):
                self._dispatcher.wake(one.endpoint, one.next_due_ms)

    # Starting and stopping

    async def alone(self, what: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do ``work`` while no other node does ``what``."""
        while what not in await self._cluster.take([what]):
            await self._clock.sleep(_ALONE_PAUSE_SECONDS)
            await self.beat()
        try:
            await self.news.catch_up()
            return await work()
        finally:
            await self._cluster.give_up([what])

    async def withdraw(self) -> None:
        """Take nothing new up, give back what is queued, let the others know."""
        self._leaving = True
        for row in list(self._dispatcher.lanes):
            self._dispatcher.changed(row)
        with contextlib.suppress(StoreUnavailable):
            await self.beat()
            await self.posts.review()

    async def leave(self) -> None:
        """Be gone: whatever is still claimed here is the others' at once."""
        try:
            await self._cluster.leave()
        except StoreUnavailable:
            logger.warning("the end of this node could not be written; its lease runs out by itself")
