"""The real clock and randomness keep what their ports promise, in threads and forked children too."""

import multiprocessing
import threading
import time

from whatsync.net.system import SystemClock, SystemRandomness
from whatsync.ports.clock import Clock
from whatsync.ports.randomness import Randomness


async def test_the_clock_keeps_its_promises() -> None:
    clock: Clock = SystemClock()
    assert abs(clock.now_ms() - time.time() * 1000) < 5_000
    before = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.009


def test_no_token_is_handed_out_twice() -> None:
    randomness: Randomness = SystemRandomness()
    tokens: list[bytes] = []

    def draw() -> None:
        tokens.extend([randomness.token(16) for _ in range(5_000)])

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(tokens)) == 20_000
    assert {len(token) for token in tokens} == {16}


def test_tokens_of_any_size() -> None:
    randomness = SystemRandomness()
    for size in (0, 1, 24, 1_000, 1_024, 1_025, 5_000, 100_000):
        assert len(randomness.token(size)) == size


def test_a_forked_child_draws_other_bytes() -> None:
    randomness = SystemRandomness()
    randomness.token(1)
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=lambda: theirs.send(randomness.token(32)))
    child.start()
    assert ours.recv() != randomness.token(32)
    child.join()


def test_fractions_are_within_bounds() -> None:
    randomness = SystemRandomness()
    fractions = [randomness.fraction() for _ in range(1_000)]
    assert all(0 <= fraction < 1 for fraction in fractions)
    assert 0.4 < sum(fractions) / 1_000 < 0.6
