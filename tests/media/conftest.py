"""One real S3 server for all tests of a worker."""

from collections.abc import Iterator

import pytest

from tests.media.bucket_server import BucketServer


@pytest.fixture(scope="session")
def bucket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketServer]:
    with BucketServer(tmp_path_factory.mktemp("bucket")) as server:
        yield server
