"""The pages name exactly the metrics the server shows."""

import re

from tests.docs.pages import all_pages, difference
from whatsync.web.metrics import METRICS

SUFFIXES = ("_bucket", "_sum", "_count")
"""What Prometheus itself adds to a histogram's name."""


def names() -> set[str]:
    return {str(getattr(metric, "name", metric)) for metric in METRICS}


def test_the_pages_name_exactly_the_metrics() -> None:
    existing = names()
    described = set()
    for text in all_pages().values():
        for name in re.findall(r"\bwhatsync_[a-z0-9_]*[a-z0-9]\b", text):
            stem = next((name.removesuffix(end) for end in SUFFIXES if name.removesuffix(end) in existing), name)
            described.add(stem)
    found = difference(described, existing)
    assert not found, found
