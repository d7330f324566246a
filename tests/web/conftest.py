"""A server for every test of the web that asks for one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.running import Running, running


@pytest.fixture
async def web(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """On the store in memory; modules about the history say ``ON_DISK = True`` to have it read from SQLite."""
    async with running(tmp_path, in_memory=not getattr(request.module, "ON_DISK", False)) as started:
        yield started
