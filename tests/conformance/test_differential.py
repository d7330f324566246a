"""The same random work done on the store in memory and on another one: every answer and the whole history agree."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.conformance.clerk import START_MS, Clerk
from tests.conformance.places import PLACES, MemoryPlace
from tests.conformance.script import Actor, Step, comparable, steps


async def compare(kind: str, script: list[Step], folder: Path) -> None:
    """Give both stores the same script, then read everything back."""
    places = [MemoryPlace(folder), PLACES[kind](folder)]
    for place in places:
        await place.open(START_MS)
    model, other = (Actor(Clerk(place)) for place in places)
    try:
        for step in script:
            expected, answer = await model.do(step), await other.do(step)
            assert comparable(answer) == comparable(expected), step
        expected_history, history = await model.everything(), await other.everything()
        for name, expected in expected_history.items():
            assert history[name] == expected, name
    finally:
        for place in places:
            await place.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(PLACES.keys() - {"postgres"}))
@settings(max_examples=100)
@given(script=steps())
def test_the_same_work_gives_the_same_history(kind: str, script: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(kind, script, Path(folder)))


@pytest.mark.slow
@settings(max_examples=30)
@given(script=steps())
def test_the_same_work_gives_the_same_history_on_postgres(script: list[Step]) -> None:
    """Fewer scripts: each step is a transaction between two processes."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare("postgres", script, Path(folder)))
