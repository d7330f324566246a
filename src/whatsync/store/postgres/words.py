"""Small numbers for texts that repeat: event types, phone number ids, codes, reasons, outcomes; and which account has
events of which type. The same on every node; kept in memory once known.
"""

from collections.abc import Iterable, Sequence

import asyncpg

from whatsync.store.postgres.coding import raw, text_of
from whatsync.store.postgres.connection import fetch, fetch_value, run
from whatsync.store.postgres.statements import statements

_SQL = statements("session.sql")
_KEPT_MAX = 50_000


class Words:
    """Numbers by text, and texts by number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._texts: dict[int, str] = {}
        self._types: set[tuple[int, int]] = set()

    def unknown(self, texts: Iterable[str | None]) -> list[str]:
        """Which of these have no number that is known here."""
        numbers = self._numbers
        return [text for text in dict.fromkeys(texts) if text is not None and text not in numbers]

    def unknown_types(self, pairs: Iterable[tuple[int, str]]) -> list[tuple[int, int]]:
        """Which accounts are not known to have events of a type; the types' numbers are known."""
        found = {(account, self._numbers[text]) for account, text in pairs}
        return sorted(found - self._types)

    def number(self, text: str | None) -> int | None:
        """The number of a text that is known here."""
        return None if text is None else self._numbers[text]

    def text(self, number: int | None) -> str | None:
        """The text of a number that is known here."""
        return None if number is None else self._texts[number]

    async def learn(self, connection: asyncpg.Connection, texts: Sequence[str]) -> None:
        """Give numbers to texts. Outside of transactions: others must see them at once."""
        raws = [raw(text) for text in texts]
        await run(connection, _SQL["add_words"], texts=raws)
        await self.look_up(connection, texts)

    async def learn_types(self, connection: asyncpg.Connection, pairs: Sequence[tuple[int, int]]) -> None:
        """Note which accounts have events of which types."""
        accounts, types = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        await run(connection, _SQL["add_types"], accounts=accounts, types=types)
        if len(self._types) > _KEPT_MAX:
            self._types.clear()
        self._types.update(pairs)

    async def look_up(self, connection: asyncpg.Connection, texts: Sequence[str]) -> None:
        """Find the numbers of texts that may have none."""
        self._keep(await fetch(connection, _SQL["word_numbers"], texts=[raw(text) for text in texts]))

    async def read(self, connection: asyncpg.Connection, numbers: Iterable[int | None]) -> None:
        """Find the texts of numbers."""
        missing = [number for number in {*numbers} if number is not None and number not in self._texts]
        if missing:
            self._keep(await fetch(connection, _SQL["word_texts"], ids=missing))

    async def known(self, connection: asyncpg.Connection, text: str) -> int | None:
        """The number of a text, ``None`` where it has none."""
        if text not in self._numbers:
            await self.look_up(connection, [text])
        return self._numbers.get(text)

    async def types_of(self, connection: asyncpg.Connection, account: int) -> list[int]:
        """Types that an account has events or deliveries of."""
        return await fetch_value(connection, _SQL["types_of"], account=account) or []

    def _keep(self, rows: Iterable[tuple[int, bytes]]) -> None:
        if len(self._numbers) > _KEPT_MAX:
            self._numbers.clear()
            self._texts.clear()
        for number, text in rows:
            word = text_of(text)
            self._numbers[word] = number
            self._texts[number] = word
