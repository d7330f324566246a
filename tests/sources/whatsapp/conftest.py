"""An open place for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.engine.desk import opened_desk
from tests.sources.whatsapp.post import Post


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with opened_desk() as desk:
        place = Post(desk)
        await place.open()
        yield place
