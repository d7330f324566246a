"""A disk for SQLite that keeps what was synced apart from what was only written, and can say at any moment what a power
failure would leave: of everything unsynced a random part, sector by sector. Knows no table."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import apsw

SECTOR_BYTES = 512
JOURNALS = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL
SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)
"""How much of what was not synced survives; drawn anew for each power failure."""


@dataclass
class Mirror:
    """One file. ``live`` is what programs read, ``None`` once deleted; ``durable`` what is safe, ``None`` before the
    first sync."""

    live: bytearray | None = None
    durable: bytes | None = None
    dirty: set[int] = field(default_factory=set)
    """Sectors written since the last sync."""
    new_name: bool = False
    """A journal just made: its first sync makes the folder safe, too, as SQLite's own VFS sees to."""

    def write(self, data: bytes, offset: int) -> None:
        """Change the live file."""
        assert self.live is not None
        if len(self.live) < offset:
            self.live.extend(bytes(offset - len(self.live)))
        self.live[offset : offset + len(data)] = data
        self.dirty.update(range(offset // SECTOR_BYTES, (offset + len(data) - 1) // SECTOR_BYTES + 1))

    def sync(self) -> None:
        """Everything written so far is safe from now on."""
        assert self.live is not None
        self.durable = bytes(self.live)
        self.dirty.clear()

    def surviving(self, source: random.Random, share: float) -> bytes | None:
        """What a power failure leaves of the file; ``None``: not even its name."""
        if self.live is None:
            return self.durable if source.random() > share else None
        if self.durable is None and source.random() > share:
            return None
        left = bytearray(self.durable or b"")
        for sector in sorted(self.dirty):
            if source.random() >= share:
                continue
            start = sector * SECTOR_BYTES
            piece = self.live[start : start + SECTOR_BYTES]
            if len(left) < start:
                left.extend(bytes(start - len(left)))
            left[start : start + len(piece)] = piece
        if source.random() < share:
            # The new size got through, whatever became of what stands in it.
            left = left[: len(self.live)] + bytes(max(0, len(self.live) - len(left)))
        return bytes(left)


class FaultyDisk(apsw.VFS):
    """Passes everything on to the ordinary VFS and keeps its own account of it. ``on_moment`` is called, in whatever
    thread writes, around each change: a moment at which the power could fail."""

    def __init__(self, name: str, on_moment: Callable[[str], None]) -> None:
        super().__init__(name, "")
        self.name = name
        self.files: dict[str, Mirror] = {}
        self.lock = threading.RLock()
        self._on_moment = on_moment

    def xOpen(self, name: "apsw.URIFilename | str | None", flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """Open a file."""
        if name is None:
            return apsw.VFSFile("", None, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        with self.lock:
            mirror = self.files.setdefault(path, Mirror())
            if mirror.live is None:
                before = Path(path).read_bytes() if Path(path).exists() else None
                mirror.live = bytearray(before or b"")
                if before is not None:
                    mirror.durable = before
                else:
                    mirror.new_name = bool(flags[0] & JOURNALS)
            return FaultyFile(self, mirror, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        """Delete a file; without ``syncdir`` it may be back after a power failure."""
        with self.lock:
            self.moment("delete")
            super().xDelete(filename, syncdir)
            mirror = self.files.get(filename)
            if mirror is not None:
                mirror.live = None
                mirror.dirty.clear()
                if syncdir:
                    del self.files[filename]

    def sync(self, mirror: Mirror) -> None:
        """Make a file safe, and what happened to names where its own name is new."""
        mirror.sync()
        if mirror.new_name:
            mirror.new_name = False
            for path in [path for path, known in self.files.items() if known.live is None]:
                del self.files[path]

    def moment(self, what: str) -> None:
        """The power could fail just now."""
        self._on_moment(what)

    def after_power_failure(self, source: random.Random) -> dict[str, bytes]:
        """The files as they would be found, by name."""
        with self.lock:
            share = source.choice(SHARES)
            left = {Path(path).name: mirror.surviving(source, share) for path, mirror in self.files.items()}
            return {name: content for name, content in left.items() if content is not None}


class FaultyFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, disk: FaultyDisk, mirror: Mirror, name: "apsw.URIFilename | str", flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._mirror = mirror

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        """Write without safety."""
        with self._disk.lock:
            self._disk.moment("write")
            super().xWrite(data, offset)
            self._mirror.write(bytes(data), offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        """Shorten without safety."""
        with self._disk.lock:
            self._disk.moment("truncate")
            super().xTruncate(newsize)
            assert self._mirror.live is not None
            del self._mirror.live[newsize:]

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Make safe. The real disk is left in peace: the account of it is what counts here."""
        with self._disk.lock:
            self._disk.moment("sync")
            self._disk.sync(self._mirror)
            self._disk.moment("synced")
