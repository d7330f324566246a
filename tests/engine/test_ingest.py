"""Accepting: idempotency, routing, receipts, limits, and what happens when the store can't write."""

import asyncio
import json
from typing import Any

import pytest

from tests.engine.desk import ACTOR, Desk, opened_desk, until
from tests.patience import PATIENCE_SECONDS
from whatsync.engine.directory import RunningAccount
from whatsync.engine.receipt import Receipt
from whatsync.model import limits
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.errors import Conflict, Invalid, LimitExceeded, TooLarge, Unavailable
from whatsync.ports.history import DeliveryQuery
from whatsync.ports.store import Idempotency

MESSAGE = {"event": "message.incoming", "data": {"from": "+491", "to": "+492", "text": "hi"}}


def body(*events: dict[str, Any]) -> bytes:
    return json.dumps(events[0] if len(events) == 1 else list(events)).encode()


async def accept(desk: Desk, account: RunningAccount, *events: dict[str, Any], key: str | None = None) -> list[Receipt]:
    raw = body(*events)
    idempotency = None if key is None else Idempotency(key, raw[:16])
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await desk.ingest.accept(account, raw, idempotency)


async def endpoint(desk: Desk, account: RunningAccount, host: str, **fields: Any) -> str:
    form = EndpointForm(**{"url": f"https://{host}/hook", "events": ["*"], **fields})
    return (await desk.endpoints.create(account, form, ACTOR)).running.endpoint.id


async def test_the_same_id_and_content_is_one_event() -> None:
    async with opened_desk() as desk:
        account = await desk.account("one")
        await endpoint(desk, account, "a.example")
        first = await accept(desk, account, {**MESSAGE, "id": "x1"})
        desk.clock.advance(60)
        again = await accept(desk, account, {**MESSAGE, "id": "x1"})
        assert (first[0].repeated, again[0].repeated) == (False, True)
        assert (again[0].timestamp, again[0].deliveries) == (first[0].timestamp, 1)
        assert len(await desk.receivers.until(1)) == 1


async def test_the_same_id_with_other_content_is_refused_and_nothing_of_the_request_is_written() -> None:
    async with opened_desk() as desk:
        account = await desk.account("one")
        await accept(desk, account, {**MESSAGE, "id": "x1"})
        other = {**MESSAGE, "id": "x1", "data": {"from": "+499", "to": "+492", "text": "hi"}}
        with pytest.raises(Conflict) as caught:
            await accept(desk, account, {**MESSAGE, "id": "x2"}, other)
        assert caught.value.errors[0].field == "[1].id"
        assert await desk.store.event(account.row, "x2") is None


async def test_an_array_may_hold_what_was_accepted_before() -> None:
    async with opened_desk() as desk:
        account = await desk.account("one")
        await accept(desk, account, {**MESSAGE, "id": "x1"})
        receipts = await accept(desk, account, {**MESSAGE, "id": "x1"}, {**MESSAGE, "id": "x2"})
        assert [(one.id, one.repeated) for one in receipts] == [("x1", True), ("x2", False)]


async def test_a_key_gives_the_first_answer_again() -> None:
    async with opened_desk() as desk:
        account = await desk.account("one")
        first = await accept(desk, account, MESSAGE, MESSAGE, key="k")
        again = await accept(desk, account, MESSAGE, MESSAGE, key="k")
        assert [one.id for one in again] == [one.id for one in first]
        assert all(one.repeated for one in again)


async def test_a_key_gives_the_whole_first_answer_where_some_events_were_known_before_it() -> None:
    async with opened_desk() as desk:
        account = await desk.account("one")
        await accept(desk, account, {**MESSAGE, "id": "x1"})
        mixed = ({**MESSAGE, "id": "x1"}, MESSAGE, {**MESSAGE, "id": "x3"})
        first = await accept(desk, account, *mixed, key="k")
        again = await accept(desk, account, *mixed, key="k")
        assert [one.id for one in again] == [one.id for one in first]
        assert again[0].id == "x1"


async def test_a_key_used_for_another_request_is_refused() -> None:
    async with opened_desk() as desk:
        account = await desk.account("one")
        await accept(desk, account, MESSAGE, key="k")
        with pytest.raises(Invalid) as caught:
            await desk.ingest.accept(account, body(MESSAGE), Idempotency("k", b"other"))
        assert caught.value.code == "idempotency_key_reused"


