"""The n-th call of the store, of the place for files or of Meta fails in the story of a source, for every n."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.failure.faults import Fault
from tests.failure.receivers import Receivers
from tests.failure.source_story import FaultyMeta, FaultyShelf, SourceStory, faults_of
from tests.failure.telling import every_call, told
from tests.sim.loop import Time, VirtualLoop
from whatsync.engine.intake import Reception
from whatsync.engine.numbers import Numbers
from whatsync.engine.reprocessing import Reprocessing
from whatsync.model.errors import Unavailable
from whatsync.ports.store import StoreUnavailable
from whatsync.sources.whatsapp import media
from whatsync.sources.whatsapp.media import GraphMedia
from whatsync.store.memory import Disk, MemoryStore

PLACES = ("store before", "store after", "files before", "files after", "meta")


def place_kept(patch: pytest.MonkeyPatch) -> None:
    """What a body that was not written had reserved stays so."""
    patch.setattr(Reception, "_undo", lambda self, intake, shares: None)


def number_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A number that could not be noted is not noted later."""
    note = Numbers._note

    async def once(self: Numbers, source_id: str, seen: Any) -> None:
        with contextlib.suppress(Unavailable):
            await note(self, source_id, seen)

    patch.setattr(Numbers, "_note", once)


def job_given_up(patch: pytest.MonkeyPatch) -> None:
    """Where processing again fails once, nobody does it later."""
    step = Reprocessing._number

    async def once(self: Reprocessing, number: str) -> None:
        with contextlib.suppress(Unavailable):
            await step(self, number)

    async def nothing(self: Reprocessing) -> None:
        return

    patch.setattr(Reprocessing, "_number", once)
    patch.setattr(Reprocessing, "_look_for_more", nothing)


def half_a_file(patch: pytest.MonkeyPatch) -> None:
    """What has come is the file, though the rest is missing."""
    patch.setattr(GraphMedia, "_problem_of", lambda self, answer: None)
    patch.setattr(media, "_check", lambda *_: None)


PLANTED: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "a place kept in memory": (place_kept, "store before"),
    "a number forgotten": (number_forgotten, "store before"),
    "processing again given up": (job_given_up, "store before"),
    "half a file": (half_a_file, "meta"),
}
"""Each bug, and the place whose failure shows it."""


def tell(place: str, fault: Fault) -> list[str]:
    """One telling in which calls of one place fail."""
    time = Time()
    name, _, stage = place.partition(" ")
    none = Fault(0)

    async def commit(at: str) -> None:
        if name == "store" and at.startswith(stage) and fault.strikes():
            await asyncio.sleep(1)
            raise StoreUnavailable("planted: the disk fails")

    loop = VirtualLoop(time)
    files = FaultyShelf(fault if name == "files" else none, stage)
    meta = FaultyMeta(fault if name == "meta" else none)
    story = SourceStory(MemoryStore(Disk(), commit), Receivers(), time, files, meta)
    try:
        return told(loop, time, story, lambda: faults_of(story), fault)
    finally:
        loop.bury()


def test_the_story_is_long_enough_and_breaks_no_law_by_itself() -> None:
    calls = {}
    for place in PLACES:
        fault = Fault(0)
        assert tell(place, fault) == []
        calls[place] = fault.calls
    assert min(calls.values()) >= 3
    assert calls["store before"] > 15


@pytest.mark.slow
@pytest.mark.parametrize("once", [True, False], ids=["once", "until repaired"])
@pytest.mark.parametrize("place", PLACES)
def test_any_call_may_fail(place: str, once: bool) -> None:
    def one(number: int) -> tuple[int, list[str]]:
        fault = Fault(number, once)
        faults = tell(place, fault)
        return fault.struck, faults

    assert every_call(one) == []


@pytest.mark.slow
@pytest.mark.parametrize("bug", PLANTED)
def test_the_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, place = PLANTED[bug]
    plant(monkeypatch)
    for number in range(1, 100):
        fault = Fault(number)
        if tell(place, fault):
            return
        if fault.struck == 0:
            break
    pytest.fail(f"{bug}: not found")
