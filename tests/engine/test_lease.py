"""The lease is judged by the monotonic clock alone; the common time is the database's, carried on."""

from tests.engine.desk import START_MS, HandClock
from whatsync.engine.common_clock import CommonClock
from whatsync.engine.lease import Lease
from whatsync.model import limits


class OddClock(HandClock):
    """A machine's clock: the wall clock is off, the monotonic one is not."""

    off_ms = 0

    def now_ms(self) -> int:
        return self.ms + self.off_ms


def test_a_lease_covers_nothing_until_it_is_granted() -> None:
    assert not Lease(HandClock()).covers(0)


def test_a_request_must_end_before_the_lease_does() -> None:
    clock = HandClock()
    lease = Lease(clock)
    lease.renewed(clock.monotonic())
    room = limits.LEASE_SECONDS - limits.LEASE_MARGIN_SECONDS
    assert lease.covers(room)
    assert not lease.covers(room + 0.01)
    clock.advance(room - 15)
    assert lease.covers(15)
    clock.advance(0.1)
    assert not lease.covers(15)


def test_the_lease_runs_from_when_it_was_asked_for() -> None:
    clock = HandClock()
    lease = Lease(clock)
    asked = clock.monotonic()
    clock.advance(40)
    lease.renewed(asked)
    assert not lease.covers(15)


def test_an_older_grant_does_not_shorten_a_newer_one() -> None:
    clock = HandClock()
    lease = Lease(clock)
    lease.renewed(clock.monotonic())
    lease.renewed(clock.monotonic() - 30)
    assert lease.covers(30)


def test_a_jump_of_the_wall_clock_changes_no_lease() -> None:
    clock = OddClock()
    lease = Lease(clock)
    lease.renewed(clock.monotonic())
    clock.off_ms = 3_600_000
    assert lease.covers(30)


def test_who_was_told_no_is_remembered_until_the_next_grant() -> None:
    clock = HandClock()
    lease = Lease(clock)
    assert not lease.covers(1)
    assert lease.renewed(clock.monotonic())
    assert not lease.renewed(clock.monotonic())
    lease.void()
    assert not lease.covers(0)


def test_the_common_time_is_the_databases_whatever_the_own_clock_says() -> None:
    own = OddClock()
    own.off_ms = 3_600_000
    common = CommonClock(own)
    assert common.now_ms() == START_MS + 3_600_000
    common.set(START_MS, own.monotonic())
    assert common.now_ms() == START_MS
    assert common.apart_seconds() == 3_600
    own.advance(10)
    own.off_ms = -86_400_000
    assert common.now_ms() == START_MS + 10_000


def test_the_common_time_does_not_waver_with_slow_answers() -> None:
    own = OddClock()
    common = CommonClock(own)
    common.set(START_MS, own.monotonic())
    asked = own.monotonic()
    own.advance(2)
    common.set(START_MS + 1_900, asked)
    assert common.now_ms() == START_MS + 2_000
    asked = own.monotonic()
    common.set(START_MS + 5_000, asked)
    assert common.now_ms() == START_MS + 5_000
