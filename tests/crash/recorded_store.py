"""A store that writes down every call in the order it was made and which of them were answered, and the same calls made
again on the store in memory: what a disk must hold after any crash is what the first so many calls lead to."""

from asyncio import Future
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conformance.clerk import Clerk
from tests.conformance.places import VERSION, Place
from whatsync.net.system import SystemClock
from whatsync.ports.history import History
from whatsync.ports.store import Claims, Opened, Store
from whatsync.store.memory import Disk, MemoryStore
from whatsync.store.sqlite.calls import AdmittingCall, Call, RecordCall, StepCall
from whatsync.store.sqlite.store import SqliteStore

_ALL = 1_000
Entry = tuple[str, tuple[Any, ...]]
"""A verb and its arguments; ``open`` stands for a crash and what comes after it."""


class Log:
    """The calls of all lives of a store."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.answered = 0
        """So many of the first entries have been answered, at least."""
        self._admitting: deque[int] = deque()
        self._recording: deque[int] = deque()
        """Where calls stand that the store has not begun with."""

    def add(self, verb: str, *arguments: Any) -> int:
        """Write a call down; its number."""
        if verb in ("accept", "take_in"):
            self._admitting.append(len(self.entries))
        elif verb == "record":
            self._recording.append(len(self.entries))
        self.entries.append((verb, arguments))
        return len(self.entries)

    def begin(self) -> None:
        """A life begins: nothing waits."""
        self._admitting.clear()
        self._recording.clear()

    def done_together(self, calls: Sequence[Call]) -> None:
        """Bring the calls of one commit into the order in which the store does them: what is admitted comes before
        outcomes, as far as no other step stands between them. Called by the thread that writes.
        """
        admitted: list[int] = []
        recorded: list[int] = []
        for call in calls:
            if isinstance(call, AdmittingCall):
                admitted.append(self._admitting.popleft())
            elif isinstance(call, RecordCall):
                recorded.append(self._recording.popleft())
            elif isinstance(call, StepCall):
                self._put_in_order(admitted + recorded)
                admitted, recorded = [], []
        self._put_in_order(admitted + recorded)

    def _put_in_order(self, places: list[int]) -> None:
        entries = [self.entries[place] for place in places]
        for place, entry in zip(sorted(places), entries, strict=True):
            self.entries[place] = entry

    def note_answer(self, number: int) -> None:
        """A call was answered: it and all before it are on disk, since a store takes them in turn."""
        self.answered = max(self.answered, number)

    def cut(self, count: int) -> None:
        """Forget what a crash has undone."""
        del self.entries[count:]
        self.answered = count


class RecordedStore:
    """Implements the verbs that change something; everything else is the store's own."""

    def __init__(self, store: SqliteStore, log: Log) -> None:
        self._store = store
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def accept(self, admission: Any) -> "Future[Any]":
        """Accept, written down."""
        number = self._log.add("accept", admission)
        answer: Future[Any] = self._store.accept(admission)
        answer.add_done_callback(lambda _: self._log.note_answer(number))
        return answer

    def take_in(self, intake: Any) -> "Future[Any]":
        """Take in, written down."""
        number = self._log.add("take_in", intake)
        answer: Future[Any] = self._store.take_in(intake)
        answer.add_done_callback(lambda _: self._log.note_answer(number))
        return answer

    def record(self, attempts: Sequence[Any], health: Sequence[Any] = ()) -> "Future[Any]":
        """Record, written down."""
        number = self._log.add("record", attempts, health)
        answer: Future[Any] = self._store.record(attempts, health)
        answer.add_done_callback(lambda _: self._log.note_answer(number))
        return answer

    async def claim(self, endpoint: int, now_ms: int, limit: int, early: bool = False) -> Any:
        """Claim, written down."""
        return await self._do("claim", endpoint, now_ms, limit, early)

    async def give_back(self, claims: Any, due_ms: int) -> Any:
        """Give back, written down."""
        return await self._do("give_back", claims, due_ms)

    async def replan(self, *arguments: Any) -> Any:
        """Plan anew, written down."""
        return await self._do("replan", *arguments)

    async def settle(self, settlement: Any) -> Any:
        """Settle, written down."""
        return await self._do("settle", settlement)

    async def change(self, change: Any) -> Any:
        """Change, written down."""
        return await self._do("change", change)

    async def prune(self, *arguments: Any) -> Any:
        """Prune, written down."""
        return await self._do("prune", *arguments)

    async def erase(self, *arguments: Any) -> Any:
        """Erase, written down."""
        return await self._do("erase", *arguments)

    async def claim_media(self, *arguments: Any) -> Any:
        """Claim media, written down."""
        return await self._do("claim_media", *arguments)

    async def replan_media(self, *arguments: Any) -> Any:
        """Plan media anew, written down."""
        return await self._do("replan_media", *arguments)

    async def record_media(self, *arguments: Any) -> Any:
        """Record media, written down."""
        return await self._do("record_media", *arguments)

    async def remove_media(self, *arguments: Any) -> Any:
        """Remove media, written down."""
        return await self._do("remove_media", *arguments)

    async def count_waiting(self, *arguments: Any) -> Any:
        """Count how long things waited."""
        return await self._do("count_waiting", *arguments)

    async def count_arrivals(self, *arguments: Any) -> Any:
        """Count arrivals, written down."""
        return await self._do("count_arrivals", *arguments)

    async def prune_arrivals(self, *arguments: Any) -> Any:
        """Prune arrivals, written down."""
        return await self._do("prune_arrivals", *arguments)

    async def erase_body(self, *arguments: Any) -> Any:
        """Erase a body, written down."""
        return await self._do("erase_body", *arguments)

    async def forget_contacts(self, *arguments: Any) -> Any:
        """Forget contacts, written down."""
        return await self._do("forget_contacts", *arguments)

    async def _do(self, verb: str, *arguments: Any) -> Any:
        number = self._log.add(verb, *arguments)
        answer = await getattr(self._store, verb)(*arguments)
        self._log.note_answer(number)
        return answer


