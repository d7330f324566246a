"""Which endpoints succeeded lately, as the rollups know it: what a restart forgets, and what other nodes saw.

Reads a few endpoints at a time, and none of which more is known already.
"""

from whatsync.engine.directory import Directory
from whatsync.engine.dispatch import Dispatcher
from whatsync.engine.figures import SUCCEEDED
from whatsync.model import limits
from whatsync.ports.clock import Clock
from whatsync.ports.history import History

_DAY_MS = 86_400_000


class Successes:
    """Endpoints whose last success this process has not seen itself."""

    def __init__(self, directory: Directory, dispatcher: Dispatcher, history: History, clock: Clock) -> None:
        self._directory = directory
        self._dispatcher = dispatcher
        self._history = history
        self._clock = clock
        self.lately: set[int] = set()
        """Rows of endpoints that succeeded within the last ``limits.SUCCESS_DAYS`` days, as last looked up."""

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await self.look()
            await self._clock.sleep(limits.SUCCESS_LOOK_SECONDS)

    async def look(self) -> None:
        """Ask the rollups about all that are not known to have succeeded."""
        known = set()
        for account in list(self._directory.accounts.values()):
            asked = [row for row in account.endpoints if not self._seen(row)]
            for at in range(0, len(asked), limits.SUCCESS_LOOK_ENDPOINTS):
                until_ms = self._clock.now_ms() + 1
                since_ms = (until_ms - limits.SUCCESS_DAYS * _DAY_MS) // _DAY_MS * _DAY_MS
                rows = asked[at : at + limits.SUCCESS_LOOK_ENDPOINTS]
                sums = await self._history.rollup_sums(account.row, rows, since_ms, until_ms)
                known |= {row.endpoint for row in sums if row.outcome == SUCCEEDED}
                await self._clock.sleep(limits.OPEN_COUNT_PAUSE_SECONDS)
        self.lately = known

    def _seen(self, row: int) -> bool:
        lane = self._dispatcher.lanes.get(row)
        return lane is not None and lane.last_success_ms is not None
