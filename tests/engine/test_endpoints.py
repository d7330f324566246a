"""Endpoints as their owners handle them: made, read, changed, enabled, deleted, and never across accounts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from tests.engine.desk import ACTOR, Desk, answer, opened_desk, until
from tests.patience import PATIENCE_SECONDS
from whatsync.engine.rotation import RotationForm
from whatsync.model import limits
from whatsync.model.account_form import AccountForm, LimitsForm
from whatsync.model.delivery import State
from whatsync.model.endpoint import DisabledBy, Release
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.errors import Conflict, Invalid, LimitExceeded, NotFound, Unavailable
from whatsync.model.health import Health
from whatsync.model.request import MASK
from whatsync.ports.history import DeliveryQuery

HOST = "shop.example"


def form(**fields: Any) -> EndpointForm:
    """A form as it comes from JSON."""
    return msgspec.convert(fields, EndpointForm)


async def states(desk: Desk, account: int) -> list[State]:
    """The states of an account's deliveries, oldest first."""
    page = await desk.store.deliveries(DeliveryQuery(account, ascending=True))
    return [view.state for view in page.items]


async def settled(desk: Desk) -> None:
    """Let the sweep finish."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await desk.sweep.settled()


async def test_a_new_endpoint_gets_the_next_event() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        facts = await desk.endpoints.create(
            account, form(url=f"https://{HOST}/hook?a=b", events=["*"], headers={"X-Key": "hunter2"}), ACTOR
        )
        assert facts.running.endpoint.id.startswith("ep_")
        assert facts.counts is not None
        assert (facts.counts.waiting, facts.counts.held) == (0, 0)
        await desk.event(account)
        request = (await desk.receivers.until(1))[0]
        assert request.head.startswith(b"POST /hook?a=b HTTP/1.1\r\n")
        assert b"\r\nX-Key: hunter2\r\n" in request.head


async def test_header_values_are_sealed_and_never_in_the_audit_log() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        made = await desk.endpoints.create(
            account,
            form(url=f"https://{HOST}/", events=["*"], headers={"X-Key": "hunter2"}, secret="generate"),
            ACTOR,
        )
        secret = (await desk.endpoints.secret(account, made.running.endpoint.id, ACTOR)).current
        await desk.endpoints.patch(account, made.running.endpoint.id, form(headers={"X-Key": "hunter3"}), ACTOR)
        on_disk = desk.configuration_on_disk()
        for plain in ("hunter2", "hunter3", secret):
            assert plain.encode() not in on_disk
        assert MASK.encode() in on_disk
        actions = [entry.action for entry in await desk.store.audit(account.row, None, 10)]
        assert actions == ["endpoint.changed", "endpoint.secret_shown", "endpoint.created"]


async def test_the_mask_keeps_a_stored_header_and_what_is_left_out_goes() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        made = await desk.endpoints.create(
            account, form(url=f"https://{HOST}/", events=["*"], headers={"X-One": "1", "X-Two": "2"}), ACTOR
        )
        name = made.running.endpoint.id
        await desk.endpoints.patch(account, name, form(headers={"x-one": MASK, "X-Three": "3"}), ACTOR)
        assert desk.endpoints.find(account, name).headers == {"x-one": "1", "X-Three": "3"}


async def test_a_patch_changes_only_what_it_names_and_null_is_the_default() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        made = await desk.endpoints.create(
            account, form(url=f"https://{HOST}/", events=["*"], timeoutSeconds=3, description="old"), ACTOR
        )
        before = made.running
        desk.clock.advance(60)
        altered = await desk.endpoints.patch(
            account, before.endpoint.id, form(timeoutSeconds=None, maxInFlight=3), ACTOR
        )
        after = altered.facts.running
        assert after.version == before.version + 1
        assert after.endpoint == msgspec.structs.replace(
            before.endpoint, timeout_seconds=None, max_in_flight=3, updated_ms=desk.clock.ms
        )
        assert altered.held is None
        same = await desk.endpoints.patch(account, before.endpoint.id, form(maxInFlight=3), ACTOR)
        assert same.facts.running.version == after.version


async def test_a_version_that_is_not_there_any_more_is_a_conflict() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        running = await desk.endpoint(account)
        name, version = running.endpoint.id, running.version
        await desk.endpoints.patch(account, name, form(description="one"), ACTOR, version)
        with pytest.raises(Conflict):
            await desk.endpoints.patch(account, name, form(description="two"), ACTOR, version)
        with pytest.raises(Conflict):
            await desk.endpoints.delete(account, name, ACTOR, version)


async def test_changes_at_the_same_time_are_all_kept() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        name = (await desk.endpoint(account)).endpoint.id
        forms = [form(description="x"), form(maxInFlight=3), form(timeoutSeconds=4)]
        await asyncio.gather(*(desk.endpoints.patch(account, name, one, ACTOR) for one in forms))
        endpoint = desk.endpoints.find(account, name).endpoint
        assert (endpoint.description, endpoint.max_in_flight, endpoint.timeout_seconds) == ("x", 3, 4.0)


async def test_pages_are_newest_first() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        names = [(await desk.endpoint(account)).endpoint.id for _ in range(3)]
        first, after = desk.endpoints.page(account, limit=2)
        last, end = desk.endpoints.page(account, after, 2)
        assert [facts.running.endpoint.id for facts in first + last] == names[::-1]
        assert end is None


async def test_an_account_has_only_so_many() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await desk.accounts.patch(account, AccountForm(limits=LimitsForm(endpoints=1)), ACTOR)
        await desk.endpoint(account)
        with pytest.raises(LimitExceeded, match="1 endpoints"):
            await desk.endpoint(account)


@pytest.mark.parametrize("url", ["http://localhost:8600/", "http://a.localhost/", "http://[::1]/", "http://10.1.2.3/"])
async def test_an_address_that_would_be_refused_is_refused_at_once(url: str) -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        with pytest.raises(Invalid, match="WHATSYNC_ALLOW_ADDRESSES=") as raised:
            await desk.endpoints.create(account, form(url=url, events=["*"]), ACTOR)
        assert raised.value.errors[0].field == "url"


async def test_disabling_holds_and_enabling_decides() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        desk.receivers.answers[HOST] = answer(500)
        running = await desk.endpoint(account)
        name = running.endpoint.id
        await desk.event(account)
        await until(lambda: len(desk.observed) == 1)
        altered = await desk.endpoints.patch(account, name, form(enabled=False), ACTOR)
        assert altered.held is None
        assert altered.facts.running.endpoint.disabled_by is DisabledBy.USER
        await settled(desk)
        assert await states(desk, account.row) == [State.HELD]
        kept = await desk.endpoints.patch(account, name, form(enabled=True), ACTOR)
        assert kept.held is not None
        assert (kept.held.action, kept.held.count) == (Release.KEEP, 1)
        assert "stays held" in kept.held.sentence
        await settled(desk)
        assert await states(desk, account.row) == [State.HELD]
        desk.receivers.answers.clear()
        sent = await desk.endpoints.patch(account, name, form(held="send"), ACTOR)
        assert sent.held is not None
        assert sent.held.sentence == "1 held delivery will be sent now, oldest first."
        await settled(desk)
        await desk.receivers.until(2)
        assert desk.endpoints.find(account, name).endpoint.release is None


async def test_dropping_cancels_what_is_held_now_and_nothing_later() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        desk.receivers.held[HOST] = asyncio.Event()
        running = await desk.endpoint(account)
        name = running.endpoint.id
        await desk.endpoints.patch(account, name, form(maxInFlight=1), ACTOR)
        for text in ("a", "b"):
            await desk.event(account, text)
        await desk.receivers.until(1)
        await desk.endpoints.patch(account, name, form(enabled=False), ACTOR)
        await settled(desk)
        assert await states(desk, account.row) == [State.HELD, State.HELD]
        dropped = await desk.endpoints.patch(account, name, form(enabled=True, held="drop"), ACTOR)
        assert dropped.held is not None
        assert dropped.held.sentence == "2 held deliveries will be cancelled."
        await settled(desk)
        assert await states(desk, account.row) == [State.CANCELLED, State.CANCELLED]
        desk.receivers.held.pop(HOST).set()
        await desk.event(account, "c")
        await desk.receivers.until(2)
        assert len(desk.receivers.requests) == 2


async def test_held_needs_an_enabled_endpoint() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        name = (await desk.endpoint(account)).endpoint.id
        await desk.endpoints.patch(account, name, form(enabled=False), ACTOR)
        with pytest.raises(Invalid, match="held"):
            await desk.endpoints.patch(account, name, form(held="send"), ACTOR)
        with pytest.raises(Invalid, match="held"):
            await desk.endpoints.create(account, form(url=f"https://{HOST}/", events=["*"], held="send"), ACTOR)


async def test_a_short_pause_loses_nothing_that_was_queued() -> None:
    """Deliveries that were in memory when the lane closed are found again, even if the sweep had no turn meanwhile."""
    async with opened_desk() as desk:
        account = await desk.account()
        desk.receivers.held[HOST] = asyncio.Event()
        name = (await desk.endpoint(account)).endpoint.id
        await desk.endpoints.patch(account, name, form(maxInFlight=1), ACTOR)
        for number in range(5):
            await desk.event(account, str(number))
        await desk.receivers.until(1)
        desk.configuration.on_endpoint.remove(desk.sweep.look)
        await desk.endpoints.patch(account, name, form(enabled=False), ACTOR)
        await desk.endpoints.patch(account, name, form(enabled=True), ACTOR)
        desk.receivers.held.pop(HOST).set()
        await until(lambda: not desk.store.disk.open_of_endpoint.get(desk.endpoints.find(account, name).row))
        assert await states(desk, account.row) == [State.SUCCEEDED] * 5


async def test_deleting_cancels_what_is_open_and_keeps_the_history() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        desk.receivers.answers[HOST] = answer(503)
        running = await desk.endpoint(account)
        await desk.event(account)
        await until(lambda: len(desk.observed) == 1)
        await desk.endpoints.delete(account, running.endpoint.id, ACTOR)
        await settled(desk)
        page = await desk.store.deliveries(DeliveryQuery(account.row))
        assert [(view.state, view.reason) for view in page.items] == [(State.CANCELLED, "endpoint deleted")]
        with pytest.raises(NotFound):
            desk.endpoints.find(account, running.endpoint.id)


async def test_deleting_after_a_restart_cancels_what_came_since() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        name = (await desk.endpoint(account)).endpoint.id
    async with opened_desk(desk.store.disk) as again:
        same = again.directory.accounts[account.row]
        again.receivers.answers[HOST] = answer(500)
        await again.event(same)
        await until(lambda: len(again.observed) == 1)
        await again.endpoints.delete(same, name, ACTOR)
        await settled(again)
        assert await states(again, account.row) == [State.CANCELLED]


async def test_the_engine_disables_once_and_tells_once() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        running = await desk.endpoint(account)
        for _ in range(3):
            desk.endpoints.disable_soon(running, DisabledBy.FAILING)
        await desk.endpoints.disabled()
        endpoint = desk.endpoints.find(account, running.endpoint.id).endpoint
        assert (endpoint.enabled, endpoint.disabled_by) == (False, DisabledBy.FAILING)
        assert await desk.endpoints.disable(running.row, DisabledBy.GONE) is False
        assert [(notice.type, notice.data["reason"]) for notice in desk.notices] == [("endpoint.disabled", "failing")]
        assert [entry.actor for entry in await desk.store.audit(account.row, None, 1)] == ["engine"]


async def test_410_disables_and_holds() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        desk.receivers.answers[HOST] = answer(410)
        name = (await desk.endpoint(account)).endpoint.id
        await desk.event(account)
        await until(lambda: not desk.endpoints.find(account, name).endpoint.enabled)
        await settled(desk)
        assert desk.endpoints.find(account, name).endpoint.disabled_by is DisabledBy.GONE
        assert await states(desk, account.row) == [State.HELD]


async def test_disabling_is_tried_until_it_is_on_disk() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        running = await desk.endpoint(account)
        desk.stage.broken = True
        desk.endpoints.disable_soon(running, DisabledBy.FAILING)
        await until(lambda: bool(desk.clock.sleepers))
        assert desk.endpoints.find(account, running.endpoint.id).endpoint.enabled
        desk.stage.broken = False
        desk.clock.advance(1)
        await desk.endpoints.disabled()
        assert not desk.endpoints.find(account, running.endpoint.id).endpoint.enabled
        assert len(desk.notices) == 1


async def test_enabling_forgets_failures_also_after_a_restart() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        desk.receivers.answers[HOST] = answer(500)
        running = await desk.endpoint(account)
        name = running.endpoint.id
        await desk.event(account)
        await until(lambda: desk.dispatcher.recorder.unrecorded == 0 and len(desk.observed) == 1)
        assert (await desk.endpoints.read(account, name)).health.failed_attempts == 1
        await desk.endpoints.patch(account, name, form(enabled=False), ACTOR)
        await desk.endpoints.patch(account, name, form(enabled=True), ACTOR)
        assert (await desk.endpoints.read(account, name)).health == Health()
        await desk.dispatcher.recorder.drained()
        assert desk.store.disk.health[running.row] == Health()


async def test_a_change_that_can_not_be_written_changes_nothing() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        running = await desk.endpoint(account)
        desk.stage.broken = True
        with pytest.raises(Unavailable, match="disk is full"):
            await desk.endpoints.patch(account, running.endpoint.id, form(description="x"), ACTOR)
        assert desk.endpoints.find(account, running.endpoint.id).endpoint == running.endpoint
        desk.stage.broken = False


async def test_nothing_is_shown_or_changed_across_accounts() -> None:
    async with opened_desk() as desk:
        theirs, mine = await desk.account("Theirs"), await desk.account("Mine")
        running = await desk.endpoint(theirs)
        name = running.endpoint.id
        service = desk.endpoints
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: service.read(mine, name),
            lambda: service.patch(mine, name, form(enabled=False), ACTOR),
            lambda: service.delete(mine, name, ACTOR),
            lambda: service.secret(mine, name, ACTOR),
            lambda: service.rotate_secret(mine, name, RotationForm(), ACTOR),
            lambda: service.switch_secret(mine, name, ACTOR),
            lambda: desk.test_sends.send(mine, name, "message.incoming"),
        ]
        for call in calls:
            with pytest.raises(NotFound):
                await call()
        with pytest.raises(NotFound):
            service.find(mine, name)
        assert service.page(mine) == ([], None)
        assert service.find(theirs, name).endpoint == running.endpoint
        assert not desk.receivers.requests
        assert len(desk.store.disk.audit) == 3


def test_the_limits_of_endpoints_are_those_of_the_contract() -> None:
    assert (limits.REQUEST_TIMEOUT_SECONDS_MIN, limits.REQUEST_TIMEOUT_SECONDS_MAX) == (1, 30)


async def test_a_caller_who_goes_away_leaves_nothing_half_done() -> None:
    """The lane closes and the sweep holds, though nobody waits for the answer of the change any more."""
    async with opened_desk() as desk:
        account = await desk.account()
        desk.receivers.answers[HOST] = answer(500)
        running = await desk.endpoint(account)
        await desk.event(account)
        await until(lambda: len(desk.observed) == 1)
        hold = desk.stage.hold = asyncio.Event()
        changing = asyncio.ensure_future(desk.endpoints.patch(account, running.endpoint.id, form(enabled=False), ACTOR))
        await until(lambda: desk.stage.waiting)
        changing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await changing
        hold.set()
        await until(lambda: [one.state for one in desk.store.disk.deliveries.values()] == [State.HELD])
        assert desk.dispatcher.lanes[running.row].closed
