"""How many connections are begun in one turn of the event loop: a thousand at once would hold up everything else.

Knows only that beginning one costs about as much as answering ten.
"""

import asyncio
from collections import deque


class Pace:
    """Lets so many through in each turn of the loop; the rest follow in the order they came, turn by turn."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop, per_turn: int) -> None:
        self._loop = loop
        self._per_turn = per_turn
        self._begun = 0
        self._counting = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Go on when it is one's turn, which mostly is at once."""
        if self._begun < self._per_turn and not self._waiting:
            self._begun += 1
            self._count()
            return
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        self._count()
        await future

    def _count(self) -> None:
        if not self._counting:
            self._counting = True
            self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._begun = 0
        self._counting = False
        while self._waiting and self._begun < self._per_turn:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                self._begun += 1
        if self._begun:
            self._count()
