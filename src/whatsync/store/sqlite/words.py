"""Small numbers for texts that repeat: event types, phone number ids, codes, reasons, outcomes.

Knows no table that uses them.
"""

import apsw

from whatsync.store.sqlite.statements import fetch, statements

_SQL = statements("words.sql")
_KEPT_MAX = 50_000


class Words:
    """Numbers by text, and texts by number, for one connection. Only the writer may call ``number``."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self.numbers: dict[str, int] = {}
        """The ones known so far; ``number`` is the way to ask."""
        self._texts: dict[int, str] = {}
        self._new: list[str] = []

    def number(self, text: str) -> int:
        """The number of a text, given to it in the present transaction if it has none yet."""
        number = self.numbers.get(text)
        return self._find(text) if number is None else number

    def text(self, number: int) -> str:
        """The text of a number."""
        text = self._texts.get(number)
        if text is None:
            text = str(fetch(self._db, _SQL["word_text"], (number,))[0][0])
            self._keep(text, number)
        return text

    def known(self, text: str) -> int | None:
        """The number of a text that may have none."""
        number = self.numbers.get(text)
        if number is None:
            for (number,) in fetch(self._db, _SQL["word_number"], (text,)):
                self._keep(text, number)
        return number

    def committed(self) -> None:
        """The present transaction is on disk."""
        self._new.clear()

    def rolled_back(self) -> None:
        """The present transaction is undone, with the numbers given in it."""
        for text in self._new:
            self._texts.pop(self.numbers.pop(text, 0), None)
        self._new.clear()

    def _find(self, text: str) -> int:
        number = self.known(text)
        if number is None:
            number = int(fetch(self._db, _SQL["insert_word"], (text,))[0][0])
            self._keep(text, number)
            self._new.append(text)
        return number

    def _keep(self, text: str, number: int) -> None:
        if len(self.numbers) >= _KEPT_MAX and not self._new:
            self.numbers.clear()
            self._texts.clear()
        self.numbers[text] = number
        self._texts[number] = text
