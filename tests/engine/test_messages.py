"""A message's whole story and its verdict, for each way a message can have gone."""

import pytest

from tests.engine.counter import Counter, opened_counter
from tests.engine.desk import ACTOR, answer
from whatsync.engine.directory import RunningAccount
from whatsync.model import limits
from whatsync.model.delivery import State
from whatsync.model.endpoint import Why
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.ids import delivery_id

DOWN = "down.example"
WAMID = "wamid.HBgLMTIzNDU2Nzg5MBUCABIYFjNB"


async def verdict(counter: Counter, account: RunningAccount, message_id: str) -> str:
    """The code of a message's verdict, which must come with sentences."""
    told = (await counter.messages.read(account, message_id)).verdict
    assert told.sentence.endswith(".")
    assert told.next_step.endswith(".")
    return told.code


async def test_delivered() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        await counter.endpoint(account)
        message_id = await counter.event(account, "Hello there")
        await counter.settled(account, 1)
        story = await counter.messages.read(account, message_id)
        assert story.verdict.code == "delivered"
        assert (story.direction, story.contact, story.text) == ("incoming", "+1234567890", "Hello there")
        assert [entry.why for entry in story.endpoints] == [None]
        assert [len(entry.deliveries) for entry in story.endpoints] == [1]


async def test_not_received() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        assert await verdict(counter, account, "msg_unknown") == "not_received"
        assert (await counter.messages.read(account, "msg_unknown")).direction is None


async def test_on_its_way_then_failed_then_delivered() -> None:
    async with opened_counter() as counter:
        counter.receivers.answers[DOWN] = answer(500)
        account = await counter.account()
        endpoint = await counter.endpoint(account, f"https://{DOWN}/")
        message_id = await counter.event(account)
        await counter.settled(account, 1, State.RETRYING)
        assert await verdict(counter, account, message_id) == "waiting"
        assert "once" in (await counter.messages.read(account, message_id)).verdict.sentence
        for _ in range(2):
            await counter.pass_time(60, 5)
        await counter.settled(account, 1, State.FAILED)
        told = (await counter.messages.read(account, message_id)).verdict
        assert (told.code, "500" in told.sentence) == ("delivery_failed", True)
        counter.receivers.answers.clear()
        await counter.deliveries.resend(account, message_id, endpoint.endpoint.id)
        await counter.settled(account, 1)
        assert await verdict(counter, account, message_id) == "delivered"


async def test_held_then_expired() -> None:
    async with opened_counter() as counter:
        counter.receivers.answers[DOWN] = answer(500)
        account = await counter.account()
        endpoint = await counter.endpoint(account, f"https://{DOWN}/")
        message_id = await counter.event(account)
        await counter.settled(account, 1, State.RETRYING)
        await counter.enable(endpoint, False)
        assert await verdict(counter, account, message_id) == "held"
        told = (await counter.messages.read(account, message_id)).verdict
        assert told.sentence == f"It is held for https://{DOWN}/: that endpoint is paused."
        delivery = counter.store.disk.deliveries[(await counter.views(account))[0].id]
        counter.store.disk.move(delivery, State.CANCELLED)
        delivery.reason = "retention"
        assert await verdict(counter, account, message_id) == "expired"


