"""What connecting a source comes to, and the one who does it as the doors ask for him. Knows no API of Meta."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from whatsync.engine.source_directory import RunningSource


class Finding(msgspec.Struct, frozen=True):
    """One thing that has to be right. ``code`` is stable; the other two are plain sentences, the last empty if ok."""

    code: str
    ok: bool
    sentence: str
    next_step: str


class Connected(msgspec.Struct, frozen=True):
    """What was set up."""

    callback_url: str
    businesses: tuple[str, ...]
    numbers: tuple[str, ...]


class Connector(Protocol):
    """Checks and connects sources (``sources/whatsapp/connecting.py``)."""

    def callback(self, source: RunningSource) -> str | None:
        """The URL Meta has to call."""

    async def check(self, source: RunningSource) -> list[Finding]:
        """Look at everything that has to be right."""

    async def connect(
        self, source: RunningSource, businesses: Sequence[str], replace: bool, override: bool = False
    ) -> Connected:
        """Set up what is missing. Raises Invalid, Conflict, Unavailable."""
