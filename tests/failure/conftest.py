"""``--every-call`` fails each single call in turn where the suite takes samples.
Knows nothing of stores and senders."""

import logging
from collections.abc import Iterator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-call", action="store_true", help="tests/failure: fail every call, not only samples")


@pytest.fixture
def every(request: pytest.FixtureRequest) -> bool:
    """Whether each call is to fail in its turn."""
    return bool(request.config.getoption("--every-call", default=False))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Hundreds of planted failures say nothing new in the log."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
