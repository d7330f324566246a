"""The hook around commits of the store in memory: what a simulator can do to it, and that nothing slips through."""

import asyncio

import pytest

from whatsync.model.ids import Sequence
from whatsync.ports.store import Accepted, AcceptResult, Admission, EventRow, StoreUnavailable
from whatsync.store.memory import Disk, MemoryStore

NOW_MS = 1_800_000_000_000


class Hook:
    """Writes the stages down and does at each what it was told to."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.failing: list[str] = []
        """Stages at which the disk fails, each once."""
        self.gates: dict[str, asyncio.Event] = {}
        """Stages that wait until something is let through."""

    async def __call__(self, stage: str) -> None:
        self.stages.append(stage)
        if stage in self.gates:
            await self.gates[stage].wait()
        if stage in self.failing:
            self.failing.remove(stage)
            raise StoreUnavailable("the disk fails")


class Rows:
    """Makes events."""

    def __init__(self) -> None:
        self.sequence = Sequence()

    def admission(self, id_: str) -> Admission:
        return Admission(1, 0, (EventRow(self.sequence.next(NOW_MS), 1, id_, "own.type", b"{}"),), ())


async def opened(hook: Hook, disk: Disk | None = None) -> MemoryStore:
    store = MemoryStore(disk, hook)
    await store.open(NOW_MS, "1")
    hook.stages.clear()
    return store


async def test_each_commit_is_announced_before_and_after() -> None:
    hook = Hook()
    store = await opened(hook)
    assert await store.accept(Rows().admission("a")) == Accepted()
    await store.claim(1, NOW_MS, 10)
    assert hook.stages == ["before accept", "after accept", "before claim", "after claim"]


async def test_what_waits_becomes_one_commit() -> None:
    hook, rows = Hook(), Rows()
    store = await opened(hook)
    hook.gates["before accept"] = asyncio.Event()
    first = store.accept(rows.admission("a"))
    await asyncio.sleep(0)
    rest = [store.accept(rows.admission(id_)) for id_ in "bc"]
    recorded = store.record([])
    hook.gates["before accept"].set()
    assert await asyncio.gather(first, *rest) == [Accepted()] * 3
    await recorded
    assert hook.stages == ["before accept", "after accept", "before accept record", "after accept record"]
    state = store.state()
    assert (state.commits, state.operations, state.queued) == (3, 5, 0)


async def test_nothing_is_there_before_and_everything_after() -> None:
    hook = Hook()
    store = await opened(hook)
    hook.gates = {"before accept": asyncio.Event(), "after accept": asyncio.Event()}
    answer = store.accept(Rows().admission("a"))
    await asyncio.sleep(0)
    assert await store.event(1, "a") is None
    hook.gates["before accept"].set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await store.event(1, "a") is not None
    assert not answer.done()
    hook.gates["after accept"].set()
    assert await answer == Accepted()


async def test_a_failure_before_writes_nothing() -> None:
    hook, rows = Hook(), Rows()
    store = await opened(hook)
    hook.failing = ["before accept"]
    with pytest.raises(StoreUnavailable):
        await store.accept(rows.admission("a"))
    assert await store.event(1, "a") is None
    assert await store.accept(rows.admission("a")) == Accepted()


async def test_an_unknown_fate_is_cleared_up_before_anyone_is_answered() -> None:
    hook, rows = Hook(), Rows()
    store = await opened(hook)
    hook.failing = ["after accept", "after accept"]
    assert await store.accept(rows.admission("a")) == Accepted()
    assert hook.stages == ["before accept", "after accept", "after accept", "after accept"]
    assert len(store.disk.events) == 1


@pytest.mark.parametrize(("stage", "survives"), [("before accept", False), ("after accept", True)])
async def test_a_crash_keeps_what_was_committed(stage: str, survives: bool) -> None:
    """The old store never moves again, and even if it did it could not write."""
    hook, rows = Hook(), Rows()
    old = await opened(hook)
    hook.gates[stage] = asyncio.Event()
    lost: asyncio.Future[AcceptResult] = old.accept(rows.admission("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    new = await opened(Hook(), old.disk)
    assert (await new.event(1, "a") is not None) == survives
    hook.gates[stage].set()
    if survives:
        await lost
    else:
        with pytest.raises(StoreUnavailable):
            await lost
    with pytest.raises(StoreUnavailable):
        await old.accept(rows.admission("b"))
    assert len(new.disk.events) == survives


async def test_a_bug_in_one_step_fails_its_caller_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    hook, rows = Hook(), Rows()
    store = await opened(hook)

    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(store, "apply_claim", broken)
    claiming = asyncio.ensure_future(store.claim(1, NOW_MS, 10))
    await asyncio.sleep(0)
    accepting = store.accept(rows.admission("a"))
    with pytest.raises(KeyError):
        await claiming
    assert await accepting == Accepted()


def test_it_works_on_any_loop() -> None:
    """Nothing is kept from one loop to the next."""
    disk, rows = Disk(), Rows()
    for id_ in ("a", "b"):

        async def work(id_: str = id_) -> None:
            store = await opened(Hook(), disk)
            await store.accept(rows.admission(id_))
            await store.close()

        asyncio.run(work())
    assert len(disk.events) == 2
    assert disk.runs == ["1", "1"]
