"""Media files in a bucket that speaks S3, through obstore: spooled on this machine first, then put there whole.

Credentials, and whatever else the URL leaves open, come from the usual ``AWS_…`` environment. Knows no row and no URL.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from whatsync.media.spool import Spool, SpooledFile
from whatsync.media.workers import Workers
from whatsync.model.bucket import BucketPlace
from whatsync.model.media import is_media_name
from whatsync.ports.media_store import KeptFile, MediaMissing, MediaUnavailable, UnfinishedFile
from whatsync.ports.randomness import Randomness

PART_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 2
PIECE_BYTES = 256 * 1024
_PROBE = "whatsync-probe"
_RETRY_SECONDS = 30


class BucketStore:
    """Implements ``ports.media_store.MediaStore``. ``spool`` is a folder of this machine; ``own`` a word of this
    installation that its files lie under, so that two in one bucket never touch each other's.
    """

    def __init__(
        self,
        place: BucketPlace,
        own: str,
        spool: Path,
        randomness: Randomness,
        *,
        free_bytes_min: int = 0,
        retries: int = 3,
    ) -> None:
        self._bucket = place.bucket
        self._workers = Workers()
        self._spool = Spool(spool, randomness, self._workers, free_bytes_min)
        self._store = S3Store(
            place.bucket,
            prefix="/".join(filter(None, (place.prefix, own))),
            client_options={
                "allow_http": place.endpoint is not None and place.endpoint.startswith("http://"),
                "connect_timeout": "5s",
                "timeout": "120s",
            },
            retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
            **_options(place),
        )

    async def begin(self) -> SpooledFile:
        """Begin to write a file, on this machine."""
        return await self._spool.begin()

    async def keep(self, unfinished: UnfinishedFile, name: str, content_type: str) -> None:
        """Put the file into the bucket; it appears there whole."""
        assert isinstance(unfinished, SpooledFile)
        await unfinished.flush()
        try:
            await obstore.put_async(
                self._store,
                name,
                unfinished.path,
                attributes={"Content-Type": content_type, "Content-Disposition": "attachment"},
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )
        except (BaseError, OSError) as problem:
            self._raise(problem)
        await unfinished.discard()

    async def size(self, name: str) -> int | None:
        """Bytes of a file."""
        if not is_media_name(name):
            return None
        try:
            return (await obstore.head_async(self._store, name))["size"]
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as problem:
            self._raise(problem)

    async def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        """A part of a file, piece by piece as it comes."""
        if not is_media_name(name):
            raise MediaMissing(name)
        options: Any = {"range": (start, start + length)} if length else {"head": True}
        try:
            answer = await obstore.get_async(self._store, name, options=options)
            if length:
                async for piece in answer.stream(min_chunk_size=PIECE_BYTES):
                    yield bytes(piece)
        except FileNotFoundError:
            raise MediaMissing(name) from None
        except (BaseError, OSError) as problem:
            self._raise(problem)

    async def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if not is_media_name(name):
            return
        try:
            await obstore.delete_async(self._store, name)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as problem:
            self._raise(problem)

    async def files(self) -> AsyncIterator[KeptFile]:
        """Every file of this installation, a page of the bucket's list after the other."""
        try:
            async for page in obstore.list(self._store):
                for entry in page:
                    if is_media_name(entry["path"]):
                        yield KeptFile(entry["path"], int(entry["last_modified"].timestamp() * 1000))
        except (BaseError, OSError) as problem:
            self._raise(problem)

    async def sweep(self, now_ms: int) -> None:
        """Remove unfinished files that a crash left on this machine."""
        await self._spool.sweep(now_ms)

    async def problem(self) -> str | None:
        """Put, read and remove a small file."""
        try:
            unfinished = await self._spool.begin()
            await unfinished.discard()
            await obstore.put_async(self._store, _PROBE, b"whatsync")
            await obstore.get_async(self._store, _PROBE)
            await obstore.delete_async(self._store, _PROBE)
        except MediaUnavailable as problem:
            return problem.reason
        except (BaseError, OSError) as problem:
            return self._said(problem)
        return None

    async def close(self) -> None:
        """End the threads."""
        self._workers.close()

    def _raise(self, problem: Exception) -> NoReturn:
        raise MediaUnavailable(self._said(problem)) from None

    def _said(self, problem: Exception) -> str:
        """What the library says, cut to its first sentence: further ones repeat requests and answers whole."""
        said = str(problem).split("\n", 1)[0].split(" in ", 1)[0][:200]
        return (
            f"the bucket {self._bucket} can't be used: {said}. Check WHATSYNC_MEDIA_STORE, the AWS_… credentials and "
            "the bucket's own rules"
        )


def _options(place: BucketPlace) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if place.endpoint is not None:
        options["endpoint"] = place.endpoint
    if place.region is not None:
        options["region"] = place.region
    if place.virtual_hosted:
        options["virtual_hosted_style_request"] = True
    return options