async def test_a_sentence_calls_an_endpoint_by_its_description_and_says_where_it_is() -> None:
    name, url = "Orders, new shop", f"https://{DOWN}/"
    async with opened_counter() as counter:
        counter.receivers.answers[DOWN] = answer(500)
        account = await counter.account()
        form = EndpointForm(url=url, events=["*"], description=f" {name}\n", retry_schedule=[5])
        endpoint = (await counter.endpoints.create(account, form, ACTOR)).running.endpoint

        async def told(message_id: str) -> str:
            return (await counter.messages.read(account, message_id)).verdict.sentence

        one = await counter.event(account)
        await counter.settled(account, 1, State.RETRYING)
        assert (await told(one)).startswith(f"{name} ({url}) has failed once so far")
        counter.clock.advance(10)
        await counter.settled(account, 1, State.FAILED)
        assert f"every attempt at {name} ({url}) failed." in await told(one)
        two = await counter.event(account)
        await counter.settled(account, 1, State.RETRYING)
        long = EndpointForm(enabled=False, description="The long story of what this endpoint is for,\n" * 4)
        await counter.endpoints.patch(account, endpoint.id, long, ACTOR)
        assert await told(two) == (
            "It is held for The long story of what this endpoint is for, The long story of what this …"
            f" ({url}): that endpoint is paused."
        )
        await counter.endpoints.patch(account, endpoint.id, EndpointForm(description=name), ACTOR)
        counter.clock.advance(60)
        three = await counter.messages.read(account, await counter.event(account))
        assert f"no endpoint wanted it: {name} ({url}) was disabled." in three.verdict.sentence
        assert three.verdict.next_step.startswith(f"Enable {name} ({url}); then")


async def failing(counter: Counter) -> tuple[RunningAccount, str]:
    """An account whose message waits for its next try, and that message's id."""
    counter.receivers.answers[DOWN] = answer(500)
    account = await counter.account()
    await counter.endpoint(account, f"https://{DOWN}/")
    message_id = await counter.event(account)
    await counter.settled(account, 1, State.RETRYING)
    return account, message_id


async def test_cancelled_says_why() -> None:
    async with opened_counter() as counter:
        account, message_id = await failing(counter)
        await counter.deliveries.cancel(account, delivery_id((await counter.views(account))[0].id))
        told = (await counter.messages.read(account, message_id)).verdict
        assert (told.code, "cancelled by request" in told.sentence) == ("delivery_failed", True)


async def test_what_was_cancelled_by_an_erasure_is_not_to_be_resent() -> None:
    async with opened_counter() as counter:
        account, message_id = await failing(counter)
        await counter.jobs.start(account, "erase", counter.erasure.parameters("+1234567890", None), ACTOR)
        await counter.settled(account, 1, State.CANCELLED)
        told = (await counter.messages.read(account, message_id)).verdict
        assert (told.code, "was erased" in told.sentence) == ("delivery_failed", True)
        assert "esend" not in told.next_step


async def test_one_endpoint_in_trouble_outweighs_others_that_are_well() -> None:
    async with opened_counter() as counter:
        counter.receivers.answers[DOWN] = answer(500)
        account = await counter.account()
        await counter.endpoint(account)
        await counter.once(account)
        message_id = await counter.event(account)
        await counter.settled(account, 1)
        await counter.settled(account, 1, State.FAILED)
        told = (await counter.messages.read(account, message_id)).verdict
        assert told.code == "delivery_failed"
        assert "1 of 2 endpoints" in told.sentence


async def test_without_any_endpoint() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        message_id = await counter.event(account)
        assert await verdict(counter, account, message_id) == "no_endpoint"


async def test_each_endpoint_that_got_nothing_has_its_reason() -> None:
    async with opened_counter() as counter:
        account = await counter.account()

        async def make(name: str, **form: object) -> str:
            made = EndpointForm(url=f"https://{name}.example/", **form)  # type: ignore[arg-type]
            return (await counter.endpoints.create(account, made, ACTOR)).running.endpoint.id

        other = await make("other", events=["contact.update"])
        filtered = await make("filtered", events=["*"], numbers=["106540352242922"])
        off = await make("off", events=["*"], enabled=False)
        counter.clock.advance(60)
        message_id = await counter.event(account)
        counter.clock.advance(60)
        later = await make("later", events=["*"])
        story = await counter.messages.read(account, message_id)
        assert {entry.id: entry.why for entry in story.endpoints} == {
            other: Why.NOT_SUBSCRIBED,
            filtered: Why.FILTERED,
            off: Why.DISABLED,
            later: Why.CREATED_LATER,
        }
        told = story.verdict
        assert told.code == "no_endpoint"
        reasons = told.sentence.partition(": ")[2].split("; ")
        assert reasons[0].startswith("https://filtered.example/ filters it out")
        assert reasons[1:] == [
            "https://off.example/ was disabled",
            "https://later.example/ was made later",
            "and 1 more.",
        ]
        assert told.next_step.startswith("Enable https://off.example/; then resend")


