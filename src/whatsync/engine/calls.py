"""What this node calls out to the others: gathered, and told in few signals. Decides nothing."""

import asyncio

from whatsync.model import limits
from whatsync.ports.clock import Clock
from whatsync.ports.cluster import Cluster, Signal
from whatsync.ports.store import StoreUnavailable

_PAUSE_SECONDS = 1.0


class Calls:
    """Worked off by one task; the first call goes out at once, what follows closely is told together."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._endpoints: dict[int, None] = {}
        self._ended: dict[tuple[int, int], None] = {}
        self._configuration = False
        self._some = asyncio.Event()

    def due(self, endpoint: int) -> None:
        """Something of this endpoint may be due, or it is free to be taken."""
        self._endpoints[endpoint] = None
        self._some.set()

    def ended(self, endpoint: int, delivery: int) -> None:
        """This delivery has ended."""
        self._ended[endpoint, delivery] = None
        self._some.set()

    def configuration(self) -> None:
        """There is news."""
        self._configuration = True
        self._some.set()

    async def run(self) -> None:
        """Tell what there is, for ever."""
        while True:
            await self._some.wait()
            self._some.clear()
            try:
                await self.tell()
            except StoreUnavailable:
                self._some.set()
                await self._clock.sleep(_PAUSE_SECONDS)
            else:
                await self._clock.sleep(limits.SIGNAL_PAUSE_SECONDS)

    async def tell(self) -> None:
        """Tell what there is now. Raises StoreUnavailable; then it is still to be told."""
        endpoints, ended, configuration = self._endpoints, self._ended, self._configuration
        if not (endpoints or ended or configuration):
            return
        self._endpoints, self._ended, self._configuration = {}, {}, False
        many = len(endpoints) > limits.SIGNAL_ENDPOINTS_MAX
        signal = Signal(
            endpoints=() if many else tuple(endpoints),
            ended=tuple(ended)[: limits.SIGNAL_ENDPOINTS_MAX],
            configuration=configuration,
            everything=many,
        )
        try:
            await self._cluster.tell(signal)
        except StoreUnavailable:
            self._endpoints = {**endpoints, **self._endpoints}
            self._ended = {**ended, **self._ended}
            self._configuration = self._configuration or configuration
            raise
