"""The idle connections: the latest is reused, the oldest goes first, and encrypted ones have a bound of their own."""

import pytest

from tests.net.hand import Desk, HandStream
from tests.net.receivers import OK
from whatsync.net.connection import Connection
from whatsync.net.origin import Origin
from whatsync.net.sender_limits import SenderLimits


class Rack:
    """A pool and connections that come to rest in it."""

    def __init__(self, limits: SenderLimits) -> None:
        self.desk = Desk(limits)
        self.pool = self.desk.pool
        self.streams: dict[Connection, HandStream] = {}
        self.desk.connection.abort()

    def rest(self, origin: Origin) -> Connection:
        """A connection that has carried one request and is idle, if the pool keeps it."""
        assert self.desk.budget.take(origin)
        connection = Connection(self.pool, origin, "127.0.0.1", self.desk.loop)  # type: ignore[arg-type]
        self.streams[connection] = HandStream()
        connection.attach(self.streams[connection])
        now = self.desk.loop.now
        connection.begin_first(b"request", now, now, now + 15.0)
        connection.data_received(OK)
        self.desk.loop.advance(0.1)
        return connection

    def closed(self) -> list[bool]:
        """Of all connections in the order they came."""
        return [stream.closed for stream in self.streams.values()]


def plain(name: str = "a.test") -> Origin:
    return Origin(("http", name, 80))


def test_the_one_used_last_is_taken_first() -> None:
    rack, origin = Rack(SenderLimits()), plain()
    first, second = rack.rest(origin), rack.rest(origin)
    assert [rack.pool.take(origin), rack.pool.take(origin)] == [second, first]
    assert (origin.idle, rack.pool.idle) == ([], 0)


def test_too_many_for_one_origin_are_closed() -> None:
    rack, origin = Rack(SenderLimits(idle_per_origin=2)), plain()
    for _ in range(3):
        rack.rest(origin)
    assert rack.closed() == [False, False, True]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_too_many_in_all_close_the_oldest_of_their_kind(scheme: str) -> None:
    rack = Rack(SenderLimits(idle_max=2, idle_encrypted_max=2))
    other = rack.rest(Origin(("http" if scheme == "https" else "https", "other.test", 80)))
    for number in range(4):
        rack.rest(Origin((scheme, f"h{number}.test", 80)))
    assert rack.closed() == [False, True, True, False, False]
    assert not rack.streams[other].closed
    assert rack.desk.statistics.connections_evicted == 2
    assert rack.desk.budget.in_use == rack.pool.idle == 3


def test_the_oldest_of_both_kinds_is_evicted_first() -> None:
    rack = Rack(SenderLimits())
    for scheme in ("https", "http", "http", "https"):
        rack.rest(Origin((scheme, "a.test", 80)))
    for count in range(1, 5):
        assert rack.pool.evict(False)
        assert rack.closed() == [True] * count + [False] * (4 - count)
    assert not rack.pool.evict(False)


def test_only_a_slow_one_is_evicted_if_so_asked() -> None:
    rack = Rack(SenderLimits())
    origins = [plain(f"h{number}.test") for number in range(3)]
    for origin in origins:
        rack.rest(origin)
    assert not rack.pool.evict(True)
    rack.desk.budget.mark_slow(origins[1])
    assert rack.pool.evict(True)
    assert rack.closed() == [False, True, False]


def test_what_is_forgotten_is_never_taken() -> None:
    rack, origin = Rack(SenderLimits()), plain()
    first, second = rack.rest(origin), rack.rest(origin)
    second.connection_lost(None)
    assert rack.pool.take(origin) is first
    assert rack.pool.idle == 0


def test_idle_connections_end_with_their_time() -> None:
    rack, origin = Rack(SenderLimits(idle_seconds=5.0)), plain()
    rack.rest(origin)
    rack.desk.loop.advance(4.0)
    assert rack.closed() == [False]
    rack.desk.loop.advance(2.0)
    assert rack.closed() == [True]
    assert (rack.pool.idle, rack.desk.budget.in_use) == (0, 0)
