"""Media files in a folder: ``ab/abc….jpg`` below it, a file appearing under its name only whole and synced.

Knows no row and no URL.
"""

import os
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from whatsync.media.spool import Spool, SpooledFile, unavailable
from whatsync.media.workers import Handle, Workers
from whatsync.model.media import is_media_name
from whatsync.ports.media_store import KeptFile, MediaMissing, MediaUnavailable, UnfinishedFile
from whatsync.ports.randomness import Randomness

READ_BYTES = 256 * 1024
SHARD_CHARS = 2
"""So many first letters of a name are its folder: 1,024 folders."""


class FolderStore:
    """Implements ``ports.media_store.MediaStore``. The folder is made when the first file comes."""

    def __init__(self, folder: Path, randomness: Randomness, free_bytes_min: int = 0) -> None:
        self.folder = folder
        self._workers = Workers()
        self._spool = Spool(folder, randomness, self._workers, free_bytes_min)

    async def begin(self) -> SpooledFile:
        """Begin to write a file."""
        return await self._spool.begin()

    async def keep(self, unfinished: UnfinishedFile, name: str, content_type: str) -> None:
        """Sync the file, then give it its name. The type is told by its row alone."""
        assert isinstance(unfinished, SpooledFile)
        await unfinished.seal()
        await self._workers.run(lambda: self._name(unfinished.path, self._path(name)))
        await unfinished.discard()

    async def size(self, name: str) -> int | None:
        """Bytes of a file."""
        return await self._workers.run(lambda: self._size(name))

    async def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        """A part of a file, piece by piece."""
        handle = await self._workers.run(lambda: self._open(name))
        while length > 0:
            piece = await self._workers.run(partial(_pread, handle, min(READ_BYTES, length), start))
            if not piece:
                return
            start, length = start + len(piece), length - len(piece)
            yield piece

    async def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        await self._workers.run(lambda: self._remove(name))

    async def files(self) -> AsyncIterator[KeptFile]:
        """Every file, folder by folder."""
        for shard in await self._workers.run(lambda: _folders(self.folder)):
            for kept in await self._workers.run(partial(_files, self.folder / shard)):
                yield kept

    async def sweep(self, now_ms: int) -> None:
        """Remove unfinished files that a crash left behind."""
        await self._spool.sweep(now_ms)

    async def problem(self) -> str | None:
        """Write a file to see whether that can be done."""
        try:
            unfinished = await self._spool.begin()
            try:
                await unfinished.write(b"whatsync")
                await unfinished.seal()
            finally:
                await unfinished.discard()
        except MediaUnavailable as problem:
            return problem.reason
        return None

    async def close(self) -> None:
        """End the threads."""
        self._workers.close()

    def _path(self, name: str) -> Path:
        if not is_media_name(name):
            raise MediaMissing(name)
        return self.folder / name[:SHARD_CHARS] / name

    def _name(self, path: Path, name: Path) -> None:
        try:
            if not name.parent.is_dir():
                name.parent.mkdir(0o700, parents=True, exist_ok=True)
                _sync_folder(name.parent.parent)
            os.replace(path, name)
            _sync_folder(name.parent)
        except OSError as problem:
            raise unavailable(problem) from None

    def _size(self, name: str) -> int | None:
        try:
            return self._path(name).stat().st_size
        except (FileNotFoundError, MediaMissing):
            return None
        except OSError as problem:
            raise unavailable(problem) from None

    def _open(self, name: str) -> Handle:
        try:
            return Handle(os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
        except FileNotFoundError:
            raise MediaMissing(name) from None
        except OSError as problem:
            raise unavailable(problem) from None

    def _remove(self, name: str) -> None:
        try:
            with suppress(FileNotFoundError, MediaMissing):
                self._path(name).unlink()
        except OSError as problem:
            raise unavailable(problem) from None


def _pread(handle: Handle, size: int, start: int) -> bytes:
    try:
        return os.pread(handle.number, size, start)
    except OSError as problem:
        raise unavailable(problem) from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _folders(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder) if len(entry.name) == SHARD_CHARS and entry.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise unavailable(problem) from None


def _files(folder: Path) -> list[KeptFile]:
    found = []
    try:
        for entry in os.scandir(folder):
            with suppress(FileNotFoundError):
                if is_media_name(entry.name):
                    found.append(KeptFile(entry.name, entry.stat().st_mtime_ns // 1_000_000))
    except FileNotFoundError:
        return []
    except OSError as problem:
        raise unavailable(problem) from None
    return found
