"""An asyncio event loop whose time is virtual: it jumps to the next timer instead of waiting. No sockets, no threads.

A crash is simply not running it any further: what was suspended stays suspended, and no ``finally`` runs.
"""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any


class Time:
    """The world's time in seconds, shared by one loop after the other."""

    def __init__(self) -> None:
        self.now = 0.0


class Stuck(AssertionError):
    """Nothing is ready and no timer is set: the world has come to a standstill before it was told to stop."""


class _Selector(selectors.BaseSelector):
    """Has no files to watch; waiting is moving the time on."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, fileobj.fileno(), events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("nothing is ready and no timer is set")
        if timeout > 0:
            self._time.now += timeout
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs callbacks in the order asyncio would, at virtual times."""

    def __init__(self, time: Time) -> None:
        self._virtual = time
        super().__init__(_Selector(time))
        self.failures: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.failures.append(context))

    def time(self) -> float:
        return self._virtual.now

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
