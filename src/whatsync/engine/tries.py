"""How often somebody may try: counted by a word, or by a mail address and the network address it comes from.

Forgets after a quarter of an hour. Knows neither people nor passwords.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

from whatsync.model import limits
from whatsync.ports.clock import Clock


class Failures:
    """Counts failures by a word over the last quarter of an hour; remembers a bounded number of words."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._times: OrderedDict[str, list[float]] = OrderedDict()

    def wait_seconds(self, word: str, now: float) -> int:
        """How long to wait before the next try; 0 where one is free."""
        times = self._recent(word, now)
        if len(times) < self._most:
            return 0
        return max(1, round(times[-self._most] + limits.SIGN_IN_FAILURE_SECONDS - now))

    def add(self, word: str, now: float) -> None:
        """One more failure."""
        self._times[word] = [*self._recent(word, now), now][-self._most :]
        self._times.move_to_end(word)
        while len(self._times) > limits.SIGN_IN_REMEMBERED_MAX:
            self._times.popitem(last=False)

    def take_back(self, word: str, at: float) -> None:
        """What was added at this moment was none; the others stay."""
        times = [*self._times.get(word, ())]
        if at in times:
            times.remove(at)
            self._times[word] = times

    def forget(self, word: str) -> None:
        """It went well: begin anew."""
        self._times.pop(word, None)

    def _recent(self, word: str, now: float) -> list[float]:
        return [at for at in self._times.get(word, ()) if now - at < limits.SIGN_IN_FAILURE_SECONDS]


@dataclass(frozen=True, slots=True)
class Try:
    """One try; where it came too soon, how long to wait before the next."""

    email: str
    address: str
    at: float
    wait_seconds: int


class Tries:
    """Tries with mail addresses, known or not. Both are counted: one address tried from many places, many from one."""

    def __init__(self, per_email: int, per_address: int, clock: Clock) -> None:
        self._by_email = Failures(per_email)
        self._by_address = Failures(per_address)
        self._clock = clock

    def begin(self, email: str, address: str) -> Try:
        """One more, counted at once as failed; one that has to wait is not counted."""
        address, now = network_of(address), self._clock.monotonic()
        wait = max(self._by_email.wait_seconds(email, now), self._by_address.wait_seconds(address, now))
        if not wait:
            self._by_email.add(email, now)
            self._by_address.add(address, now)
        return Try(email, address, now, wait)

    def went_well(self, one: Try) -> None:
        """The mail address begins anew. Of the network address only this try is taken back: else who has one good
        password could guess others' without end.
        """
        self._by_email.forget(one.email)
        self._by_address.take_back(one.address, one.at)


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 the network that one customer of a provider has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
