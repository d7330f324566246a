"""An account's limits at the door: events and bytes a second, open deliveries. In memory, per server."""

from whatsync.engine.directory import RunningAccount
from whatsync.model import limits
from whatsync.model.account import AccountLimits
from whatsync.model.errors import LimitExceeded
from whatsync.ports.clock import Clock

_BURST_SECONDS = 2.0


class _Bucket:
    """What an account may still send, with its rates worked out once per change of its limits."""

    __slots__ = (
        "at",
        "bytes",
        "bytes_max",
        "bytes_rate",
        "events",
        "events_max",
        "events_rate",
        "limits",
        "open_deliveries"
    )  # fmt: skip

    def __init__(self, own: AccountLimits, at: float) -> None:
        self.set_limits(own)
        self.events = self.events_max
        self.bytes = self.bytes_max
        self.at = at

    def set_limits(self, own: AccountLimits) -> None:
        """Take over the account's limits, the installation's where it has none."""
        self.limits = own
        self.events_rate = float(own.events_per_second or limits.ACCOUNT_EVENTS_PER_SECOND)
        self.bytes_rate = float(own.bytes_per_second or limits.ACCOUNT_BYTES_PER_SECOND)
        self.events_max = self.events_rate * _BURST_SECONDS
        self.bytes_max = self.bytes_rate * _BURST_SECONDS
        self.open_deliveries = own.open_deliveries or limits.ACCOUNT_OPEN_DELIVERIES

    def fill(self, now: float) -> None:
        """Put in what has come together since the last time."""
        elapsed = now - self.at
        self.at = now
        events = self.events + elapsed * self.events_rate
        size = self.bytes + elapsed * self.bytes_rate
        # Thrice as quick as min(), and this is asked for every request.
        self.events = events if events < self.events_max else self.events_max  # noqa: FURB136
        self.bytes = size if size < self.bytes_max else self.bytes_max  # noqa: FURB136


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
        self.count(account, events, size_bytes)

    def count(self, account: RunningAccount, events: int, size_bytes: int) -> None:
        """Count a request of which ``admit`` let one event through. Raises LimitExceeded where it has too many."""
        if events > 1:
            self.admit(account, events, size_bytes)
        bucket = self._buckets[account.row]
        bucket.events -= events
        bucket.bytes -= size_bytes

    def admit(self, account: RunningAccount, events: int, size_bytes: int) -> None:
        """Say whether a request of this size may come in, without counting it: asked before it is read, so that
        who is over a limit costs no work. Raises LimitExceeded.
        """
        own = account.account.limits
        now = self._clock.monotonic()
        bucket = self._buckets.get(account.row)
        if bucket is None:
            bucket = self._buckets[account.row] = _Bucket(own, now)
        elif bucket.limits is not own:
            bucket.set_limits(own)
        bucket.fill(now)
        if bucket.events < events or bucket.bytes < size_bytes:
            rate, bytes_rate = bucket.events_rate, bucket.bytes_rate
            _check("events_per_second", f"{rate:,.0f} events a second", bucket.events, events, rate)
            _check("bytes_per_second", f"{bytes_rate:,.0f} bytes a second", bucket.bytes, size_bytes, bytes_rate)
        open_deliveries = self.open_deliveries.get(account.row)
        if open_deliveries is not None and open_deliveries >= bucket.open_deliveries:
            raise LimitExceeded(
                "open_deliveries",
                f"the account has {bucket.open_deliveries} or more deliveries that wait or are held; "
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
