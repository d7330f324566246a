"""``--sim-seed N`` replays one schedule instead of all of them. Knows nothing of worlds and laws."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sim-seed", type=int, default=None, help="replay the one simulated schedule with this seed")
