"""A few reading connections, each in a thread of its own, behind one awaitable call. One question is one short read
transaction. Knows no table; the questions stand in the modules beside it.
"""

import asyncio
import re
import threading
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from queue import SimpleQueue
from typing import Any, TypeVar

import apsw
import msgspec

from whatsync.store.search import word_forms
from whatsync.store.sqlite.statements import statements
from whatsync.store.sqlite.walks import Bounds, Walk
from whatsync.store.sqlite.words import Words

Answer = TypeVar("Answer")
Question = Callable[["Reader"], Answer]

ALARM_OPERATIONS = 2_000_000
"""SQLite's machine calls out each time a statement has done this many more operations."""
ALARMS_MAX = 10
"""In one question; some tenths of a second. Bounded questions stay far below it."""
PAGES_READ_MAX = 1_000
"""Pages of the file that a search may take in: what costs where rows lie far apart."""

_SQL = statements("history.sql")
_FRAGMENTS = ("delivery_columns", "delivery_filter", "event_filter", "missing_filter", "body_filter")
_SPECIAL = re.compile(r"[%_!]")
_ESCAPED = r"!\g<0>"


@cache
def sql(name: str, ascending: bool = False) -> str:
    """The text of a statement, its fragments filled in; upwards or, as it is written, downwards."""
    text = _SQL[name]
    for fragment in _FRAGMENTS:
        if f"<{fragment}>" in text:
            text = text.replace(f"<{fragment}>", _SQL[fragment])
    return text.replace("DESC", "ASC") if ascending else text


class Reader:
    """One connection, used by one thread."""

    def __init__(self, db: apsw.Connection) -> None:
        self.db = db
        self.words = Words(db)
        self._alarms = 0
        self._pages_before = 0
        db.set_progress_handler(self._alarm, ALARM_OPERATIONS)

    def begin(self) -> None:
        """Begin to answer a question."""
        self._alarms = 0
        self._pages_before = self._pages_read()
        self.db.execute(_BEGIN)

    def end(self) -> None:
        """Let go of what the question read."""
        self.db.execute(_END)

    def _alarm(self) -> bool:
        self._alarms += 1
        return self._alarms > ALARMS_MAX

    def tired(self) -> bool:
        """Whether answering has taken in so many pages of the file that a search had better stop."""
        return self._pages_read() - self._pages_before > PAGES_READ_MAX

    def _pages_read(self) -> int:
        return self.db.status(apsw.SQLITE_DBSTATUS_CACHE_MISS)[0]

    def rows(self, name: str, ascending: bool = False, **values: Any) -> list[Any]:
        """All rows of a statement."""
        return self.db.execute(sql(name, ascending), values).fetchall()

    def value(self, name: str, ascending: bool = False, **values: Any) -> Any:
        """First column of the first row; ``None`` where there is none."""
        for row in self.db.execute(sql(name, ascending), values).fetchall():
            return row[0]
        return None

    def packed(self, name: str, ascending: bool = False, **values: Any) -> list[Any]:
        """The list in a statement's one JSON value."""
        return msgspec.json.decode(self.value(name, ascending, **values), type=list[Any])

    def fold(self) -> int:
        """Up to which row the filled tables reach."""
        return int(self.value("fold"))

    def text(self, word: int | None) -> str | None:
        """The text of a word's number."""
        return None if word is None else self.words.text(word)


def rows_value(rows: Sequence[int]) -> Any:
    """Row numbers as one value of a statement."""
    return apsw.carray(array("q", rows)) if rows else apsw.carray(array("q", [-1]))


def word_values(text: str | None) -> dict[str, str | None]:
    """The words of a search as values of a statement."""
    words = () if text is None else word_forms(text)
    plain = {forms[0] for forms in words if len(forms) == 1}
    patterns = [_pattern(word) for word in sorted(plain, key=lambda word: (-len(word), word))]
    several = [[_pattern(form) for form in forms] for forms in words if len(forms) > 1]
    if several and not patterns:
        patterns = ["%"]
    return {
        "word": patterns[0] if patterns else None,
        "second_word": patterns[1] if len(patterns) > 1 else None,
        "more_words": msgspec.json.encode(patterns[2:]).decode() if len(patterns) > 2 else None,
        "forms": msgspec.json.encode(several).decode() if several else None,
    }


def _pattern(form: bytes) -> str:
    return f"%{_SPECIAL.sub(_ESCAPED, form.decode())}%"


class Along:
    """A way along one index: the statement ``name`` walks it, ``name_among`` tells which rows are in it."""

    def __init__(self, reader: Reader, name: str, values: dict[str, Any]) -> None:
        self._reader, self._name, self._values = reader, name, values

    def walk(self, bounds: Bounds) -> Walk:
        """Its rows."""
        reader, name, values, ascending = self._reader, self._name, self._values, bounds.ascending

        def fetch(low: int, high: int, limit: int) -> list[int]:
            return reader.packed(name, ascending, low=low, high=high, limit=limit, **values)

        return Walk(fetch, bounds)

    def among(self, rows: Sequence[int]) -> list[int]:
        """The ones of these rows that are in the index."""
        return self._reader.packed(f"{self._name}_among", rows=rows_value(rows), **self._values)


def heads(reader: Reader, name: str, account: int, types: Sequence[int]) -> Callable[[Bounds], list[int | None]]:
    """Finds the first row of each of an account's types by the statement ``name``."""

    def find(bounds: Bounds) -> list[int | None]:
        return reader.packed(
            name, bounds.ascending, account=account, rows=rows_value(types), low=bounds.low, high=bounds.high
        )

    return find


class Readers:
    """The threads. ``start`` before the first question, ``close`` after the last."""

    def __init__(self, connect: Callable[[], apsw.Connection], count: int) -> None:
        self._connect = connect
        self._count = count
        self._questions: SimpleQueue[Callable[[Reader], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Open the connections. Raises apsw errors."""
        for number in range(self._count):
            reader = Reader(self._connect())
            thread = threading.Thread(target=self._work, args=(reader,), name=f"reader-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Answer what was asked, then close the connections."""
        for _ in self._threads:
            self._questions.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    async def ask(self, question: Question[Answer]) -> Answer:
        """Have one of the threads answer. Raises what the question raises."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()

        def deliver(result: Any, problem: Exception | None) -> None:
            if answer.done():
                return
            if problem is not None:
                answer.set_exception(problem)
            else:
                answer.set_result(result)

        def work(reader: Reader) -> None:
            result, problem = _answer(reader, question)
            # Nobody waits any more once the loop is closed.
            if not loop.is_closed():
                loop.call_soon_threadsafe(deliver, result, problem)

        if not self._threads:
            raise RuntimeError("the history is closed")
        self._questions.put(work)
        return await answer

    def _work(self, reader: Reader) -> None:
        while (question := self._questions.get()) is not None:
            question(reader)
            # The last question must not keep its answer alive until the next one comes.
            del question
        reader.db.close()


def _answer(reader: Reader, question: Question[Any]) -> tuple[Any, Exception | None]:
    try:
        reader.begin()
        try:
            return question(reader), None
        finally:
            reader.end()
    except Exception as problem:  # noqa: BLE001 - whoever asked gets it
        return None, problem


_BEGIN = "BEGIN"
_END = "COMMIT"
