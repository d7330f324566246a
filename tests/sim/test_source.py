"""Schedules of worlds with a source obey every law, and each bug planted there is found for its own reason."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.sim import media_planted, media_world, numbers_planted, numbers_world, source_planted, source_world

CHUNK = 50
SCHEDULES = {"people": 300, "numbers": 200, "media": 100}
WORLDS: dict[str, Callable[..., list[str]]] = {
    "people": source_world.run,
    "numbers": numbers_world.run,
    "media": media_world.run,
}
CHUNKS = [(world, first) for world, count in SCHEDULES.items() for first in range(0, count, CHUNK)]
BUGS: dict[str, dict[str, Callable[[], Any]]] = {
    "people": dict(source_planted.BUGS),
    "numbers": dict(numbers_planted.BUGS),
    "media": dict(media_planted.BUGS),
}
PLANTED_SCHEDULES = 60
SIGNS = {
    ("people", "200 before the commit"): ("not on disk",),
    ("people", "repeats written again"): ("times",),
    ("people", "names turned back"): ("turned back", "the last name told"),
    ("people", "people not written"): ("people are",),
    ("numbers", "200 before the commit"): ("not on disk",),
    ("numbers", "earlier accounts forgotten"): ("in the wrong account",),
    ("numbers", "kept bodies left"): ("still set aside",),
    ("numbers", "nobody looks again"): ("still set aside",),
    ("media", "kept later"): ("was told of and is not there",),
    ("media", "hash ignored"): ("other bytes are kept",),
    ("media", "given up at once"): ("its file is FAILED",),
    ("media", "token shown"): ("the token was sent wrongly",),
    ("media", "asked without pause"): ("Meta was asked",),
    ("media", "outcome not written"): ("its file is WAITING",),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("world", "first"), CHUNKS)
def test_schedules_with_a_source_obey_the_laws(world: str, first: int) -> None:
    broken = {seed: faults for seed in range(first, first + CHUNK) if (faults := WORLDS[world](seed))}
    assert broken == {}


@pytest.mark.slow
@pytest.mark.parametrize(("world", "bug"), list(SIGNS))
def test_the_bug_is_found(world: str, bug: str) -> None:
    for seed in range(PLANTED_SCHEDULES):
        faults = WORLDS[world](seed, BUGS[world][bug]())
        if any(sign in fault for fault in faults for sign in SIGNS[world, bug]):
            return
    pytest.fail(f"{bug}: not found in {PLANTED_SCHEDULES} schedules")


def test_every_planted_bug_has_its_sign() -> None:
    assert set(SIGNS) == {(world, bug) for world, bugs in BUGS.items() for bug in bugs}
