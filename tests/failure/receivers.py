"""Receivers without a network: each host answers by its own script, every request is kept, and any call of the sender
can be made to fail, before or after the request arrives."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.failure.faults import Fault
from whatsync.ports.sender import Answer, Failure, Request, Timing

LATENCY_S = 0.05
SCRIPTS: dict[str, tuple[int, ...]] = {
    "flappy.example": (500, 503),
    "gone.example": (500,) * 1_000,
    "leaving.example": (500,) * 1_000,
}
"""What each host answers first; afterwards 200."""


@dataclass(frozen=True)
class Arrival:
    """One request. ``answered`` is what the engine was told, ``None`` where that was a failure or an error."""

    at_s: float
    host: str
    event_id: str
    delivery: str
    attempt: int
    body: bytes
    test: bool
    answered: int | None


@dataclass
class Receivers:
    """All hosts. ``how`` the fault strikes: ``raise`` or ``fail`` before the request arrives, ``lose`` its answer."""

    fault: Fault = field(default_factory=lambda: Fault(0))
    how: str = "fail"
    arrivals: list[Arrival] = field(default_factory=list)
    made: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Calls by delivery, whatever came of them."""
    _asked: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def begin(self, request: Request, done: Callable[[Answer | Failure], None]) -> "asyncio.Task[None]":
        """Bring one request to its receiver, unless it is this call's turn to fail."""
        pairs = (line.partition(": ")[::2] for line in request.head.decode().split("\r\n")[1:] if line)
        headers = dict(pairs)
        self.made[headers["X-WhatsSync-Delivery"]] += 1
        strikes = self.fault.strikes()
        if strikes and self.how == "raise":
            raise RuntimeError("planted: the sender has a bug")

        async def bring() -> None:
            done(await self._bring(request, headers, strikes))

        return asyncio.get_running_loop().create_task(bring())

    async def _bring(self, request: Request, headers: dict[str, str], strikes: bool) -> Answer | Failure:
        await asyncio.sleep(LATENCY_S / 2)
        if strikes and self.how == "fail":
            return Failure("connection_refused", "planted", Timing(total_us=300))
        status = self._take(request, headers, strikes)
        await asyncio.sleep(LATENCY_S / 2)
        if strikes:
            return Failure("connection_reset", "planted", Timing(total_us=50_000))
        return Answer(status, b"", b"ok", False, "192.0.2.1", True, Timing(total_us=50_000))

    def _take(self, request: Request, headers: dict[str, str], lost: bool) -> int:
        host = request.target.host
        script = SCRIPTS.get(host, ())
        status = script[self._asked[host]] if self._asked[host] < len(script) else 200
        self._asked[host] += 1
        self.arrivals.append(
            Arrival(
                at_s=asyncio.get_running_loop().time(),
                host=host,
                event_id=headers["webhook-id"],
                delivery=headers["X-WhatsSync-Delivery"],
                attempt=int(headers["X-WhatsSync-Attempt"]),
                body=request.body,
                test="X-WhatsSync-Test" in headers,
                answered=None if lost else status,
            )
        )
        return status

    async def close(self) -> None:
        """Nothing is open."""
