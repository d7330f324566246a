"""Host names to addresses through the system's DNS servers. Implements ``ports.names.Names``; judges no address."""

import asyncio

from whatsync.net.deadlines import Deadlines
from whatsync.net.resolver import DnsResolver, Resolver
from whatsync.ports.clock import Clock
from whatsync.ports.names import Addresses


class DnsNames:
    """One resolver of its own, begun with the first question, so that deliveries never stand in line behind pages."""

    def __init__(self, clock: Clock, resolver: Resolver | None = None) -> None:
        self._clock = clock
        self._resolver = resolver
        self._deadlines: Deadlines | None = None

    async def addresses(self, host: str, seconds: float) -> Addresses:
        """Look up ``host``; an address is itself."""
        lookup = await self._begun().resolve(host, self._clock.monotonic() + seconds)
        return Addresses(lookup.addresses, lookup.problem)

    async def close(self) -> None:
        """Stop asking."""
        if self._resolver is not None:
            await self._resolver.close()
        if self._deadlines is not None:
            self._deadlines.close()

    def _begun(self) -> Resolver:
        if self._resolver is None:
            self._deadlines = Deadlines(asyncio.get_running_loop(), self._clock.monotonic)
            self._resolver = DnsResolver(now=self._clock.monotonic, deadlines=self._deadlines)
        return self._resolver
