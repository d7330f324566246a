"""A server for every test of the web that asks for one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.running import Running, running


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as started:
        yield started
