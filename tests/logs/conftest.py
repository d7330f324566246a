"""The process's own logging, put back after a test that set it up."""

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture
def root() -> Iterator[None]:
    kept, level = logging.getLogger().handlers, logging.getLogger().level
    yield
    logging.getLogger().handlers = kept
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()
