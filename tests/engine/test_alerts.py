"""Alerts: who hears of what, once per change of state, tried a few times, without secrets or personal data."""

import msgspec

from tests.engine.counter import Counter, opened_counter
from tests.engine.desk import answer
from whatsync.engine.directory import RunningAccount, RunningEndpoint
from whatsync.engine.troubles import Troubles
from whatsync.engine.watch import Notice
from whatsync.model import limits
from whatsync.model.operational import NUMBER_QUIET_EXAMPLE, SOURCE_REJECTED_EXAMPLE
from whatsync.ports.mailer import MailRefused
from whatsync.ports.sender import Failure, Timing
from whatsync.ports.store import StoreState

CHAT = "https://chat.example/owner"


async def with_alerts(counter: Counter) -> tuple[RunningAccount, RunningEndpoint]:
    """An account that wants alerts by mail and chat."""
    account = await counter.account()
    endpoint = await counter.endpoint(account, "https://shop.example/hook?token=hidden")
    account.account = msgspec.structs.replace(
        account.account, alert_emails=("ops@shop.example", "boss@shop.example"), alert_url=counter.vault.seal(CHAT)
    )
    return account, endpoint


def failing(account: RunningAccount, endpoint: RunningEndpoint, id_: str = "evt_1", **more: object) -> Notice:
    """The notice of a failing endpoint."""
    data = {
        "endpointId": endpoint.endpoint.id,
        "url": endpoint.endpoint.url,
        "since": "2023-06-15T14:22:33Z",
        "failedAttempts": 3,
        "lastCode": "http_500",
        "lastError": "The receiver answered 500.",
        "disableAt": None,
        **more,
    }
    return Notice(account.row, "endpoint.failing", id_, data, endpoint.row)


async def chats(counter: Counter) -> dict[str, list[str]]:
    """What was said in each chat, by the path of its URL."""
    await counter.pass_time(120, 1)
    await counter.alerts.sent()
    said: dict[str, list[str]] = {}
    for request in counter.receivers.requests:
        if request.target.host == "chat.example":
            body = msgspec.json.decode(request.body)
            assert list(body) == ["text"]
            assert f"Content-Length: {len(request.body)}\r\n".encode() in request.head
            said.setdefault(request.target.request_target, []).append(body["text"])
    return said


async def test_owner_and_operator_hear_of_a_change_once() -> None:
    async with opened_counter() as counter:
        account, endpoint = await with_alerts(counter)
        for _ in range(3):
            counter.telling.tell(failing(account, endpoint))
        await counter.telling.told()
        said = await chats(counter)
        ((owner,), (operator,)) = said["/owner"], said["/operator?token=secret"]
        assert "is failing: 3 attempts have failed since 2023-06-15T14:22:33Z" in owner
        assert "https://shop.example/hook" in owner
        assert f"https://sync.example/endpoints/{endpoint.endpoint.id}" in owner
        assert account.account.id in operator
        assert "/hook" not in operator
        ((recipients, subject, text),) = counter.mailbox.mails
        assert recipients == ("ops@shop.example", "boss@shop.example")
        assert subject == "WhatsSync: an endpoint is failing"
        assert owner in text
        assert all("hidden" not in words for words in (owner, operator, text))


async def test_each_change_of_state_has_its_sentence() -> None:
    async with opened_counter() as counter:
        account, endpoint = await with_alerts(counter)
        first = failing(account, endpoint, disableAt="2023-06-20T14:22:33Z")
        data = {**first.data, "reason": "gone", "expiresAt": "2023-07-01T00:00:00Z", "retentionDays": 30}
        for at, word in enumerate(
            ("endpoint.failing", "endpoint.disabled", "endpoint.recovered", "delivery.expiring", "delivery.exhausted")
        ):
            counter.alerts.notify(msgspec.structs.replace(first, type=word, id=f"evt_{at}", data=data))
        ((text,),) = [lines for path, lines in (await chats(counter)).items() if path == "/owner"]
        lines = text.split("\n")
        assert [
            needle in line
            for needle, line in zip(
                ("disabled at 2023-06-20", "410 Gone", "has recovered", "end at 2023-07-01"), lines, strict=True
            )
        ] == [True] * 4


async def test_sources_and_numbers_have_their_sentences_too() -> None:
    async with opened_counter() as counter:
        account, _ = await with_alerts(counter)
        for example in (SOURCE_REJECTED_EXAMPLE, NUMBER_QUIET_EXAMPLE):
            counter.telling.tell(Notice(account.row, example["event"], example["id"], example["data"]))
        await counter.telling.told()
        (owner,) = (await chats(counter))["/owner"]
        assert "Source src_a2b3c4d5e6f7a2b3c4d5e6f7g2 is being refused: 12 requests since" in owner
        assert "Number 106540352242922 is quiet: nothing since 2023-06-15T11:58:02Z, where 240 are usual" in owner
        assert "/endpoints/" not in owner


