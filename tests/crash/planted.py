"""``python planted.py BUG serve``: the real server with one bug planted, which the SIGKILL rung must find.
Nothing but its tests imports this."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from whatsync.cli.app import main
from whatsync.engine.attempt import Attempter
from whatsync.engine.claiming import Claiming
from whatsync.engine.ingest import Ingest
from whatsync.ports.store import Accepted, AcceptResult, Admission, AttemptRow, HealthRow, Recorded
from whatsync.store.sqlite import opening
from whatsync.store.sqlite.store import SqliteStore


def acknowledge_first() -> None:
    """202 before the commit, which comes a moment later."""
    accept = SqliteStore.accept

    def hasty(self: SqliteStore, admission: Admission) -> "asyncio.Future[AcceptResult]":
        def write() -> None:
            accept(self, admission).add_done_callback(lambda written: written.exception())

        loop = asyncio.get_running_loop()
        loop.call_later(0.1, write)
        answer: asyncio.Future[AcceptResult] = loop.create_future()
        answer.set_result(Accepted())
        return answer

    SqliteStore.accept = hasty  # type: ignore[method-assign]


def forget_outcomes() -> None:
    """Every fifth outcome is never written."""
    record = SqliteStore.record

    def forgetful(
        self: SqliteStore, attempts: Sequence[AttemptRow], health: Sequence[HealthRow] = ()
    ) -> "asyncio.Future[Recorded]":
        return record(self, [row for row in attempts if (row.delivery >> 10) % 5], health)

    SqliteStore.record = forgetful  # type: ignore[method-assign]


def take_back_too_much() -> None:
    """What has succeeded is taken back with the claims when the store opens."""
    begin_run = opening.begin_run

    def generous(session: Any, now_ms: int, version: str) -> Any:
        session.db.execute(
            "UPDATE delivery SET state = 0, in_flight = 0, queued = 1, at_ms = ? WHERE id IN"
            " (SELECT id FROM delivery WHERE state = 1 ORDER BY id LIMIT 3)",
            (now_ms,),
        )
        return begin_run(session, now_ms, version)

    opening.begin_run = generous


def retry_early() -> None:
    """What was tried before is tried again long before its time."""
    claim, note_due = SqliteStore.claim, Claiming.note_due

    async def impatient(self: SqliteStore, endpoint: int, now_ms: int, limit: int, early: bool = False) -> Any:
        return await claim(self, endpoint, now_ms + 3_000, limit, early)

    def hasty(self: Claiming, lane: Any, due_ms: int | None) -> None:
        note_due(self, lane, None if due_ms is None else due_ms - 3_000)

    SqliteStore.claim = impatient  # type: ignore[method-assign]
    Claiming.note_due = hasty  # type: ignore[method-assign]


def ignore_order() -> None:
    """Deliveries of ordered endpoints are made like all others."""
    delivery = Ingest._delivery

    def unordered(self: Ingest, *arguments: Any) -> Any:
        row, place = delivery(self, *arguments)
        return replace(row, contact=None), place

    Ingest._delivery = unordered  # type: ignore[assignment,method-assign]


def sign_the_old_body() -> None:
    """Now and then the body is changed after it was signed."""
    request = Attempter._request

    def tampering(self: Attempter, claimed: Any, *arguments: Any) -> Any:
        made, signatures = request(self, claimed, *arguments)
        if (claimed.id >> 10) % 7 == 0:
            made = replace(made, body=made.body.replace(b'"media":null', b'"media":1234'))
        return made, signatures

    Attempter._request = tampering  # type: ignore[assignment,method-assign]


BUGS: dict[str, Callable[[], None]] = {
    "202 before the commit": acknowledge_first,
    "outcomes forgotten": forget_outcomes,
    "too much taken back": take_back_too_much,
    "retry early": retry_early,
    "order ignored": ignore_order,
    "body changed after signing": sign_the_old_body,
}

if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    main()
