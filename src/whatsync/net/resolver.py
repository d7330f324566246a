"""Names to addresses: asynchronous, one lookup of a name at a time, remembered as long as the answer allows.

Speaks to the system's DNS servers and reads its hosts file through c-ares. Judges no address.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any, Protocol

import aiodns
import msgspec

from whatsync.net.deadlines import Deadlines, Waiter
from whatsync.net.sender_limits import ResolverLimits

_log = logging.getLogger(__name__)

_ROUND_SECONDS = 1.5
_ROUNDS = 2
_SOCK_STREAM = 1

_NO_SUCH_NAME, _NO_ADDRESS = 4, 1
_PROBLEMS = {
    _NO_ADDRESS: "the name has no address",
    3: "the DNS server failed to answer (SERVFAIL)",
    _NO_SUCH_NAME: "the name does not exist",
    5: "the DNS server does not answer questions of this kind",
    6: "the DNS server refused to answer",
    8: "the name is not a valid host name",
    11: "no DNS server could be reached",
    12: "the DNS server did not answer in time",
}
_LATE = "the DNS server did not answer in time"


class Lookup(msgspec.Struct, frozen=True):
    """What a name led to: addresses in the order to try them, or the problem in words."""

    addresses: tuple[str, ...]
    problem: str
    until: float
    """Monotonic seconds until which it may be used again."""


class _Question:
    """A lookup under way and who waits for it."""

    __slots__ = ("asked_at", "waiting")

    def __init__(self, asked_at: float) -> None:
        self.asked_at = asked_at
        self.waiting: set[asyncio.Future[Lookup]] = set()


class Resolver(Protocol):
    """Looks names up. Failures are values; only a cancelled caller sees an exception."""

    async def resolve(self, name: str, until: float) -> Lookup:
        """Look up ``name``, waiting no longer than ``until`` (monotonic seconds)."""

    async def close(self) -> None:
        """Stop asking."""


class DnsResolver:
    """Looks names up as the system is set up to, or at ``nameservers`` (``127.0.0.1:5353``). Made inside its loop."""

    def __init__(
        self,
        *,
        now: Callable[[], float],
        deadlines: Deadlines,
        limits: ResolverLimits | None = None,
        nameservers: Sequence[str] | None = None,
        hosts_file: bool = True,
    ) -> None:
        self._now = now
        self._deadlines = deadlines
        self._limits = limits or ResolverLimits()
        self._loop = asyncio.get_running_loop()
        options: dict[str, Any] = {} if hosts_file else {"lookups": "b"}
        self._dns = aiodns.DNSResolver(
            nameservers=nameservers, loop=self._loop, timeout=_ROUND_SECONDS, tries=_ROUNDS, **options
        )
        self._known: dict[str, Lookup] = {}
        self._asking: dict[str, _Question] = {}
        self.lookups = 0
        """Questions asked so far, for the metrics."""

    async def resolve(self, name: str, until: float) -> Lookup:
        """Look up ``name``; all who ask while a lookup is under way share its result."""
        known = self._known.get(name)
        now = self._now()
        if known is not None and known.until > now:
            return known
        question = self._asking.get(name) or self._ask(name, now)
        future: asyncio.Future[Lookup] = self._loop.create_future()
        question.waiting.add(future)
        until = min(until, now + self._limits.timeout_seconds)
        self._deadlines.add(Waiter(future, until, lambda: self._late(name, question)), until)
        try:
            return await future
        finally:
            question.waiting.discard(future)

    async def close(self) -> None:
        """Stop asking; who still waits learns that no answer came."""
        asking, self._asking = self._asking, {}
        for question in asking.values():
            for future in question.waiting:
                if not future.done():
                    future.set_result(Lookup((), _LATE, 0.0))
        await self._dns.close()

    def _ask(self, name: str, now: float) -> _Question:
        self.lookups += 1
        question = self._asking[name] = _Question(now)
        answer = self._dns.getaddrinfo(name, type=_SOCK_STREAM)
        answer.add_done_callback(lambda done: self._answered(name, done))
        return question

    def _answered(self, name: str, answer: "asyncio.Future[Any]") -> None:
        if answer.cancelled():
            lookup = self._failed(_LATE)
        elif (error := answer.exception()) is not None:
            lookup = self._failed(_problem(error))
        else:
            lookup = self._found(answer.result().nodes)
        self._remember(name, lookup)
        question = self._asking.pop(name, None)
        for future in question.waiting if question is not None else ():
            if not future.done():
                future.set_result(lookup)

    def _found(self, nodes: Sequence[Any]) -> Lookup:
        addresses = tuple(dict.fromkeys(node.addr[0].decode() for node in nodes))
        if not addresses:
            return self._failed(_PROBLEMS[_NO_ADDRESS])
        ttl = min((node.ttl for node in nodes), default=0)
        seconds = min(max(ttl, self._limits.ttl_seconds_min), self._limits.ttl_seconds_max)
        return Lookup(_alternating(addresses), "", self._now() + seconds)

    def _failed(self, problem: str) -> Lookup:
        return Lookup((), problem, self._now() + self._limits.failure_seconds)

    def _late(self, name: str, question: _Question) -> Lookup:
        lookup = self._failed(_LATE)
        if self._now() - question.asked_at >= self._limits.timeout_seconds:
            self._remember(name, lookup)  # so that nobody else waits in vain until the servers had time to recover
        return lookup

    def _remember(self, name: str, lookup: Lookup) -> None:
        self._known.pop(name, None)
        if len(self._known) >= self._limits.names_max:
            del self._known[next(iter(self._known))]
        self._known[name] = lookup


def _problem(error: BaseException) -> str:
    number = error.args[0] if isinstance(error, aiodns.error.DNSError) and error.args else None
    if number in _PROBLEMS:
        return _PROBLEMS[number]
    if number is None:
        _log.error("lookup failed by a bug", exc_info=error)
    return f"the lookup failed ({error.args[-1] if error.args else type(error).__name__})"


def _alternating(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """IPv6 and IPv4 in turns, beginning with the kind the system prefers, so that one dead kind costs one try."""
    first_is_v6 = ":" in addresses[0]
    first = [address for address in addresses if (":" in address) == first_is_v6]
    second = [address for address in addresses if (":" in address) != first_is_v6]
    return tuple(address for pair in zip_longest(first, second) for address in pair if address is not None)
