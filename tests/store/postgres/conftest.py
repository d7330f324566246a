"""A store on PostgreSQL and somebody who works with it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.clerk import START_MS, Clerk
from tests.conformance.places import PostgresPlace


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[PostgresPlace]:
    """A freshly opened store."""
    place = PostgresPlace(tmp_path)
    await place.open(START_MS)
    yield place
    await place.close()


@pytest.fixture
def clerk(place: PostgresPlace) -> Clerk:
    """Somebody who works with it."""
    return Clerk(place)
