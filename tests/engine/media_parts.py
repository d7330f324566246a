"""The parts that see to media files, over the engine of any test; wired in one place."""

from typing import Any, Protocol

from whatsync.engine.directory import Directory
from whatsync.engine.ingest import Ingest
from whatsync.engine.media import Media
from whatsync.engine.media_work import Fetch, MediaWork
from whatsync.ports.clock import Clock
from whatsync.ports.randomness import Randomness
from whatsync.ports.vault import Vault

BASE_URL = "https://a.example/media"
"""What media URLs begin with."""


class Ground(Protocol):
    """What they stand on; the store is read by its history's verbs, too."""

    @property
    def store(self) -> Any: ...
    @property
    def directory(self) -> Directory: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def randomness(self) -> Randomness: ...
    @property
    def ingest(self) -> Ingest: ...


def media_over(ground: Ground, files: Any, vault: Vault) -> Media:
    """The files' rows and URLs. ``files`` need no more of a ``MediaStore`` than the test asks of it."""
    return Media(
        store=ground.store, history=ground.store, files=files, clock=ground.clock, vault=vault, base_url=BASE_URL
    )


def work_over(ground: Ground, media: Media, fetch: Fetch, work: type[MediaWork] = MediaWork) -> MediaWork:
    """What fetches and removes them; new files wake it."""
    ground.ingest.on_media = media.wake
    return work(
        media=media,
        directory=ground.directory,
        store=ground.store,
        history=ground.store,
        clock=ground.clock,
        randomness=ground.randomness,
        fetch=fetch,
        submit=ground.ingest.submit,
        emit=ground.ingest.emit,
    )