async def test_a_key_of_a_request_that_brought_nothing_new_is_kept_all_the_same() -> None:
    async with opened_desk() as desk:
        account = await desk.account("one")
        event = {**MESSAGE, "id": "x1"}
        await accept(desk, account, event)
        for _ in range(2):
            receipts = await accept(desk, account, event, key="k")
            assert [(receipt.id, receipt.repeated) for receipt in receipts] == [("x1", True)]
        with pytest.raises(Invalid) as caught:
            await desk.ingest.accept(account, body({**MESSAGE, "id": "x2"}), Idempotency("k", b"other"))
        assert caught.value.code == "idempotency_key_reused"
        assert await desk.store.event(account.row, "x2") is None


async def test_an_endpoint_made_before_is_never_missed() -> None:
    """The change and the events are under way at the same time; what is accepted after the change includes it."""
    async with opened_desk() as desk:
        account = await desk.account("one")
        desk.stage.hold = asyncio.Event()
        making = asyncio.ensure_future(endpoint(desk, account, "a.example"))
        await until(lambda: desk.stage.waiting)
        accepting = desk.ingest.accept(account, body({**MESSAGE, "id": "late"}))
        desk.stage.hold.set()
        desk.stage.hold = None
        await making
        receipts = await accepting
        assert receipts[0].deliveries == 1
        assert len(await desk.receivers.until(1)) == 1


async def test_numbers_and_filters_decide() -> None:
    async with opened_desk() as desk:
        account = await desk.account("one")
        await endpoint(desk, account, "all.example")
        await endpoint(desk, account, "n1.example", numbers=["n1"])
        await endpoint(desk, account, "read.example", filters={"message.status": {"status": ["read"]}})
        status = {"event": "message.status", "data": {"messageId": "msg_1", "status": "sent"}}
        assert (await accept(desk, account, status))[0].deliveries == 1
        numbered = {**status, "details": {"number": "n1"}}
        assert (await accept(desk, account, numbered))[0].deliveries == 2
        read = {"event": "message.status", "data": {"messageId": "msg_1", "status": "read"}}
        assert (await accept(desk, account, read))[0].deliveries == 2


async def test_statuses_of_an_ordered_endpoint_belong_to_their_messages_contact() -> None:
    async with opened_desk() as desk:
        account = await desk.account("one")
        await endpoint(desk, account, "a.example", ordering="contact")
        await accept(desk, account, {**MESSAGE, "id": "msg_1"})
        await desk.receivers.until(1)
        await accept(
            desk, account, {"event": "message.status", "id": "s1", "data": {"messageId": "msg_1", "status": "read"}}
        )
        page = await desk.store.deliveries(DeliveryQuery(account.row))
        assert all(view.ordered for view in page.items)
        event = await desk.store.event(account.row, "s1")
        assert event is not None
        assert event.contact == "+491"


async def test_too_many_deliveries_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_desk() as desk:
        account = await desk.account("one")
        await endpoint(desk, account, "a.example")
        monkeypatch.setattr(limits, "DELIVERIES_PER_REQUEST_MAX", 2)
        with pytest.raises(TooLarge, match="fewer events"):
            await accept(desk, account, MESSAGE, MESSAGE, MESSAGE)
        assert desk.dispatcher.budget.deliveries_held == 0
        assert (await accept(desk, account, MESSAGE))[0].deliveries == 1


async def test_a_disk_that_fails_answers_unavailable_and_recovers() -> None:
    async with opened_desk() as desk:
        account = await desk.account("one")
        await endpoint(desk, account, "a.example")
        desk.stage.broken = True
        with pytest.raises(Unavailable, match="disk is full"):
            await accept(desk, account, {**MESSAGE, "id": "x1"})
        assert desk.dispatcher.budget.deliveries_held == 0
        desk.stage.broken = False
        assert not (await accept(desk, account, {**MESSAGE, "id": "x1"}))[0].repeated
        assert len(await desk.receivers.until(1)) == 1


async def test_events_a_second_are_limited_and_the_wait_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACCOUNT_EVENTS_PER_SECOND", 2)
    async with opened_desk() as desk:
        account = await desk.account("one")
        for _ in range(4):
            await accept(desk, account, MESSAGE)
        with pytest.raises(LimitExceeded, match="2 events a second") as caught:
            await accept(desk, account, MESSAGE)
        with pytest.raises(LimitExceeded):  # Before it is read: who is over the limit costs no work.
            desk.ingest.accept(account, b"no JSON")
        desk.clock.advance(caught.value.retry_after_seconds)
        await accept(desk, account, MESSAGE)


@pytest.mark.takes_apart
async def test_a_mistake_after_the_commit_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened_desk() as desk:
        account = await desk.account("one")

        def mistaken(*_: object) -> None:
            raise RuntimeError("a mistake of ours")

        monkeypatch.setattr(desk.ingest, "hand_over", mistaken)
        with pytest.raises(RuntimeError, match="a mistake of ours"):
            await accept(desk, account, MESSAGE)
