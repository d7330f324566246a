"""Gathers calls while commits are under way and hands them over together: a call that finds a free place goes at once,
what comes meanwhile goes as one batch. Nobody waits for company, and there is no timer.

Knows no verb. A batch that can't be written for a reason of its own is split until the guilty call stands alone.
"""

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from whatsync.ports.store import StoreUnavailable

PATIENCE_SECONDS = 5.0
SLOW = StoreUnavailable("PostgreSQL does not answer in time; the same request again, with the same id, is safe")

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class _Call(msgspec.Struct, Generic[Item]):
    item: Item
    weight: int
    answer: "Future[Any]"


class Batches(Generic[Item, Answer]):
    """One kind of call. ``write`` gets a batch and answers each item in order, or says that it was not written.

    Whoever may do the same again (``hurried``) waits no longer than PATIENCE_SECONDS once a batch has begun: he is told
    that the database does not answer, and so are those behind him. ``late`` gets what was answered only after that.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | StoreUnavailable]]],
        places: int,
        weight_max: int,
        hurried: Callable[[Item], bool] = lambda _item: False,
        late: Callable[[Item], None] = lambda _item: None,
    ) -> None:
        self._write = write
        self._hurried = hurried
        self._late = late
        self._places = places
        self._weight_max = weight_max
        self._waiting: deque[_Call[Item]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._slow: set[int] = set()
        self._scheduled = False
        self._free = asyncio.Event()
        self._free.set()
        self.operations = 0

    @property
    def queued(self) -> int:
        """Calls that no batch has taken yet."""
        return len(self._waiting)

    @property
    def slow(self) -> bool:
        """Whether a batch is under way that takes longer than anybody should wait for."""
        return bool(self._slow)

    def hold(self) -> None:
        """Begin no batch until ``go_on``."""
        self._free.clear()

    def go_on(self) -> None:
        """Begin batches again."""
        self._free.set()
        self._schedule()

    def put(self, item: Item, weight: int) -> "Future[Answer]":
        """Hand a call over."""
        answer: Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(item, weight, answer))
        self._schedule()
        return answer

    def fail(self, problem: StoreUnavailable) -> None:
        """Tell everybody who waits that nothing was written."""
        while self._waiting:
            _fail(self._waiting.popleft(), problem)

    async def drained(self) -> None:
        """Return when nothing waits and nothing is under way."""
        while self._tasks or self._waiting:
            if self._tasks:
                await asyncio.wait(set(self._tasks))
            else:
                await asyncio.sleep(0)

    def cancel(self) -> None:
        """Drop everything as a crash would."""
        for task in self._tasks:
            task.cancel()
        for call in self._waiting:
            call.answer.cancel()
        self._waiting.clear()

    def _schedule(self) -> None:
        # What one turn of the loop brings goes together.
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._scheduled = False
        while self._waiting and len(self._tasks) < self._places and self._free.is_set():
            task = asyncio.get_running_loop().create_task(self._work(self._take()))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._schedule()

    def _take(self) -> list[_Call[Item]]:
        calls: list[_Call[Item]] = []
        weight = 0
        while self._waiting and (not calls or weight + self._waiting[0].weight <= self._weight_max):
            call = self._waiting.popleft()
            weight += call.weight
            calls.append(call)
        return calls

    async def _work(self, calls: Sequence[_Call[Item]]) -> None:
        patience = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._hurry, calls)
        try:
            await self._write_all(calls)
        finally:
            patience.cancel()
            self._slow.discard(id(calls))

    def _hurry(self, calls: Sequence[_Call[Item]]) -> None:
        """Whoever need not wait any longer does not; the batch goes on."""
        self._slow.add(id(calls))
        for call in calls:
            if self._hurried(call.item):
                _fail(call, SLOW)
        waiting = list(self._waiting)
        self._waiting.clear()
        for call in waiting:
            if self._hurried(call.item):
                _fail(call, SLOW)
            else:
                self._waiting.append(call)

    async def _write_all(self, calls: Sequence[_Call[Item]]) -> None:
        try:
            answers = await self._write([call.item for call in calls])
        except StoreUnavailable as problem:
            for call in calls:
                _fail(call, problem)
        except Exception as problem:  # noqa: BLE001 - the guilty call's caller gets it
            if len(calls) == 1:
                _fail(calls[0], problem)
                return
            middle = len(calls) // 2
            await self._write_all(calls[:middle])
            await self._write_all(calls[middle:])
        except asyncio.CancelledError:
            for call in calls:
                call.answer.cancel()
            raise
        else:
            self.operations += len(calls)
            for call, answer in zip(calls, answers, strict=True):
                if call.answer.done():
                    self._late(call.item)
                _answer(call, answer)


def _answer(call: _Call[Any], answer: object) -> None:
    if isinstance(answer, StoreUnavailable):
        _fail(call, answer)
    elif not call.answer.done():
        call.answer.set_result(answer)


def _fail(call: _Call[Any], problem: Exception) -> None:
    if not call.answer.done():
        call.answer.set_exception(problem)
