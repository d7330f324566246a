"""Forgets a person: the contact in the store and in memory, and the raw bodies that name him. A part of an erasure.

Knows no HTTP.
"""

from collections.abc import Iterable

from whatsync.engine.directory import Directory, RunningAccount
from whatsync.engine.intake import packed, unpacked
from whatsync.engine.people import People, own_word
from whatsync.engine.source_directory import RunningSource
from whatsync.model import limits
from whatsync.ports.clock import Clock
from whatsync.ports.history import History
from whatsync.ports.store import Store

ERASED = packed(b'{"erased":true}')
_NAME_CHARS_MIN = 5
"""A shorter name would be found in everything."""


class Forgetting:
    """What an erasure asks for at its end. May be repeated."""

    def __init__(self, directory: Directory, store: Store, history: History, people: People, clock: Clock) -> None:
        self._directory = directory
        self._store = store
        self._history = history
        self._people = people
        self._clock = clock

    async def forget(self, account: RunningAccount, words: Iterable[str]) -> None:
        """Forget who goes by the words ``phone:…`` and ``contact:…``."""
        words = tuple(words)
        names = [own_word(word.partition(":")[2]) if word.startswith("contact:") else word for word in words]
        known = await self._history.contacts(account.row, names)
        if known:
            await self._store.forget_contacts(account.row, [contact.id for contact in known], len(known))
            self._people.forget((account.row, contact.id) for contact in known)
        spoken = {*words, *(name for contact in known for name in contact.words)}
        texts = [word.partition(":")[2].lstrip("+") for word in spoken if word.startswith(("phone:", "user:"))]
        wanted = [text.encode() for text in texts if len(text) >= _NAME_CHARS_MIN]
        if wanted:
            for source in self._sources(account):
                await self._bodies(source, wanted)

    def _sources(self, account: RunningAccount) -> list[RunningSource]:
        whatsapp = self._directory.whatsapp
        ids = {one.number.source for one in whatsapp.numbers.values() if one.account == account.row}
        return [whatsapp.sources[id_] for id_ in sorted(ids) if id_ in whatsapp.sources]

    async def _bodies(self, source: RunningSource, wanted: list[bytes]) -> None:
        before: int | None = None
        while True:
            page = await self._history.bodies(source.row, before, limits.PAGE_ITEMS_MAX)
            for row in page:
                body = await self._history.body(row.seq)
                if body is not None and any(text in unpacked(body.body) for text in wanted):
                    await self._store.erase_body(row.seq, ERASED)
            if len(page) < limits.PAGE_ITEMS_MAX:
                return
            before = page[-1].seq
            await self._clock.sleep(limits.JOB_PAUSE_SECONDS)