async def test_what_changes_together_is_one_message() -> None:
    async with opened_counter() as counter:
        account, endpoint = await with_alerts(counter)
        for at in range(limits.ALERT_LINES_MAX + 5):
            counter.alerts.notify(failing(account, endpoint, f"evt_{at}"))
        ((text,),) = [lines for path, lines in (await chats(counter)).items() if path == "/owner"]
        assert text.count("is failing") == limits.ALERT_LINES_MAX
        assert "5 more changes" in text
        assert counter.mailbox.mails[0][1].endswith("and 24 more")


async def test_a_destination_in_trouble_is_tried_again_and_delays_no_other() -> None:
    async with opened_counter() as counter:
        account, endpoint = await with_alerts(counter)
        counter.receivers.answers["chat.example"] = answer(503)
        counter.mailbox.refusal = MailRefused("busy")
        counter.alerts.notify(failing(account, endpoint))
        await counter.pass_time(4)
        assert counter.mailbox.asked == 1
        counter.mailbox.refusal = None
        counter.receivers.answers.clear()
        said = await chats(counter)
        assert len(said["/owner"]) == 2
        assert len(counter.mailbox.mails) == 1


async def test_it_is_given_up_after_a_few_tries() -> None:
    async with opened_counter() as counter:
        account, endpoint = await with_alerts(counter)
        counter.receivers.answers["chat.example"] = Failure("timeout", "", Timing())
        counter.mailbox.refusal = MailRefused("no such recipient", lasting=True)
        counter.alerts.notify(failing(account, endpoint))
        await counter.pass_time(600, 5)
        assert len((await chats(counter))["/owner"]) == limits.ALERT_TRIES_MAX
        assert counter.mailbox.asked == 1
        counter.receivers.answers["chat.example"] = answer(404)
        counter.alerts.notify(failing(account, endpoint, "evt_2"))
        assert len((await chats(counter))["/owner"]) == limits.ALERT_TRIES_MAX + 1


async def test_accounts_hear_of_themselves_only() -> None:
    async with opened_counter() as counter:
        await with_alerts(counter)
        stranger = await counter.account("Other")
        endpoint = await counter.endpoint(stranger, "https://stranger.example/")
        counter.alerts.notify(failing(stranger, endpoint))
        assert set(await chats(counter)) == {"/operator?token=secret"}
        assert counter.mailbox.mails == []


async def test_without_any_destination_nothing_is_done() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        endpoint = await counter.endpoint(account)
        counter.alerts._operator_url = None
        counter.alerts.notify(failing(account, endpoint))
        counter.alerts.trouble("something")
        assert counter.alerts._tasks == {}


async def test_trouble_is_told_once_and_so_is_its_end() -> None:
    async with opened_counter() as counter:
        told: list[str] = []
        good = counter.store.state()
        state: list[StoreState] = [good]
        counter.store.state = lambda: state[0]  # type: ignore[method-assign]
        troubles = Troubles(store=counter.store, dispatcher=counter.dispatcher, clock=counter.clock, tell=told.append)
        await troubles.look()
        assert told == []
        bad = msgspec.structs.replace(good, writable=False, reason="disk full", free_bytes=limits.FREE_DISK_BYTES_MIN)
        for now in (bad, bad, good, good):
            state[0] = now
            await troubles.look()
        assert ["disk full" in told[0], "MiB of disk" in told[1], len(told)] == [True, True, 4]
        assert troubles.standing == {}


async def test_a_disk_at_its_border_does_not_flicker() -> None:
    async with opened_counter() as counter:
        told: list[str] = []
        good = counter.store.state()
        free = [0]
        counter.store.state = lambda: msgspec.structs.replace(good, free_bytes=free[0])  # type: ignore[method-assign]
        troubles = Troubles(store=counter.store, dispatcher=counter.dispatcher, clock=counter.clock, tell=told.append)
        border = limits.FREE_DISK_BYTES_MIN * 2
        for free[0] in (border - 1, border + 1, border - 1, border + 1):
            await troubles.look()
        assert len(told) == 1


async def test_healthy_endpoints_kept_waiting_are_trouble_and_failing_ones_are_not() -> None:
    async with opened_counter() as counter:
        told: list[str] = []
        troubles = Troubles(store=counter.store, dispatcher=counter.dispatcher, clock=counter.clock, tell=told.append)
        account = await counter.account()
        lane = counter.dispatcher.lane(await counter.endpoint(account))
        lane.next_due_ms = counter.clock.ms
        counter.clock.advance(limits.OLDEST_DUE_SECONDS_MAX + 1)
        lane.health = msgspec.structs.replace(lane.health, failures_in_a_row=5)
        await troubles.look()
        assert told == []
        lane.health = msgspec.structs.replace(lane.health, failures_in_a_row=0)
        await troubles.look()
        assert len(told) == 1
        lane.next_due_ms = None
        await troubles.look()
        assert len(told) == 2
