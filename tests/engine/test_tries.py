"""Tries are counted by mail address and by network, and forgotten after a quarter of an hour."""

from tests.engine.desk import HandClock
from whatsync.engine.tries import Tries, network_of
from whatsync.model import limits


def test_an_address_tried_from_many_places_has_to_wait() -> None:
    clock = HandClock()
    tries = Tries(2, 100, clock)
    assert [tries.begin("a@example.com", f"10.0.0.{n}").wait_seconds for n in range(2)] == [0, 0]
    waits = [tries.begin("a@example.com", f"10.0.1.{n}").wait_seconds for n in range(9)]
    assert waits == [limits.SIGN_IN_FAILURE_SECONDS] * 9  # those that wait are not counted
    assert tries.begin("b@example.com", "10.0.0.1").wait_seconds == 0


def test_a_network_that_tries_many_addresses_has_to_wait_though_one_is_right() -> None:
    tries = Tries(100, 3, HandClock())
    for name in ("a", "b"):
        tries.begin(f"{name}@example.com", "2001:db8::1")
    right = tries.begin("own@example.com", "2001:db8::2")
    tries.went_well(right)
    assert tries.begin("c@example.com", "2001:db8::3").wait_seconds == 0  # only the right one was taken back
    assert tries.begin("d@example.com", "2001:db8:0:0:ffff::4").wait_seconds > 0
    assert tries.begin("d@example.com", "2001:db8:0:1::4").wait_seconds == 0


def test_who_gets_it_right_begins_anew() -> None:
    tries = Tries(2, 100, HandClock())
    tries.begin("a@example.com", "10.0.0.1")
    tries.went_well(tries.begin("a@example.com", "10.0.0.1"))
    assert [tries.begin("a@example.com", "10.0.0.1").wait_seconds for _ in range(2)] == [0, 0]
    assert tries.begin("a@example.com", "10.0.0.1").wait_seconds > 0


def test_what_is_no_address_counts_as_it_is() -> None:
    assert network_of("unix") == "unix"
    assert network_of("10.0.0.1") == "10.0.0.1"
