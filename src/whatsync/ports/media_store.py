"""Where the bytes of media files lie, as the engine asks for it: written aside first, then kept whole under a name."""

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec


class MediaUnavailable(Exception):  # noqa: N818 - a state, not a mistake
    """The bytes can't be written or read now: a full disk, a bucket out of reach. ``reason`` is for operators."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MediaMissing(Exception):  # noqa: N818
    """There is no file of this name."""


class KeptFile(msgspec.Struct, frozen=True):
    """A file of the store, as its list tells."""

    name: str
    modified_ms: int


class UnfinishedFile(Protocol):
    """Bytes on their way in, under no name yet. A crash leaves nothing that can be fetched."""

    size: int
    """Bytes written so far."""
    beginning: bytes
    """The first ``model.media.MAGIC_BYTES`` of them."""

    async def write(self, data: bytes) -> None:
        """Append. Raises MediaUnavailable where there is no room."""

    def sha256(self) -> bytes:
        """Of all bytes written so far."""

    async def discard(self) -> None:
        """Forget it. Does nothing once it is kept or discarded."""


class MediaStore(Protocol):
    """Files by name. Names are ``model.media.media_name``'s."""

    async def begin(self) -> UnfinishedFile:
        """Begin to write a file. Raises MediaUnavailable."""

    async def keep(self, unfinished: UnfinishedFile, name: str, content_type: str) -> None:
        """Put the whole file under ``name``, in place of what may be there. When this returns it outlives a crash;
        before, nobody sees a part of it. Raises MediaUnavailable; it can be tried again then.
        """

    async def size(self, name: str) -> int | None:
        """Bytes of a file; ``None`` where there is none. Raises MediaUnavailable."""

    def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        """A part of a file, piece by piece. Raises MediaMissing before the first piece, MediaUnavailable at any."""

    async def remove(self, name: str) -> None:
        """Remove a file, if it is there. Raises MediaUnavailable."""

    def files(self) -> AsyncIterator[KeptFile]:
        """Every file, in no order; may miss some that come or go meanwhile. Raises MediaUnavailable."""

    async def sweep(self, now_ms: int) -> None:
        """Remove unfinished files that a crash left behind."""

    async def problem(self) -> str | None:
        """Why it can't be used, in a sentence with what to do; ``None`` where all is well. Writes and reads a file."""

    async def close(self) -> None:
        """Let go of threads and connections."""
