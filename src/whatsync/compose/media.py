"""Wires everything about media files: where they lie, who fetches them, and what the doors call."""

import asyncio
from base64 import b32encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from whatsync.config import Config
from whatsync.engine.directory import Directory
from whatsync.engine.ingest import Ingest
from whatsync.engine.media import Media
from whatsync.engine.media_sweep import MediaSweep
from whatsync.engine.media_work import MediaWork
from whatsync.engine.quota import Quota
from whatsync.engine.runner import Runner
from whatsync.engine.standing import Standing
from whatsync.engine.uploads import Uploads
from whatsync.media.bucket import BucketStore
from whatsync.media.folder import FolderStore
from whatsync.model.bucket import BucketPlace
from whatsync.net.system import SystemRandomness
from whatsync.net.web_client import GuardedWebClient
from whatsync.ports.clock import Clock
from whatsync.ports.history import History
from whatsync.ports.media_store import MediaStore
from whatsync.ports.randomness import Randomness
from whatsync.ports.store import Store
from whatsync.ports.vault import Vault
from whatsync.sources.whatsapp.media import GraphMedia

FOLDER = "media"
_OWN_PURPOSE = b"media place"
_OWN_BYTES = 5
_PATH = "/media"
_PROBE_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaGround:
    """What the media parts stand on."""

    config: Config
    directory: Directory
    store: Store
    history: History
    clock: Clock
    randomness: Randomness
    vault: Vault
    ingest: Ingest
    quota: Quota
    client: GuardedWebClient


class MediaParts:
    """The parts; ``start`` adds their loops, ``close`` lets go of files and connections."""

    def __init__(
        self,
        ground: MediaGround,
        token_of: Callable[[str], str | None],
        version_of: Callable[[str], str],
        graph_url: str,
    ) -> None:
        config, clock, history = ground.config, ground.clock, ground.history
        self.files = media_store(config, ground.vault, ground.randomness)
        self.media = Media(
            store=ground.store,
            history=history,
            files=self.files,
            clock=clock,
            vault=ground.vault,
            base_url=base_url(config),
        )
        self.uploads = Uploads(
            media=self.media,
            ingest=ground.ingest,
            history=history,
            quota=ground.quota,
            clock=clock,
            randomness=ground.randomness,
        )
        graph = GraphMedia(
            client=ground.client, clock=clock, token_of=token_of, version_of=version_of, base_url=graph_url
        )
        self.work = MediaWork(
            media=self.media,
            directory=ground.directory,
            store=ground.store,
            history=history,
            clock=clock,
            randomness=ground.randomness,
            fetch=graph.fetch,
            submit=ground.ingest.submit,
            emit=ground.ingest.emit,
        )
        self.sweep = MediaSweep(media=self.media, history=history, clock=clock, keeping=self.uploads.keeping)

    def start(self, runner: Runner, standing: Standing) -> None:
        """Add the loops."""
        runner.add("media", self.work.run)
        runner.add("media sweep", standing.only("media sweep", self.sweep.run))

    async def close(self) -> None:
        """Let go of the files."""
        await self.files.close()


def media_store(config: Config, vault: Vault, randomness: Randomness) -> MediaStore:
    """Where the files lie. Each installation's stand apart, whoever else uses the same place."""
    own = b32encode(vault.derive(_OWN_PURPOSE)[:_OWN_BYTES]).decode("ascii").lower()
    place = config.media_store
    if isinstance(place, BucketPlace):
        spool = config.data_dir / FOLDER
        return BucketStore(place, own, spool, randomness, free_bytes_min=config.min_free_disk)
    return FolderStore(folder_of(config) / own, randomness, config.min_free_disk)


async def bucket_problem(place: BucketPlace) -> str | None:
    """Why a bucket can't be used, in a sentence; ``None`` where it can. Puts, reads and removes a small file."""
    with TemporaryDirectory() as folder:
        store = BucketStore(place, "", Path(folder), SystemRandomness(), retries=0)
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                return await store.problem()
        except TimeoutError:
            return f"the bucket {place.bucket} does not answer within {_PROBE_SECONDS:g} s; check its endpoint"
        finally:
            await store.close()


def folder_of(config: Config) -> Path:
    """The folder that holds the files, where they lie in one."""
    return config.media_store if isinstance(config.media_store, Path) else config.data_dir / FOLDER


def base_url(config: Config) -> str:
    """What the URLs of media files begin with."""
    if config.media_public_url is not None:
        return config.media_public_url
    if config.public_url is not None:
        return config.public_url + _PATH
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"http://{host}:{config.port}{_PATH}"