async def test_who_made_an_endpoint_later_is_not_told_to_change_it() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        message_id = await counter.event(account)
        counter.clock.advance(60)
        for name, events in (("other", ["contact.update"]), ("later", ["*"])):
            form = EndpointForm(url=f"https://{name}.example/", events=events)
            await counter.endpoints.create(account, form, ACTOR)
        told = (await counter.messages.read(account, message_id)).verdict
        assert told.code == "no_endpoint"
        assert told.next_step.startswith("Resend the event to https://")


async def test_the_reason_is_that_of_the_messages_time() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        form = EndpointForm(url="https://shop.example/", events=["contact.update"])
        endpoint = (await counter.endpoints.create(account, form, ACTOR)).running
        counter.clock.advance(60)
        message_id = await counter.event(account)
        counter.clock.advance(60)
        await counter.endpoints.patch(account, endpoint.endpoint.id, EndpointForm(events=["*"]), ACTOR)
        (entry,) = (await counter.messages.read(account, message_id)).endpoints
        assert entry.why is Why.NOT_SUBSCRIBED


async def status(counter: Counter, account: RunningAccount, message_id: str, word: str, **details: object) -> str:
    """One status of a message, as WhatsApp reports it."""
    given = {"number": "106540352242922", "wamid": WAMID, "recipient": "+1234567890", **details}
    data = {"messageId": message_id, "status": word}
    return await counter.submit(account, event="message.status", data=data, details=given)


async def test_statuses_of_an_outgoing_message_in_order() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        await counter.endpoint(account)
        for word in ("sent", "delivered", "read"):
            counter.clock.advance(1)
            await status(counter, account, "msg_out", word)
        await counter.settled(account, 3)
        for name in ("msg_out", WAMID):
            story = await counter.messages.read(account, name)
            assert (story.id, story.wamid, story.direction) == ("msg_out", WAMID, "outgoing")
            assert [entry.status for entry in story.statuses] == ["sent", "delivered", "read"]
            assert (story.contact, story.number) == ("+1234567890", "106540352242922")
            assert story.verdict.code == "delivered"


async def test_whatsapp_failed_tells_its_error_in_words() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        await counter.endpoint(account)
        error = {"code": 131047, "title": "Re-engagement message", "explanation": "Send a template instead."}
        await status(counter, account, "msg_out", "failed", error=error)
        await counter.settled(account, 1)
        told = (await counter.messages.read(account, "msg_out")).verdict
        assert told.code == "whatsapp_failed"
        assert "131047" in told.sentence
        assert "Re-engagement message" in told.sentence
        assert told.next_step == "Send a template instead."


async def test_media_of_the_message_and_after_it() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        media = {"mediaType": "image", "mediaUrl": "https://m.example/1", "mimeType": "image/jpeg", "caption": "One"}
        data = {"from": "+1234567890", "to": "+0987654321", "media": media}
        message_id = await counter.submit(account, event="message.incoming", data=data)
        await counter.submit(account, event="media.upload", data={"messageId": message_id, "mediaType": "video"})
        story = await counter.messages.read(account, message_id)
        assert [(entry.media_type, entry.caption) for entry in story.media] == [("image", "One"), ("video", None)]


async def test_messages_of_a_person_newest_first_each_once() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        first = await counter.event(account, "one")
        counter.clock.advance(1)
        await status(counter, account, "msg_out", "sent")
        counter.clock.advance(1)
        second = await counter.event(account, "two")
        counter.clock.advance(1)
        await status(counter, account, "msg_out", "read")
        page = await counter.messages.page(account, "+1 234 567890")
        assert [message.id for message in page.items] == ["msg_out", second, first]
        assert page.next is None
        walked: list[str] = []
        before = None
        while True:
            page = await counter.messages.page(account, "+1234567890", before, 1)
            walked += [message.id for message in page.items]
            before = page.next
            if before is None:
                break
        assert walked == ["msg_out", second, first]
        assert [message.id for message in (await counter.messages.page(account)).items] == [second, first]


