"""Trouble with the server itself that its operator should hear of: the store, the disk, healthy endpoints kept waiting.

Looks at cheap facts from time to time and tells each change of state once. Knows no HTTP.
"""

import logging
from collections.abc import Callable

from whatsync.engine.dispatch import Dispatcher
from whatsync.model import limits
from whatsync.model.ids import ms_of
from whatsync.ports.clock import Clock
from whatsync.ports.store import Store

logger = logging.getLogger(__name__)

_CLEAR_FACTOR = 1.25
"""A trouble ends only when things are this much better than where it began, so that it does not flicker."""


def oldest_due_seconds(dispatcher: Dispatcher, now_ms: int) -> float:
    """Age of the oldest delivery of a healthy endpoint that is due and not under way."""
    oldest = now_ms
    for lane in dispatcher.lanes.values():
        if lane.closed or lane.health.failures_in_a_row >= limits.FAILURES_IN_A_ROW_TO_SLOW:
            continue
        if lane.next_due_ms is not None:
            oldest = min(oldest, lane.next_due_ms)
        if lane.queue and lane.queue[0].attempts == 0:
            oldest = min(oldest, ms_of(lane.queue[0].id))
        if not lane.direct and not lane.queue and lane.waiting_ms is not None:
            # What it had in memory is under way and more waits: it must not look for a moment as if nothing did.
            oldest = min(oldest, lane.waiting_ms)
    return (now_ms - oldest) / 1000


def _none() -> None:
    """Nothing is wrong with media."""


class Troubles:
    """Remembers which troubles there are."""

    def __init__(
        self,
        *,
        store: Store,
        dispatcher: Dispatcher,
        clock: Clock,
        tell: Callable[[str], None],
        media_trouble: Callable[[], str | None] = _none,
        free_bytes_min: int = limits.FREE_DISK_BYTES_MIN,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._clock = clock
        self._tell = tell
        self._media_trouble = media_trouble
        self._free_bytes_min = free_bytes_min
        self.standing: dict[str, str] = {}
        """Troubles there are, with the sentence that was told."""

    async def look(self) -> None:
        """Look once; meant to be called every ``limits.TROUBLE_LOOK_SECONDS``."""
        state = self._store.state()
        sends = self._dispatcher.recorder.gate_open
        self._note(
            "store",
            not state.writable,
            f"no event is accepted{'' if sends else ' and nothing is sent'}: {state.reason}",
            "events are accepted again.",
        )
        self._note(
            "disk",
            state.free_bytes < self._bound("disk", self._free_bytes_min * 2),
            f"only {state.free_bytes // 2**20} MiB of disk are free; below {self._free_bytes_min // 2**20} MiB "
            "no event is accepted. Free some space, or shorten retention.",
            "there is enough free disk again.",
        )
        age = oldest_due_seconds(self._dispatcher, self._clock.now_ms())
        self._note(
            "overdue",
            age > limits.OLDEST_DUE_SECONDS_MAX / (_CLEAR_FACTOR if "overdue" in self.standing else 1),
            f"deliveries to healthy endpoints wait for {age:.0f} s: the server does not keep up, or an endpoint with a "
            "low limit gets more than it takes.",
            "deliveries are sent in time again.",
        )

        trouble = self._media_trouble()
        self._note(
            "media",
            trouble is not None,
            f"media files can't be kept: downloads wait and uploads are refused. {trouble}",
            "media files can be kept again.",
        )

    def _bound(self, name: str, bound: int) -> float:
        return bound * _CLEAR_FACTOR if name in self.standing else bound

    def _note(self, name: str, is_there: bool, begins: str, ends: str) -> None:
        if is_there and name not in self.standing:
            self.standing[name] = begins
            logger.error("trouble: %s", begins)
            self._tell(begins)
        elif not is_there and name in self.standing:
            del self.standing[name]
            logger.info("trouble over: %s", ends)
            self._tell(ends)
