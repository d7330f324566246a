"""Test sends: fresh, marked, recorded, one attempt, also to disabled endpoints, no trace in health or feed."""

import asyncio
from base64 import b64decode

import msgspec
import pytest

from tests.engine.desk import ACTOR, REFUSED, Desk, answer, opened_desk, until
from whatsync.engine.directory import RunningAccount
from whatsync.engine.rotation import RotationForm
from whatsync.engine.test_sends import Signing
from whatsync.model.catalogue import CATALOGUE, DOCUMENTED
from whatsync.model.delivery import State
from whatsync.model.endpoint import Format
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.errors import Invalid, NotFound, Unavailable
from whatsync.model.ids import delivery_row
from whatsync.model.outcome import Kind
from whatsync.model.signature import Signer, hex_signature
from whatsync.model.timestamp import format_time
from whatsync.ports.history import DeliveryQuery, DeliveryView
from whatsync.ports.sender import Request
from whatsync.sources.whatsapp.examples import NAMES

HOST = "shop.example"


async def delivery(desk: Desk, account: RunningAccount) -> DeliveryView:
    """The only delivery of the account."""
    (view,) = (await desk.store.deliveries(DeliveryQuery(account.row))).items
    return view


@pytest.mark.parametrize("name", CATALOGUE)
async def test_every_type_has_an_example_that_is_sent_fresh(name: str) -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        running = await desk.endpoint(account)
        sent = await desk.test_sends.send(account, running.endpoint.id, name)
        (request,) = desk.receivers.requests
        body = msgspec.json.decode(request.body)
        example = CATALOGUE[name].example
        assert body["event"] == name
        assert body["id"] != example["id"]
        assert body["id"].startswith(CATALOGUE[name].id_prefix)
        assert body["timestamp"] == format_time(desk.clock.ms)
        assert set(body["data"]) == set(example["data"])
        if name in DOCUMENTED:
            untimed = {key: value for key, value in example["data"].items() if key != "timestamp"}
            assert untimed.items() <= body["data"].items()
        if "timestamp" in body["data"]:
            assert body["data"]["timestamp"] == format_time(desk.clock.ms)
        assert b"\r\nX-WhatsSync-Test: true\r\n" in request.head
        assert f"X-WhatsSync-Delivery: {sent.delivery}\r\n".encode() in request.head
        assert sent.outcome.verdict.kind is Kind.SUCCESS