async def test_messages_are_found_by_words_of_their_text_and_by_numbers_without_a_country() -> None:
    async with opened_counter() as counter:
        account, other = await counter.account(), await counter.account()
        first = await counter.event(account, "Is the blue jacket still there?")
        counter.clock.advance(1)
        data = {"from": "+4915199999999", "to": "+49", "text": "A Blue umbrella, please", "media": None}
        second = await counter.submit(account, event="message.incoming", data=data)
        await counter.event(other, "Their blue jacket")

        async def found(words: str, *place: int) -> list[str]:
            return [one.id for one in (await counter.messages.page(account, words, *place)).items]

        assert await found("blue") == [second, first]
        assert await found("jacket BLUE") == [first]
        assert await found("0151 99999999") == await found("015199999999") == await found("151 9999-9999") == [second]
        for unknown in ("+015199999999", "0152 99999999", "msg_blue", "wamid.blue", "blue parasol"):
            assert await found(unknown) == [], unknown
        page = await counter.messages.page(account, "blue", limit=1)
        assert [one.id for one in page.items] == [second]
        assert await found("blue", page.next or 0) == [first]


async def test_a_search_that_has_a_bound_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEARCH_EVENTS_MAX", 2)
    async with opened_counter() as counter:
        account = await counter.account()
        for text in "abc":
            await counter.event(account, text)
        page = await counter.messages.page(account, "+1234567890")
        assert (len(page.items), page.next) == (2, None)
        assert page.searched_to_ms is not None


async def test_a_time_is_looked_at_however_much_came_since(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEARCH_EVENTS_MAX", 2)
    async with opened_counter() as counter:
        account = await counter.account()
        first = await counter.event(account, "a")
        then = counter.clock.now_ms()
        await counter.pass_time(60, 1)
        for text in "bcd":
            await counter.event(account, text)
        assert first not in [one.id for one in (await counter.messages.page(account, "+1234567890")).items]
        page = await counter.messages.page(account, "+1234567890", since_ms=then - 1_000, until_ms=then + 1_000)
        assert [one.id for one in page.items] == [first]


async def test_a_brief_list_names_only_endpoints_that_count() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        unwanted = await counter.event(account, "nobody")
        await counter.endpoint(account)
        for n in range(5):
            form = EndpointForm(url=f"https://other{n}.example/", events=["contact.update"])
            await counter.endpoints.create(account, form, ACTOR)
        wanted = await counter.event(account, "wanted")
        await counter.settled(account, 1)
        brief = {one.id: one for one in (await counter.messages.page(account, brief=True)).items}
        whole = {one.id: one for one in (await counter.messages.page(account)).items}
        assert {name: one.verdict.code for name, one in brief.items()} == {
            name: one.verdict.code for name, one in whole.items()
        }
        assert [len(brief[wanted].endpoints), len(whole[wanted].endpoints)] == [1, 6]
        assert [len(brief[unwanted].endpoints), len(whole[unwanted].endpoints)] == [3, 6]


async def test_nothing_crosses_accounts() -> None:
    async with opened_counter() as counter:
        account, stranger = await counter.account(), await counter.account("Other")
        await counter.endpoint(stranger, "https://stranger.example/")
        message_id = await counter.event(account)
        await status(counter, account, message_id, "read")
        for name in (message_id, WAMID):
            story = await counter.messages.read(stranger, name)
            assert (story.verdict.code, story.statuses, story.endpoints) == ("not_received", (), ())
        for q in (message_id, WAMID, "+1234567890", None):
            assert (await counter.messages.page(stranger, q)).items == ()
