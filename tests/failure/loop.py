"""The simulator's event loop for a store that works in a thread of its own: while something waits for the thread, time
stands still, unless the thread takes long, for then it may itself wait for time to pass."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from tests.sim.loop import Time, VirtualLoop

PATIENCE_SECONDS = 0.01
"""Of real time; then the thread counts as busy with a failing disk, and virtual time goes on to the next timer."""


class ThreadedLoop(VirtualLoop):
    """``waiting`` counts what the loop's tasks expect from threads."""

    def __init__(self, time: Time) -> None:
        super().__init__(time)
        self.waiting = 0
        self.called = threading.Event()
        self._selector = _Waiting(self, self._selector.select)  # type: ignore[assignment]  # another one

    def _write_to_self(self) -> None:
        """A thread has left word."""
        self.called.set()

    def expect(self, answer: "asyncio.Future[Any]") -> "asyncio.Future[Any]":
        """Take note that somebody waits for what comes from a thread."""
        self.waiting += 1
        answer.add_done_callback(self._came)
        return answer

    def _came(self, _: "asyncio.Future[Any]") -> None:
        self.waiting -= 1


class _Waiting:
    """Stands where the loop expects its selector."""

    def __init__(self, loop: ThreadedLoop, pass_time: Callable[[float | None], list[Any]]) -> None:
        self._loop = loop
        self._pass_time = pass_time

    def select(self, timeout: float | None) -> list[Any]:
        loop = self._loop
        if loop.waiting and timeout != 0:
            heard = loop.called.wait(PATIENCE_SECONDS)
            loop.called.clear()
            if heard or timeout is None:
                return []
        return self._pass_time(timeout)
