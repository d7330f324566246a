"""Runs every test of the suite on every adapter: a fresh place for each, closed at the end."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.clerk import START_MS, Clerk
from tests.conformance.places import PLACES


@pytest.fixture(params=sorted(PLACES))
async def clerk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Clerk]:
    """Somebody who works with a freshly opened store."""
    place = PLACES[request.param](tmp_path)
    await place.open(START_MS)
    yield Clerk(place)
    await place.close()
