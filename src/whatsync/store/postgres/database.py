"""The database as the store's verbs see it: transactions whose fate is always found out, questions, words and days; and
whether it can be had at all. Knows no verb.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import asyncpg
import msgspec

from whatsync.ports.clock import Clock
from whatsync.ports.store import StoreRefused, StoreUnavailable
from whatsync.store.postgres.connection import Address, Pool, fetch, fetch_value, run
from whatsync.store.postgres.statements import statements
from whatsync.store.postgres.trouble import REPEATED, is_missing_day, is_over, out_of_reach, sentence
from whatsync.store.postgres.words import Words

WRITERS = 4
READERS = 4
REPEATS_MAX = 20
PROBE_SECONDS = 0.3
FATE_PAUSE_SECONDS = 0.1
CLOSED = "The store is closed."
OVER = "This node was not heard of for too long, and others have taken its work over; it joins again by itself."

_SQL = statements("session.sql")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Transaction:
    """One transaction under way."""

    connection: asyncpg.Connection
    days: set[int] = field(default_factory=set)
    """Days that its rows lie in."""


Work = Callable[[Transaction], Awaitable[Result]]


class _Mark(msgspec.Struct, frozen=True):
    """What a transaction of a run leaves behind, by which its fate can be asked for later."""

    run: int
    line: int
    number: int


class Database:
    """Pools for writing and reading, and the trouble they are in."""

    def __init__(self, address: Address, clock: Clock) -> None:
        self.address = address
        self._clock = clock
        self.writers = Pool(address, WRITERS)
        self.readers = Pool(address, READERS)
        self.words = Words()
        self.trouble: str | None = None
        """Why nothing can be asked now; ``None`` while all is well."""
        self.closed = False
        self.commits = 0
        self.last_commit_seconds = 0.0
        self._probe: asyncio.Task[None] | None = None
        self._full = False
        self._numbers = itertools.count(1)
        self.on_over: Callable[[], None] = lambda: None
        """Called when a transaction finds that its run has ended."""
        self.on_well: list[Callable[[], None]] = []

    # Writing

    async def transact(self, work: Work[Result], run: int | None = None) -> Result:
        """Run ``work`` as one transaction until it is known to be on disk; for a ``run``, only while that goes on.

        Raises StoreUnavailable where nothing was written, and whatever ``work`` raises (then nothing was written).
        Without a run it can also be that all was written and nobody knows: that is for work that may be done twice.
        """
        repeats = 0
        while True:
            transaction = Transaction(await self._take(self.writers))
            started = self._clock.monotonic()
            try:
                result = await self._attempt(transaction, work, run)
            except _UnknownFateError as problem:
                if not await self._was_committed(problem.mark):
                    continue
                result = problem.result
            except asyncpg.PostgresError as problem:
                if is_over(problem):
                    self.on_over()
                    raise StoreUnavailable(OVER) from None
                if not isinstance(problem, REPEATED) and not is_missing_day(problem):
                    raise
                repeats += 1
                if repeats > REPEATS_MAX:
                    raise StoreUnavailable("transactions of several nodes get into each other's way") from None
                if is_missing_day(problem):
                    await self.make_days(transaction.days)
                continue
            self.commits += 1
            self.last_commit_seconds = self._clock.monotonic() - started
            return result

    async def _attempt(self, transaction: Transaction, work: Work[Result], held: int | None) -> Result:
        connection = transaction.connection
        mark = None if held is None else _Mark(held, self.writers.line(connection), next(self._numbers))
        finished: list[Result] = []
        try:
            await _begin(connection, mark)
            result = await work(transaction)
            finished.append(result)
            await run(connection, _SQL["commit"])
        except Exception as problem:
            if not out_of_reach(problem):
                await self._roll_back(connection)
                raise
            self.writers.drop(connection)
            self.failed(problem)
            if finished and mark is not None:
                raise _UnknownFateError(mark, finished[0]) from problem
            raise StoreUnavailable(sentence(problem)) from None
        except BaseException:
            self.writers.drop(connection)
            raise
        # Somebody ended the wait for the synchronous standby: then COMMIT succeeds, with a warning.
        warned = self.writers.warned(connection)
        self.writers.give(connection)
        if warned and mark is not None:
            raise _UnknownFateError(mark, result)
        return result

    async def _roll_back(self, connection: asyncpg.Connection) -> None:
        try:
            await run(connection, _SQL["rollback"])
        except Exception:  # noqa: BLE001 - a connection that can't do that is thrown away
            self.writers.drop(connection)
        else:
            self.writers.give(connection)

    async def _was_committed(self, mark: _Mark) -> bool:
        """What became of a transaction whose COMMIT was not answered; asked until it is answered.

        The question is a write: its own commit vouches that what it found is as safe as anything acknowledged. And it
        waits until nothing of the lost connection is under way any more.
        """
        while True:
            try:
                connection = await self._take(self.writers, whatever=True)
                try:
                    last = await fetch_value(connection, _SQL["fate"], run=mark.run, line=mark.line)
                except BaseException:
                    self.writers.drop(connection)
                    raise
                self.writers.give(connection)
                return bool(last == mark.number)
            except StoreUnavailable:
                if self.closed:
                    raise
            except Exception as problem:
                if not out_of_reach(problem):
                    raise
                self.failed(problem)
            await self._clock.sleep(FATE_PAUSE_SECONDS)

    # Reading

    async def ask(self, question: Callable[[asyncpg.Connection], Awaitable[Result]]) -> Result:
        """Answer a question on a reading connection. Raises StoreUnavailable."""
        connection = await self._take(self.readers)
        try:
            result = await question(connection)
        except Exception as problem:
            self.readers.drop(connection)
            if not out_of_reach(problem):
                raise
            self.failed(problem)
            raise StoreUnavailable(sentence(problem)) from None
        except BaseException:
            self.readers.drop(connection)
            raise
        self.readers.give(connection)
        return result

    async def _take(self, pool: Pool, whatever: bool = False) -> asyncpg.Connection:
        if self.closed:
            raise StoreUnavailable(CLOSED)
        if self.trouble is not None and not whatever:
            raise StoreUnavailable(self.trouble)
        try:
            connection = await pool.take()
        except StoreRefused as refused:
            self._note(refused.reason)
            raise StoreUnavailable(refused.reason) from None
        except Exception as problem:
            if not out_of_reach(problem):
                raise
            self.failed(problem)
            raise StoreUnavailable(sentence(problem)) from None
        if self._is_closed():
            pool.drop(connection)
            raise StoreUnavailable(CLOSED)
        return connection

    def _is_closed(self) -> bool:
        return self.closed

    # Days

    async def make_days(self, days: set[int]) -> None:
        """Make partitions, each in a transaction of its own, one node after the other."""
        for day in sorted(days):
            await self.transact(partial(_make_day, day=day))

    async def known_days(self) -> list[int]:
        """The days that have partitions."""
        return await self.ask(_days)

    async def drop_day(self, day: int) -> bool:
        """Drop a day in which nothing is left; false where something is, or others are in the way."""
        try:
            return await self.transact(lambda transaction: _drop_day(transaction, day))
        except (StoreUnavailable, asyncpg.PostgresError):
            return False

    # Trouble

    def failed(self, problem: BaseException) -> None:
        """Take note that the database can't be had, and look again until it can."""
        self._full = self._full or isinstance(problem, asyncpg.DiskFullError)
        self._note(sentence(problem))

    def _note(self, reason: str) -> None:
        if self.closed:
            return
        if self.trouble is None:
            logger.error("the database: %s", reason)
        self.trouble = reason
        if self._probe is None:
            self._probe = asyncio.get_running_loop().create_task(self._look_again())

    async def _look_again(self) -> None:
        try:
            while self.trouble is not None and not self.closed:
                await self._clock.sleep(PROBE_SECONDS)
                try:
                    await self._write_something()
                except StoreRefused as refused:
                    self.trouble = refused.reason
                except Exception as problem:
                    if not out_of_reach(problem):
                        logger.exception("looking at the database met a mistake")
                    self.trouble = sentence(problem)
                else:
                    logger.info("the database: it is well again")
                    self.trouble, self._full = None, False
                    for tell in self.on_well:
                        tell()
        finally:
            self._probe = None

    async def _write_something(self) -> None:
        """A row is written to disk: a full disk, a standby, a synchronous standby that is away show."""
        connection = await self.writers.take()
        try:
            await run(connection, _SQL["probe"])
            if self._full:
                await connection.execute(_SQL["probe_room"].text)
        except BaseException:
            self.writers.drop(connection)
            raise
        self.writers.give(connection)

    async def close(self) -> None:
        """Close all connections."""
        self.closed = True
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)
        await self.writers.close()
        await self.readers.close()

    def cut(self) -> None:
        """Drop everything as a crash would."""
        self.closed = True
        if self._probe is not None:
            self._probe.cancel()
        self.writers.cut()
        self.readers.cut()


class _UnknownFateError(Exception):
    """COMMIT was sent and not answered."""

    def __init__(self, mark: _Mark, result: Any) -> None:
        super().__init__(mark)
        self.mark = mark
        self.result = result


async def _begin(connection: asyncpg.Connection, mark: _Mark | None) -> None:
    if mark is None:
        await run(connection, _SQL["begin"])
    else:
        text = _SQL["begin_held"].text.format(run=mark.run, line=mark.line, number=mark.number)
        await connection.execute(text)


async def _days(connection: asyncpg.Connection) -> list[int]:
    return [day for (day,) in await fetch(connection, _SQL["days"])]


async def _make_day(transaction: Transaction, day: int) -> None:
    await run(transaction.connection, _SQL["lock_days"])
    await run(transaction.connection, _SQL["make_day"], day=day)


async def _drop_day(transaction: Transaction, day: int) -> bool:
    await run(transaction.connection, _SQL["short_waits"])
    await run(transaction.connection, _SQL["lock_days"])
    return bool(await fetch_value(transaction.connection, _SQL["drop_day"], day=day))
