"""Where this server stands among others over the same database: what it may send, and whom it lets know.

``SoleOwner`` is the answer where the database has one owner, as SQLite has; ``node.py`` where many nodes share it.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from whatsync.engine.directory import RunningEndpoint

Loop = Callable[[], Awaitable[object]]
Result = TypeVar("Result")


class Standing(Protocol):
    """What the engine asks about this node's place. Nothing here waits, except ``catch_up``."""

    leased: bool
    """Whether requests may only begin under a lease (``covers``)."""

    def mine(self, endpoint: RunningEndpoint) -> bool:
        """Whether this node sends to the endpoint."""

    def covers(self, endpoint: RunningEndpoint) -> bool:
        """Whether this node's lease outlasts a request to the endpoint that begins now."""

    def call(self, endpoint: RunningEndpoint) -> None:
        """Something of an endpoint that another node sends to may be due: let that one know."""

    def call_off(self, endpoint: int, delivery: int) -> None:
        """A delivery was ended that another node may have in memory."""

    def announce(self) -> None:
        """The configuration was changed."""

    async def catch_up(self) -> None:
        """Return when this node's copy of the configuration has all that was changed before the call. Raises
        StoreUnavailable.
        """

    async def refreshed(self) -> bool:
        """Look once more for what others have made a moment ago; false where nobody looked, so that asking again is
        useless.
        """

    def only(self, duty: str, loop: Loop, begin: Callable[[], object] | None = None) -> Loop:
        """A loop that goes on ``loop`` while this node has the duty, which one node has at a time; ``begin`` is called
        each time it gets it.
        """

    async def alone(self, what: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do ``work`` while no other node does ``what``, knowing all that others did before.

        Raises StoreUnavailable.
        """

    async def withdraw(self) -> None:
        """The server begins to stop: take nothing new up, and give to others what is not under way."""

    async def leave(self) -> None:
        """The last thing before the store is closed."""

    def trouble(self) -> str | None:
        """What keeps this node from doing its part, as a sentence."""

    def warnings(self) -> list[str]:
        """What an operator should look at."""


class SoleOwner:
    """Everything is done here."""

    leased = False

    def mine(self, endpoint: RunningEndpoint) -> bool:
        """Always."""
        return True

    def covers(self, endpoint: RunningEndpoint) -> bool:
        """Always."""
        return True

    def call(self, endpoint: RunningEndpoint) -> None:
        """There is nobody."""

    def call_off(self, endpoint: int, delivery: int) -> None:
        """There is nobody."""

    def announce(self) -> None:
        """There is nobody."""

    async def catch_up(self) -> None:
        """Nobody else changes anything."""

    async def refreshed(self) -> bool:
        """Everything is known here."""
        return False

    def only(self, duty: str, loop: Loop, begin: Callable[[], object] | None = None) -> Loop:
        """The loop itself."""
        return loop

    async def alone(self, what: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """There is nobody else."""
        return await work()

    async def withdraw(self) -> None:
        """There is nobody."""

    async def leave(self) -> None:
        """There is nobody."""

    def trouble(self) -> str | None:
        """None."""
        return None

    def warnings(self) -> list[str]:
        """None."""
        return []


SOLE = SoleOwner()
