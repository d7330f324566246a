"""Files on their way in: written beside the kept ones, counted and hashed on the way, with an eye on the free disk.

Knows no name a file will have.
"""

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

from whatsync.media.workers import Handle, Workers
from whatsync.model import limits
from whatsync.model.media import MAGIC_BYTES
from whatsync.ports.media_store import MediaUnavailable
from whatsync.ports.randomness import Randomness

PIECE_BYTES = 256 * 1024
"""Written to the file at a time."""
LOOK_BYTES = 16 * 1024 * 1024
"""After so many bytes the free disk is looked at again."""
_FOLDER = "incoming"


class Spool:
    """The folder of unfinished files, below ``folder``. Below ``free_bytes_min`` of free disk nothing is begun."""

    def __init__(self, folder: Path, randomness: Randomness, workers: Workers, free_bytes_min: int = 0) -> None:
        self.folder = folder / _FOLDER
        self._randomness = randomness
        self._workers = workers
        self._free_bytes_min = free_bytes_min

    async def begin(self) -> "SpooledFile":
        """Begin a file. Raises MediaUnavailable."""
        path = self.folder / self._randomness.token(16).hex()
        handle = await self._workers.run(lambda: self._open(path))
        return SpooledFile(path, handle, self, self._workers)

    async def sweep(self, now_ms: int) -> None:
        """Remove files that nobody has written to for a long time."""
        await self._workers.run(lambda: self._sweep(now_ms - limits.MEDIA_UNFINISHED_SECONDS * 1000))

    def check_room(self) -> None:
        """Raises MediaUnavailable where the disk is nearly full."""
        free = shutil.disk_usage(self.folder).free
        if free < self._free_bytes_min:
            raise MediaUnavailable(
                f"the disk under {self.folder.parent} has {free // 2**20} MiB free, less than the "
                f"{self._free_bytes_min // 2**20} MiB of WHATSYNC_MIN_FREE_DISK; make room"
            )

    def _open(self, path: Path) -> Handle:
        try:
            self.folder.mkdir(0o700, parents=True, exist_ok=True)
            self.check_room()
            return Handle(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError as problem:
            raise unavailable(problem) from None

    def _sweep(self, before_ms: int) -> None:
        with suppress(FileNotFoundError):
            for entry in os.scandir(self.folder):
                with suppress(FileNotFoundError):
                    if entry.stat().st_mtime_ns < before_ms * 1_000_000:
                        os.unlink(entry.path)


class SpooledFile:
    """Implements ``ports.media_store.UnfinishedFile`` as a file without a public name."""

    def __init__(self, path: Path, handle: Handle, spool: Spool, workers: Workers) -> None:
        self.path = path
        self.size = 0
        self.beginning = b""
        self._handle: Handle | None = handle
        self._spool = spool
        self._workers = workers
        self._hash = hashlib.sha256()
        self._waiting = bytearray()
        self._looked_at = 0

    async def write(self, data: bytes) -> None:
        """Append; goes to the file in larger pieces."""
        if len(self.beginning) < MAGIC_BYTES:
            self.beginning = (self.beginning + data)[:MAGIC_BYTES]
        self.size += len(data)
        self._waiting += data
        if len(self._waiting) >= PIECE_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Hand what waits to the file."""
        data, self._waiting = self._waiting, bytearray()
        handle = self._open_handle()
        await self._workers.run(lambda: self._append(handle, data))

    async def seal(self) -> None:
        """Everything to the disk for good; no more is written."""
        await self.flush()
        handle = self._open_handle()
        await self._workers.run(lambda: _sync(handle))

    def sha256(self) -> bytes:
        """Of all bytes written so far."""
        digest = self._hash.copy()
        digest.update(self._waiting)
        return digest.digest()

    async def discard(self) -> None:
        """Close and remove the file, if it is still under its unfinished name."""
        self._handle = None
        await self._workers.run(lambda: self.path.unlink(missing_ok=True))

    def _open_handle(self) -> Handle:
        assert self._handle is not None, "the file is finished"
        return self._handle

    def _append(self, handle: Handle, data: bytearray) -> None:
        self._hash.update(data)
        view = memoryview(data)
        try:
            if self.size - self._looked_at >= LOOK_BYTES:
                self._looked_at = self.size
                self._spool.check_room()
            while view:
                view = view[os.write(handle.number, view) :]
        except OSError as problem:
            raise unavailable(problem) from None


def _sync(handle: Handle) -> None:
    try:
        os.fsync(handle.number)
    except OSError as problem:
        raise unavailable(problem) from None


def unavailable(problem: OSError) -> MediaUnavailable:
    """What the disk said, for operators."""
    return MediaUnavailable(f"media files can't be written or read: {problem.strerror or problem} ({problem.filename})")
