"""An account's limits at the door: events and bytes a second, open deliveries. In memory, per server."""

from whatsync.engine.directory import RunningAccount
from whatsync.model import limits
from whatsync.model.errors import LimitExceeded
from whatsync.ports.clock import Clock

_BURST_SECONDS = 2.0


class _Bucket:
    __slots__ = ("at", "bytes", "events")

    def __init__(self, events: float, size: float, at: float) -> None:
        self.events = events
        self.bytes = size
        self.at = at


class Quota:
    """Token buckets per account. A request larger than a whole bucket passes when the bucket is full."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[int, _Bucket] = {}
        self.open_deliveries: dict[int, int] = {}
        """Open deliveries per account row as last counted; filled in by the sweep."""

    def take(self, account: RunningAccount, events: int, size_bytes: int) -> None:
        """Count a request. Raises LimitExceeded with the seconds to wait."""
        self.admit(account, events, size_bytes)
        bucket = self._buckets[account.row]
        bucket.events -= events
        bucket.bytes -= size_bytes

    def admit(self, account: RunningAccount, events: int, size_bytes: int) -> None:
        """Say whether a request of this size may come in, without counting it: asked before it is read, so that
        who is over a limit costs no work. Raises LimitExceeded.
        """
        own = account.account.limits
        events_rate = float(own.events_per_second or limits.ACCOUNT_EVENTS_PER_SECOND)
        bytes_rate = float(own.bytes_per_second or limits.ACCOUNT_BYTES_PER_SECOND)
        now = self._clock.monotonic()
        bucket = self._buckets.get(account.row)
        if bucket is None:
            bucket = self._buckets[account.row] = _Bucket(
                events_rate * _BURST_SECONDS, bytes_rate * _BURST_SECONDS, now
            )
        elapsed = now - bucket.at
        bucket.at = now
        bucket.events = min(events_rate * _BURST_SECONDS, bucket.events + elapsed * events_rate)
        bucket.bytes = min(bytes_rate * _BURST_SECONDS, bucket.bytes + elapsed * bytes_rate)
        if bucket.events < events or bucket.bytes < size_bytes:
            _check("events_per_second", f"{events_rate:g} events a second", bucket.events, events, events_rate)
            _check("bytes_per_second", f"{bytes_rate:g} bytes a second", bucket.bytes, size_bytes, bytes_rate)
        if self.full(account):
            ceiling = own.open_deliveries or limits.ACCOUNT_OPEN_DELIVERIES
            raise LimitExceeded(
                "open_deliveries",
                f"the account has {ceiling} or more deliveries that wait or are held; "
                "repair, release or delete endpoints first",
                60,
            )

    def full(self, account: RunningAccount) -> bool:
        """Whether the account has as many open deliveries as it may: no more are made for it."""
        ceiling = account.account.limits.open_deliveries or limits.ACCOUNT_OPEN_DELIVERIES
        return self.open_deliveries.get(account.row, 0) >= ceiling


def _check(code: str, words: str, held: float, wanted: float, rate: float) -> None:
    if held < min(wanted, rate * _BURST_SECONDS):
        seconds = max(1, round((min(wanted, rate * _BURST_SECONDS) - held) / rate + 0.5))
        raise LimitExceeded(code, f"the account's limit of {words} is reached; try again in {seconds} s", seconds)
