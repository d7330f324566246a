"""Posts: what one node at a time may do. Endpoints with an order or limits, and duties such as retention.

Which node a post falls to, all agree on by themselves; the database sees to it that the one before has let go first.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from whatsync.engine.calls import Calls
from whatsync.engine.directory import Directory
from whatsync.engine.dispatch import Dispatcher
from whatsync.engine.standing import Loop
from whatsync.model.endpoint import needs_owner
from whatsync.model.rendezvous import chosen
from whatsync.ports.clock import Clock
from whatsync.ports.cluster import Cluster, Member
from whatsync.ports.store import StoreUnavailable

logger = logging.getLogger(__name__)

_LETTING_GO_SECONDS = 0.05
"""Between two looks whether what is let go has come to rest."""
_PAUSE_SECONDS = 1.0
_ENDPOINT = "endpoint:"


def post_of(endpoint: int) -> str:
    """The post of sending to an endpoint."""
    return f"{_ENDPOINT}{endpoint}"


class Duty:
    """Work that goes on while this node has it."""

    def __init__(self, loop: Loop, begin: Callable[[], object] | None) -> None:
        self._loop = loop
        self._begin = begin
        self._given = asyncio.Event()
        self._taken = asyncio.Event()
        self.at_rest = True

    def give(self) -> None:
        """It is this node's."""
        self._taken.clear()
        self._given.set()

    def take_away(self) -> None:
        """It is another's."""
        self._given.clear()
        self._taken.set()

    async def run(self) -> None:
        """For ever: wait for the duty, and do it as long as it lasts."""
        while True:
            await self._given.wait()
            self.at_rest = False
            try:
                if self._begin is not None:
                    self._begin()
                await self._work()
            finally:
                self.at_rest = True

    async def _work(self) -> None:
        work = asyncio.ensure_future(self._loop())
        end = asyncio.ensure_future(self._taken.wait())
        try:
            await asyncio.wait((work, end), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                raise RuntimeError("the work of a duty ended by itself")
        finally:
            for task in (work, end):
                task.cancel()
            await asyncio.gather(work, end, return_exceptions=True)


class Posts:
    """Those this node holds, those it is letting go, and those that should be its own."""

    def __init__(self, cluster: Cluster, directory: Directory, calls: Calls, clock: Clock) -> None:
        self._cluster = cluster
        self._directory = directory
        self._calls = calls
        self._clock = clock
        self._dispatcher: Dispatcher | None = None
        self.duties: dict[str, Duty] = {}
        self.rows: set[int] = set()
        """Endpoints that this node may send to as their only one."""
        self._held: set[str] = set()
        self._leaving: set[str] = set()
        self._unsure: set[str] = set()
        """Perhaps held without our knowing, since an epoch ended while they were asked for."""
        self._wanted: set[str] = set()
        self._me: int | None = None
        self._epochs: tuple[int, ...] = ()
        self._choices: dict[str, int | None] = {}
        self._look = asyncio.Event()
        self.on_taken: Callable[[], object] = lambda: None
        """Called when there are new ones."""

    def attach(self, dispatcher: Dispatcher) -> None:
        """Say whose lanes open and close with the posts."""
        self._dispatcher = dispatcher

    def look(self) -> None:
        """Something has changed that decides whose posts are whose."""
        self._look.set()

    @property
    def missing(self) -> bool:
        """Whether something should be ours and is not yet."""
        return bool(self._wanted - self._held) or bool(self._unsure)

    def wants(self, endpoint: int) -> bool:
        """Whether the endpoint should be ours and is not yet."""
        return endpoint not in self.rows and post_of(endpoint) in self._wanted

    def meet(self, me: int | None, members: Sequence[Member]) -> None:
        """Take note of who is there; ``me`` is this node's epoch, ``None`` while it takes nothing up."""
        epochs = tuple(member.epoch for member in members if member.role.delivers and not member.leaving)
        if (me, epochs) != (self._me, self._epochs):
            self._me, self._epochs = me, epochs
            self._choices.clear()
            self._look.set()

    def reset(self) -> None:
        """Another epoch has begun: nothing is held any more."""
        held, self._held, self._leaving = self._held | self._leaving, set(), set()
        self._unsure |= held | self._wanted
        for post in held:
            self._close(post)
        self._look.set()

    async def run(self) -> None:
        """Take and give up what has to change hands, for ever."""
        while True:
            self._look.clear()
            try:
                await self.review()
            except StoreUnavailable:
                await self._clock.sleep(_PAUSE_SECONDS)
                self._look.set()
            pause = _LETTING_GO_SECONDS if self._leaving else None
            try:
                async with asyncio.timeout(pause):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def review(self) -> None:
        """Compare what is held with what should be. Raises StoreUnavailable."""
        wanted = self._wanted = self._worked_out()
        for post in self._held - wanted:
            self._held.discard(post)
            self._leaving.add(post)
            self._close(post)
        for post in self._leaving & wanted:
            self._leaving.discard(post)
            self._open(post)
        await self._give_up()
        missing = sorted(wanted - self._held)
        if not missing:
            return
        me = self._me
        got = await self._cluster.take(missing)
        if self._me != me:
            self._unsure |= got
            return
        for post in sorted(got):
            self._open(post)
        if got:
            self.on_taken()

    def _worked_out(self) -> set[str]:
        if self._me is None:
            return set()
        posts = [
            post_of(row)
            for row, running in self._directory.endpoints.items()
            if running.endpoint.enabled and needs_owner(running.endpoint)
        ]
        choices = self._choices
        for post in (*posts, *self.duties):
            if post not in choices:
                choices[post] = chosen(post, self._epochs)
        return {post for post in (*posts, *self.duties) if choices[post] == self._me}

    async def _give_up(self) -> None:
        if self._unsure:
            unsure, self._unsure = self._unsure, set()
            try:
                await self._cluster.give_up(sorted(unsure - self._held - self._leaving))
            except StoreUnavailable:
                self._unsure |= unsure
                raise
        rested = sorted(post for post in self._leaving if self._at_rest(post))
        if rested:
            await self._cluster.give_up(rested)
            self._leaving.difference_update(rested)
            for post in rested:
                if post.startswith(_ENDPOINT):
                    self._calls.due(_row(post))

    def _open(self, post: str) -> None:
        self._held.add(post)
        if not post.startswith(_ENDPOINT):
            self.duties[post].give()
            return
        self.rows.add(_row(post))
        if self._dispatcher is not None:
            self._dispatcher.changed(_row(post))

    def _close(self, post: str) -> None:
        if not post.startswith(_ENDPOINT):
            self.duties[post].take_away()
            return
        self.rows.discard(_row(post))
        if self._dispatcher is not None:
            self._dispatcher.changed(_row(post))

    def _at_rest(self, post: str) -> bool:
        if not post.startswith(_ENDPOINT):
            return self.duties[post].at_rest
        return self._dispatcher is None or self._dispatcher.at_rest(_row(post))


def _row(post: str) -> int:
    return int(post.removeprefix(_ENDPOINT))
