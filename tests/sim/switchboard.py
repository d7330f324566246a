"""A virtual loop on which several nodes live at once, each of which can be frozen, for a while or for ever.

What a frozen node would do next waits, or never happens: nothing is cancelled and no ``finally`` runs. What a node
does is told by a context variable that its tasks and callbacks hand on.
"""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

from tests.sim.loop import Time, VirtualLoop


class Switch:
    """Stops one node."""

    def __init__(self) -> None:
        self.context = contextvars.Context()
        self.context.run(_SWITCH.set, self)
        self.frozen = False
        self.dead = False
        self._parked: list[tuple[contextvars.Context, Callable[..., Any], tuple[Any, ...]]] = []

    def run(self, context: contextvars.Context, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Run a callback of the node, now or when it is thawed."""
        if self.frozen or self.dead:
            self._parked.append((context, callback, args))
        else:
            callback(*args)

    def thaw(self) -> None:
        """Let the node go on where it stood."""
        self.frozen = False
        parked, self._parked = self._parked, []
        loop = asyncio.get_running_loop()
        for context, callback, args in parked:
            loop.call_soon(callback, *args, context=context)

    def kill(self) -> None:
        """Nothing of the node ever runs again."""
        self.dead = True

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Begin something in the node."""
        return asyncio.get_running_loop().create_task(work, context=self.context.copy())


_SWITCH: contextvars.ContextVar[Switch] = contextvars.ContextVar("switch")


def outside(work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    """Begin something that goes on whatever becomes of the node that asks for it."""
    return asyncio.get_running_loop().create_task(work, context=contextvars.Context())


class Switchboard(VirtualLoop):
    """The loop."""

    def __init__(self, time: Time) -> None:
        super().__init__(time)

    def call_soon(  # type: ignore[override]  # any callback
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        context = contextvars.copy_context() if context is None else context
        switch = context.get(_SWITCH)
        if switch is None:
            return super().call_soon(callback, *args, context=context)
        return super().call_soon(switch.run, context, callback, args, context=context)

    def call_at(  # type: ignore[override]  # any callback
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        context = contextvars.copy_context() if context is None else context
        switch = context.get(_SWITCH)
        if switch is None:
            return super().call_at(when, callback, *args, context=context)
        return super().call_at(when, switch.run, context, callback, args, context=context)
