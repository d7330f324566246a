"""What tests of the model share: the real JavaScript as a judge of bytes."""

from collections.abc import Iterator

import pytest

from tests.model.node_json import NodeJson


@pytest.fixture(scope="session")
def judge(node: str) -> Iterator[NodeJson]:
    """A Node.js that stays up for all tests."""
    with NodeJson(node) as process:
        yield process
