"""A disk that fails when it is told to: an apsw VFS over the real one. Knows files, not what is in them."""

import asyncio
import itertools
import threading

import apsw

_NUMBERS = itertools.count()
_WAIT_SECONDS = 20


class FaultyDisk:
    """Set ``write`` or ``sync`` to an exception that every write or sync raises from then on; ``None`` heals it."""

    def __init__(self) -> None:
        self.write: type[apsw.Error] | None = None
        self.sync: type[apsw.Error] | None = None
        self.open: type[apsw.Error] | None = None
        self.failures = 0
        self._failed = threading.Condition()
        self.syncs = 0
        self.name = f"faulty-{next(_NUMBERS)}"
        self._vfs = _Vfs(self)

    def close(self) -> None:
        """Take the VFS away again."""
        self._vfs.unregister()

    def fail(self, problem: type[apsw.Error] | None) -> None:
        """Raise ``problem``, if it is one."""
        if problem is not None:
            with self._failed:
                self.failures += 1
                self._failed.notify_all()
            raise problem("the disk was told to fail")

    async def failed(self, times: int) -> None:
        """Return when it has failed so often since the last call."""
        await asyncio.to_thread(self._wait, times)

    def _wait(self, times: int) -> None:
        with self._failed:
            assert self._failed.wait_for(lambda: self.failures >= times, _WAIT_SECONDS)
            self.failures = 0


class _Vfs(apsw.VFS):
    def __init__(self, disk: FaultyDisk) -> None:
        self._disk = disk
        super().__init__(disk.name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "_File":  # noqa: N802 - SQLite's name
        self._disk.fail(self._disk.open)
        return _File(self._disk, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.fail(self._disk.write)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.syncs += 1
        self._disk.fail(self._disk.sync)
        super().xSync(flags)
