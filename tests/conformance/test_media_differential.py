"""The same random work with media on every store: the same answers, and the same rows at the end."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.clerk import ACCOUNT, DAY, MINUTE, OTHER, START_MS, Clerk
from tests.conformance.places import PLACES
from whatsync.model import limits
from whatsync.ports.media import MediaOutcome, MediaRow, MediaState
from whatsync.ports.store import Admission

NAMES = [f"file_{number}" for number in range(6)]
Step = tuple[str, int, int]
VERBS = (
    "come",
    "come",
    "come",
    "claim",
    "claim",
    "record",
    "record",
    "remove",
    "prune",
    "pass_time",
    "go_back",
    "reopen",
)


class Actor:
    """Carries steps out on one store."""

    def __init__(self, clerk: Clerk) -> None:
        self.clerk = clerk
        self.claimed: list[MediaRow] = []

    async def do(self, step: Step) -> Any:
        verb, a, b = step
        return await getattr(self, verb)(a, b)

    async def come(self, a: int, b: int) -> Any:
        """An event with up to two files."""
        account = (ACCOUNT, OTHER)[b % 2]
        event = self.clerk.event(account, id=f"evt_{a % 4}" if b % 5 == 0 else f"evt_new_{self.clerk.sequence.next(1)}")
        rows = tuple(
            MediaRow(
                NAMES[(a + more) % len(NAMES)],
                account,
                event.seq,
                f"media_{a}",
                self.clerk.now,
                MediaState(b % 3),
                due_ms=self.clerk.now + (a % 3) * MINUTE if b % 3 == 0 else None,
                task=b"task",
            )
            for more in range(b % 3)
        )
        return type(await self.clerk.store.accept(Admission(account, 0, (event,), (), media=rows))).__name__

    async def claim(self, a: int, b: int) -> Any:
        now = self.clerk.now
        held = {(ACCOUNT, OTHER)[a % 2]: b % 3}
        found = await self.clerk.store.claim_media(now, now + (1 + b % 3) * MINUTE, 1 + a % 5, held, (a + b) % 3)
        self.claimed += found.rows
        return found

    async def record(self, a: int, b: int) -> Any:
        """Outcomes of up to two claims, some of them old ones."""
        outcomes = [
            MediaOutcome(
                row.name,
                row.claim,
                MediaState(b % 4),
                self.clerk.now,
                due_ms=self.clerk.now + a * MINUTE if a % 3 == 0 else None,
                mime_type=("image/png", None)[a % 2],
                size=b,
                reason=("why", None)[b % 2],
            )
            for row in self.claimed[a % 5 :: 3][:2]
        ]
        return await self.clerk.store.record_media(outcomes)

    async def remove(self, a: int, b: int) -> Any:
        names = [NAMES[a % len(NAMES)], NAMES[b % len(NAMES)]]
        await self.clerk.store.remove_media((ACCOUNT, OTHER)[b % 2], names, "erased", self.clerk.now)

    async def prune(self, a: int, b: int) -> Any:
        before_ms = self.clerk.now - (a % 2) * DAY
        cursor: int | None = 0
        while cursor is not None:
            account = (ACCOUNT, OTHER)[b % 2]
            cursor = (await self.clerk.store.prune(account, before_ms, cursor, 1 + b % 4, self.clerk.now)).cursor

    async def pass_time(self, a: int, b: int) -> Any:
        self.clerk.now += (a * 1_000, b * MINUTE, a * DAY)[b % 3]

    async def go_back(self, a: int, b: int) -> Any:
        """The clock goes back, and what it had planned is planned anew."""
        self.clerk.now = max(START_MS, self.clerk.now - (a * MINUTE, a * DAY)[b % 2])
        after: tuple[int, str] | None = (self.clerk.now, "")
        steps = []
        while after is not None:
            after = await self.clerk.store.replan_media(self.clerk.now, after, 1 + b % 3)
            steps.append(after)
        return steps

    async def reopen(self, a: int, _b: int) -> Any:
        await self.clerk.reopen(crash=a % 2 == 0)

    async def everything(self) -> list[MediaRow | None]:
        return [await self.clerk.history.media(name) for name in NAMES]


async def played(name: str, steps: list[Step]) -> list[Any]:
    """Everything a store answered to the steps, and what it holds at the end."""
    with tempfile.TemporaryDirectory() as folder:
        place = PLACES[name](Path(folder))
        await place.open(START_MS)
        actor = Actor(Clerk(place))
        answers = [await actor.do(step) for step in steps]
        answers.append(await actor.everything())
        await place.close()
    return answers


number = st.integers(0, 40)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(VERBS), number, number), max_size=40))
def test_every_store_does_the_same(steps: list[Step]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Few files and accounts are a flood here.
        patch.setattr(limits, "MEDIA_DUE_LOOKED_AT", len(steps) % 4)
        patch.setattr(limits, "MEDIA_ACCOUNTS_LOOKED_AT", 1 + len(steps) % 2)
        wanted, *others = (asyncio.run(played(name, steps)) for name in sorted(PLACES))
    for found in others:
        assert found == wanted
