"""An asyncio event loop whose time is virtual: it jumps to the next timer instead of waiting. No sockets, no threads.

A crash is simply not running it any further: what was suspended stays suspended, and no ``finally`` runs.
"""

import asyncio
import contextlib
import warnings
from collections.abc import Callable
from typing import Any


class Time:
    """The world's time in seconds, shared by one loop after the other."""

    def __init__(self) -> None:
        self.now = 0.0


class Stuck(AssertionError):  # noqa: N818 - a state of the world
    """Nothing is ready and no timer is set: the world has come to a standstill before it was told to stop."""


class _Waiting:
    """Stands where the loop expects its selector: has no files to watch, and waiting is moving the time on."""

    def __init__(self, time: Time) -> None:
        self._time = time

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck("nothing is ready and no timer is set")
        if timeout > 0:
            self._time.now += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs callbacks in the order asyncio would, at virtual times."""

    def __init__(self, time: Time) -> None:
        super().__init__()
        self.virtual = time
        self._selector = _Waiting(time)
        self.failures: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.failures.append(context))

    def time(self) -> float:
        return self.virtual.now

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no files, so nothing ever happens to one."""

    def _write_to_self(self) -> None:
        """There are no other threads to be woken by."""

    def run_until_time(self, end: float, on_end: Callable[[], None] | None = None) -> None:
        """Run until the virtual time is ``end`` or somebody stops the loop."""

        def stop() -> None:
            if on_end is not None:
                on_end()
            self.stop()

        timer = self.call_at(end, stop)
        try:
            self.run_forever()
        finally:
            timer.cancel()

    def bury(self) -> None:
        """Take apart what a crash left suspended, while no loop runs, so that it can't come to life in another one."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for task in asyncio.all_tasks(self):
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                with contextlib.suppress(RuntimeError):
                    task.get_coro().close()
        self.close()
