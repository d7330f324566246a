"""Every test here can have an open place to post bodies to; knows nothing of what is posted."""

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