@pytest.mark.parametrize(("name", "listed"), [("message.incoming", "messages"), ("message.status", "statuses")])
async def test_an_endpoint_of_metas_format_is_tried_with_metas_shape(name: str, listed: str) -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        form = EndpointForm(
            url=f"https://{HOST}/bot", events=["message.incoming", "message.status"], format=Format.META
        )
        running = (await desk.endpoints.create(account, form, ACTOR)).running
        sent = await desk.test_sends.send(account, running.endpoint.id, name)
        (request,) = desk.receivers.requests
        body = msgspec.json.decode(request.body)
        assert body["object"] == "whatsapp_business_account"
        value = body["entry"][0]["changes"][0]["value"]
        assert value["metadata"]["phone_number_id"] == sent.event.number == "106540352242922"
        (element,) = value[listed]
        assert element["timestamp"] == str(desk.clock.ms // 1000)
        assert b"\r\nX-Hub-Signature-256: sha256=" in request.head
        assert b"\r\nX-WhatsSync-Test: true\r\n" in request.head


@pytest.mark.parametrize("name", ["whatsapp." + name for name in NAMES])
@pytest.mark.parametrize("format_", list(Format))
async def test_what_meta_says_beside_messages_is_tried_in_its_own_words(name: str, format_: Format) -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        form = EndpointForm(url=f"https://{HOST}/bot", events=[name], format=format_)
        running = (await desk.endpoints.create(account, form, ACTOR)).running
        sent = await desk.test_sends.send(account, running.endpoint.id, name)
        again = await desk.test_sends.send(account, running.endpoint.id, name)
        assert (sent.event.test, sent.event.type) == (True, name)
        assert sent.event.id != again.event.id
        request, _ = desk.receivers.requests
        assert b"\r\nX-WhatsSync-Test: true\r\n" in request.head
        body = msgspec.json.decode(request.body)
        if format_ is Format.META:
            assert body["object"] == "whatsapp_business_account"
            (change,) = body["entry"][0]["changes"]
            value, field = change["value"], change["field"]
        else:
            value, field = body["data"], name.removeprefix("whatsapp.")
            assert body["event"] == name
        assert field in (name.removeprefix("whatsapp."), "messages")
        assert value
        assert sent.event.number == value.get("metadata", {}).get("phone_number_id")


async def test_two_tests_are_two_events() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        running = await desk.endpoint(account)
        ids = {(await desk.test_sends.send(account, running.endpoint.id, "contact.update")).event.id for _ in range(2)}
        assert len(ids) == 2


async def test_an_own_type_is_sent_with_empty_data() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        running = await desk.endpoint(account)
        await desk.event_types.put(account, "order.created", "", ACTOR)
        await desk.test_sends.send(account, running.endpoint.id, "order.created")
        assert msgspec.json.decode(desk.receivers.requests[0].body)["data"] == {}


@pytest.mark.parametrize("name", ["order.created", "whatsapp.reactions", "*", ""])
async def test_a_type_without_an_example_is_refused(name: str) -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        running = await desk.endpoint(account)
        with pytest.raises(Invalid, match="GET /v1/event-types") as raised:
            await desk.test_sends.send(account, running.endpoint.id, name)
        assert raised.value.errors[0].field == "event"


async def test_details_are_shown_where_the_endpoint_asks_for_them() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        form = EndpointForm(url=f"https://{HOST}/", events=["*"], include_details=True, numbers=["42"])
        running = (await desk.endpoints.create(account, form, ACTOR)).running
        await desk.test_sends.send(account, running.endpoint.id, "message.incoming")
        (request,) = desk.receivers.requests
        assert msgspec.json.decode(request.body)["data"]["details"]["number"] == "42"
        assert b"\r\nX-WhatsSync-Number: 42\r\n" in request.head


@pytest.mark.parametrize("failure", [answer(500), answer(410), REFUSED])
async def test_a_failed_test_is_recorded_and_nothing_more(failure: object) -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        desk.receivers.answers[HOST] = failure  # type: ignore[assignment]
        running = await desk.endpoint(account)
        sent = await desk.test_sends.send(account, running.endpoint.id, "message.incoming")
        view = await delivery(desk, account)
        assert (view.state, view.attempts, view.code) == (State.FAILED, 1, sent.outcome.verdict.code)
        facts = await desk.endpoints.read(account, running.endpoint.id)
        assert facts.running.endpoint.enabled
        assert facts.health.failed_attempts == 0
        assert not desk.notices
        assert not desk.store.disk.health
        row = delivery_row(sent.delivery)
        assert row is not None
        (exchange,) = await desk.store.attempts(account.row, row)
        assert exchange.row.test
        desk.clock.advance(1000)
        await until(lambda: desk.dispatcher.in_flight == 0)
        assert len(desk.receivers.requests) == 1


async def test_a_good_test_does_not_clear_failures() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        desk.receivers.answers[HOST] = answer(500)
        running = await desk.endpoint(account)
        await desk.event(account)
        await until(lambda: desk.dispatcher.health(running.row).failed_attempts == 1)
        desk.receivers.answers.clear()
        await desk.test_sends.send(account, running.endpoint.id, "message.incoming")
        assert desk.dispatcher.health(running.row).failed_attempts == 1


async def test_a_disabled_endpoint_can_be_tested() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        running = await desk.endpoint(account)
        await desk.endpoints.patch(account, running.endpoint.id, EndpointForm(enabled=False), ACTOR)
        sent = await desk.test_sends.send(account, running.endpoint.id, "message.incoming")
        assert sent.outcome.verdict.kind is Kind.SUCCESS
        assert (await delivery(desk, account)).state is State.SUCCEEDED


async def test_a_test_does_not_wait_for_a_crowded_lane() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        held = desk.receivers.held[HOST] = asyncio.Event()
        form = EndpointForm(url=f"https://{HOST}/", events=["*"], max_in_flight=1)
        running = (await desk.endpoints.create(account, form, ACTOR)).running
        for text in ("a", "b", "c"):
            await desk.event(account, text)
        sending = asyncio.ensure_future(desk.test_sends.send(account, running.endpoint.id, "message.incoming"))
        requests = await desk.receivers.until(2)
        assert b"X-WhatsSync-Test: true" in requests[1].head
        held.set()
        assert (await sending).outcome.verdict.kind is Kind.SUCCESS


async def test_tests_stay_out_of_the_feed() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        running = await desk.endpoint(account)
        await desk.test_sends.send(account, running.endpoint.id, "message.incoming")
        events, _ = await desk.store.feed(account.row, 0, (), 10)
        assert events == ()


async def test_only_that_endpoint_gets_it() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        running = await desk.endpoint(account)
        await desk.endpoint(account, "https://other.example/")
        await desk.test_sends.send(account, running.endpoint.id, "message.incoming")
        assert [request.target.host for request in desk.receivers.requests] == [HOST]


async def test_a_caller_who_goes_away_does_not_lose_the_record() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        held = desk.receivers.held[HOST] = asyncio.Event()
        running = await desk.endpoint(account)
        sending = asyncio.ensure_future(desk.test_sends.send(account, running.endpoint.id, "message.incoming"))
        await desk.receivers.until(1)
        sending.cancel()
        held.set()
        await until(lambda: bool(desk.observed) and desk.dispatcher.recorder.unrecorded == 0)
        assert (await delivery(desk, account)).state is State.SUCCEEDED


async def test_nothing_is_sent_that_could_not_be_recorded() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        running = await desk.endpoint(account)
        desk.stage.broken = True
        with pytest.raises(Unavailable, match="disk is full"):
            await desk.test_sends.send(account, running.endpoint.id, "message.incoming")
        assert not desk.receivers.requests


async def test_a_record_that_takes_too_long_is_told_and_still_written() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        held = desk.receivers.held[HOST] = asyncio.Event()
        running = await desk.endpoint(account)
        sending = asyncio.ensure_future(desk.test_sends.send(account, running.endpoint.id, "message.incoming"))
        await desk.receivers.until(1)
        desk.stage.broken = True
        held.set()
        await until(lambda: len(desk.clock.sleepers) >= 2)
        desk.clock.advance(11)
        with pytest.raises(Unavailable, match="was sent"):
            await sending
        desk.stage.broken = False
        desk.clock.advance(11)
        await until(lambda: desk.dispatcher.recorder.unrecorded == 0)
        assert (await delivery(desk, account)).state is State.SUCCEEDED


async def test_another_accounts_endpoint_is_not_there() -> None:
    async with opened_desk() as desk:
        theirs, mine = await desk.account("Theirs"), await desk.account("Mine")
        running = await desk.endpoint(theirs)
        with pytest.raises(NotFound):
            await desk.test_sends.send(mine, running.endpoint.id, "message.incoming")
        assert not desk.receivers.requests


def signature(request: Request) -> str:
    """The one value that the public example compares."""
    return request.head.decode().partition("X-WhatsSync-Signature: ")[2].partition("\r\n")[0]


def standard_signatures(request: Request) -> list[str]:
    """The values of ``webhook-signature``."""
    return request.head.decode().partition("webhook-signature: ")[2].partition("\r\n")[0].split(" ")


async def test_a_test_can_be_signed_as_after_the_switch_or_forged() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        running = await desk.endpoint(account)
        old = account.keyring.secrets.current
        await desk.accounts.rotate_secret(account, RotationForm(), ACTOR)
        new = account.keyring.secrets.current
        for signing in (Signing.PRESENT, Signing.NEWEST, Signing.FORGED):
            await desk.test_sends.send(account, running.endpoint.id, "message.status", signing)
        present, newest, forged = desk.receivers.requests
        assert signature(present) == hex_signature(old, present.body)
        assert signature(newest) == hex_signature(new, newest.body)
        assert len(standard_signatures(newest)) == 2
        assert signature(forged) not in (hex_signature(old, forged.body), hex_signature(new, forged.body))
        assert len(standard_signatures(forged)) == 1
        known = Signer(new, (new, old))
        stamp = int(forged.head.decode().partition("webhook-timestamp: ")[2].partition("\r\n")[0])
        good = known.sign(msgspec.json.decode(forged.body)["id"], stamp, forged.body)[32:]
        assert b64decode(standard_signatures(forged)[0].removeprefix("v1,")) not in (good[:32], good[32:])