class RecordedPlace:
    """SQLite in a folder, on the VFS of that name, with every call written down. A ``tests.conformance`` place."""

    store: Store
    history: History
    opened: Opened

    def __init__(self, folder: Path, log: Log, vfs: str | None = None) -> None:
        self.path = folder / "whatsync.db"
        self._log = log
        self._vfs = vfs

    async def open(self, now_ms: int) -> None:
        """Open whatever the folder holds; what was claimed is taken back."""
        number = self._log.add("open", now_ms)
        self.sqlite = SqliteStore(self.path, clock=SystemClock(), vfs=self._vfs)
        self._log.begin()
        self.opened = await self.sqlite.open(now_ms, VERSION)
        self._log.note_answer(number)
        self._listen()
        self.store = RecordedStore(self.sqlite, self._log)
        self.history = self.sqlite.history

    def _listen(self) -> None:
        """Note what the writer does together."""
        writer = self.sqlite._writer
        assert writer is not None
        apply = writer._apply

        def noted(calls: Sequence[Call]) -> None:
            self._log.done_together(calls)
            apply(calls)

        writer._apply = noted  # type: ignore[method-assign]

    async def close(self) -> None:
        """Close in good order."""
        await self.sqlite.close()

    async def crash(self) -> None:
        """Let go of the files where they stand."""
        await self.sqlite.abandon()

    async def tidy(self) -> None:
        """Fold everything: changes nothing that can be read."""
        await self.sqlite.tidy()

    async def claim_all(self, endpoint: int, now_ms: int) -> Claims:
        """Claim whatever can be, written down nowhere."""
        return await self.sqlite.claim(endpoint, now_ms, _ALL)

    async def copy(self, folder: Path) -> Place:
        """Nobody asks for copies here."""
        raise NotImplementedError


class ModelPlace:
    """The store in memory, after a log's first entries. A ``tests.conformance`` place."""

    store: Store
    history: History
    opened: Opened

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.memory = MemoryStore(Disk())
        self.store = self.history = self.memory
        for entry in entries:
            self.apply(entry)

    def apply(self, entry: Entry) -> Any:
        """Do what the entry says."""
        verb, arguments = entry
        if verb == "open":
            (now_ms,) = arguments
            self.opened = self.memory.apply_open(now_ms, VERSION)
            return self.opened
        return getattr(self.memory, f"apply_{verb}")(*arguments)

    async def claim_all(self, endpoint: int, now_ms: int) -> Claims:
        """Claim whatever can be."""
        claims: Claims = self.apply(("claim", (endpoint, now_ms, _ALL, False)))
        return claims

    async def open(self, now_ms: int) -> None:
        """Come back after a crash."""
        self.apply(("open", (now_ms,)))

    async def close(self) -> None:
        """Nothing to do."""

    async def crash(self) -> None:
        """Nothing to do."""

    async def tidy(self) -> None:
        """Nothing to do."""

    async def copy(self, folder: Path) -> Place:
        """Nobody asks for copies here."""
        raise NotImplementedError


def clerk_of(place: Place, now_ms: int) -> Clerk:
    """Somebody who reads and writes there, and knows the configuration's versions."""
    clerk = Clerk(place, now_ms)
    clerk.versions = dict(place.opened.versions)
    return clerk
