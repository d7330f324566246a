"""What is shown of events, deliveries and attempts: true to what was sent, findable by every word, secrets masked."""

import shlex

import msgspec
import pytest

from tests.engine.counter import Counter, opened_counter
from tests.engine.desk import ACTOR, OK, REFUSED, answer
from whatsync import __version__
from whatsync.engine.directory import RunningAccount
from whatsync.engine.inspection import DeliveryFilter, EventFilter
from whatsync.model import limits
from whatsync.model.delivery import State
from whatsync.model.endpoint import Ordering
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.errors import Invalid, NotFound
from whatsync.model.ids import delivery_id
from whatsync.model.request import MASK

DOWN = "down.example"
DETAILS = {"number": "106540352242922", "wamid": "wamid.HBgL=", "contactId": "contact_7", "profileName": "Ann"}


async def ids(counter: Counter, account: RunningAccount, **wanted: object) -> list[str]:
    """Events of the deliveries that a filter finds, newest first."""
    page = await counter.inspection.deliveries(account, DeliveryFilter(**wanted))  # type: ignore[arg-type]
    return [story.view.event_id for story in page.items]


async def event_ids(counter: Counter, account: RunningAccount, **wanted: object) -> list[str]:
    """Events that a filter finds, newest first."""
    page = await counter.inspection.events(account, EventFilter(**wanted))  # type: ignore[arg-type]
    return [event.id for event in page.items]


async def filled(counter: Counter) -> tuple[RunningAccount, list[str]]:
    """An account with a good and a bad endpoint and three events."""
    counter.receivers.answers[DOWN] = answer(503)
    account = await counter.account()
    await counter.endpoint(account)
    await counter.once(account)
    made = [await counter.event(account, "Alpha order")]
    counter.clock.advance(60)
    made.append(
        await counter.submit(
            account,
            event="message.status",
            data={"messageId": made[0], "status": "read"},
            details={**DETAILS, "recipient": "+1 (234) 567-890"},
        )
    )
    counter.clock.advance(60)
    data = {"contactId": "contact_7", "phone": "+1234567890", "name": "Beta"}
    made.append(await counter.submit(account, event="contact.update", data=data))
    await counter.settled(account, 3)
    await counter.settled(account, 3, State.FAILED)
    return account, made


async def test_each_filter_finds_what_it_says() -> None:
    async with opened_counter() as counter:
        account, (message, status, contact) = await filled(counter)
        good, bad = [running.endpoint.id for running in account.endpoints.values()]
        middle = counter.clock.ms - 60_000
        for wanted, found in (
            ({"endpoint": good}, [contact, status, message]),
            ({"endpoint": bad, "event": "message.status"}, [status]),
            ({"number": "106540352242922", "endpoint": good}, [status]),
            ({"states": (State.FAILED,)}, [contact, status, message]),
            ({"states": (State.HELD,)}, []),
            ({"code": "http_503", "since_ms": middle}, [contact, status]),
            ({"code": "http_500"}, []),
            ({"endpoint": good, "since_ms": middle, "until_ms": middle + 1}, [status]),
            ({"event_id": message}, [message, message]),
            ({"event_id": "msg_unknown"}, []),
            ({"test": True}, []),
            ({"test": False, "endpoint": good, "event": "contact.update"}, [contact]),
        ):
            assert await ids(counter, account, **wanted) == found, wanted


@pytest.mark.parametrize(
    "q",
    ["{message}", "wamid.HBgL=", "contact_7", "+1234567890", "1234567890", " +1 234-567 890 ", "alpha ORDER", "Beta"],
)
async def test_exact_words_and_texts_find_their_events(q: str) -> None:
    async with opened_counter() as counter:
        account, (message, status, contact) = await filled(counter)
        good = next(iter(account.endpoints.values())).endpoint.id
        expected = {
            "{message}": [status, message],
            "wamid.HBgL=": [status],
            "contact_7": [contact, status],
            "alpha ORDER": [message],
            "Beta": [contact],
        }.get(q, [contact, status, message])
        words = q.format(message=message)
        assert await ids(counter, account, q=words, endpoint=good) == expected
        assert await event_ids(counter, account, q=words) == expected


async def test_a_delivery_is_found_by_its_own_id() -> None:
    async with opened_counter() as counter:
        account, _ = await filled(counter)
        wanted = (await counter.views(account))[2]
        page = await counter.inspection.deliveries(account, DeliveryFilter(q=delivery_id(wanted.id)))
        assert [story.view.id for story in page.items] == [wanted.id]


async def test_pages_go_on_where_the_one_before_ended() -> None:
    async with opened_counter() as counter:
        account, _ = await filled(counter)
        found: list[int] = []
        before = None
        while True:
            page = await counter.inspection.deliveries(account, DeliveryFilter(), before, 4)
            found += [story.view.id for story in page.items]
            before = page.next
            if before is None:
                break
        assert found == [view.id for view in reversed(await counter.views(account))]


async def test_a_search_says_how_far_it_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAGE_BODIES_EXAMINED_MAX", 2)
    async with opened_counter() as counter:
        account, _ = await filled(counter)
        page = await counter.inspection.deliveries(account, DeliveryFilter(q="nowhere at all"))
        assert page.items == ()
        assert page.next is not None
        assert page.searched_to_ms is not None


async def test_an_exact_word_with_too_many_events_says_how_far_it_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEARCH_EVENTS_MAX", 2)
    async with opened_counter() as counter:
        account, _ = await filled(counter)
        reached = counter.clock.ms - 60_000
        page = await counter.inspection.deliveries(account, DeliveryFilter(q="+1234567890"))
        assert (len(page.items), page.next, page.searched_to_ms) == (4, None, reached)
        events = await counter.inspection.events(account, EventFilter(q="+1234567890"))
        assert (len(events.items), events.next, events.searched_to_ms) == (2, None, reached)


async def test_events_that_matched_nothing_are_listed() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        alone = await counter.event(account, "nobody wants this")
        await counter.endpoint(account)
        wanted = await counter.event(account)
        assert await event_ids(counter, account, matched=False) == [alone]
        assert await event_ids(counter, account, matched=True) == [wanted]
        assert await event_ids(counter, account, wamid="wamid.unknown") == []
        assert (await counter.inspection.event(account, alone)).deliveries == 0


async def test_the_request_is_shown_as_it_was_sent() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        form = EndpointForm(
            url="https://shop.example/hook?a=1",
            events=["*"],
            headers={"Authorization": "Bearer very-secret", "X-Shop": "7"},
            include_details=True,
        )
        endpoint = (await counter.endpoints.create(account, form, ACTOR)).running
        await counter.submit(
            account,
            event="message.incoming",
            data={"from": "+1234567890", "to": "+0987654321", "text": 'It\'s "me" 😀'},
            details=DETAILS,
        )
        await counter.settled(account, 1)
        later = EndpointForm(url="https://moved.example/", headers={}, include_details=False)
        await counter.endpoints.patch(account, endpoint.endpoint.id, later, ACTOR)
        (view,) = await counter.views(account)
        (attempt,) = await counter.inspection.attempts(account, delivery_id(view.id))
        (sent,) = counter.receivers.requests
        shown = attempt.request
        assert shown is not None
        assert (shown.method, shown.url, shown.body) == ("POST", "https://shop.example/hook?a=1", sent.body)
        # The store was opened by version "test"; the request was made by the version of this code.
        head = sent.head.decode().replace(f"WhatsSync/{__version__}", "WhatsSync/test")
        lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
        masked = {"Authorization", "X-Shop"}
        assert list(shown.headers) == [(name, MASK if name in masked else value) for name, _, value in lines]
        assert b"very-secret" not in msgspec.json.encode(msgspec.to_builtins(shown.headers)) + shown.curl.encode()
        words = shlex.split(shown.curl)
        assert words[words.index("--data-binary") + 1].encode() == sent.body
        assert (attempt.row.status, attempt.explanation, attempt.late) == (200, None, False)
        assert attempt.answer_headers == (("Content-Type", "text/plain"),)


async def test_failures_are_put_into_words() -> None:
    async with opened_counter() as counter:
        counter.receivers.answers[DOWN] = REFUSED
        account = await counter.account()
        await counter.once(account)
        await counter.event(account)
        await counter.settled(account, 1, State.FAILED)
        public_id = delivery_id((await counter.views(account))[0].id)
        (attempt,) = await counter.inspection.attempts(account, public_id)
        assert attempt.explanation is not None
        assert "refused" in attempt.explanation.sentence
        assert (attempt.row.status, attempt.row.detail, attempt.answer_headers) == (None, "connection refused", ())
        story = await counter.inspection.delivery(account, public_id)
        assert story.explanation == attempt.explanation


async def test_a_deleted_endpoint_keeps_its_name_in_the_history() -> None:
    async with opened_counter() as counter:
        account = await counter.account()
        endpoint = await counter.endpoint(account)
        event_id = await counter.event(account)
        await counter.settled(account, 1)
        await counter.endpoints.delete(account, endpoint.endpoint.id, ACTOR)
        (story,) = (await counter.inspection.deliveries_of(account, event_id)).items
        assert (story.place.id, story.place.url, story.place.deleted) == (
            endpoint.endpoint.id,
            endpoint.endpoint.url,
            True,
        )
        (attempt,) = await counter.inspection.attempts(account, delivery_id(story.view.id))
        assert attempt.request is not None
        with pytest.raises(Invalid):
            await counter.inspection.deliveries(account, DeliveryFilter(endpoint=endpoint.endpoint.id))


async def test_a_delivery_says_whom_it_waits_for() -> None:
    async with opened_counter() as counter:
        counter.receivers.answers[DOWN] = answer(500)
        account = await counter.account()
        form = EndpointForm(url=f"https://{DOWN}/", events=["*"], ordering=Ordering.CONTACT)
        await counter.endpoints.create(account, form, ACTOR)
        await counter.event(account, "first")
        await counter.settled(account, 1, State.RETRYING)
        await counter.event(account, "second")
        first, second = await counter.views(account)
        assert (await counter.inspection.delivery(account, delivery_id(second.id))).waiting_for == first.id
        assert (await counter.inspection.delivery(account, delivery_id(first.id))).waiting_for is None


async def test_answers_that_are_no_text_are_kept_as_they_are() -> None:
    async with opened_counter() as counter:
        counter.receivers.answers["shop.example"] = msgspec.structs.replace(
            OK, headers=b"X-Odd: caf\xe9\r\nno colon\r\nSet-Cookie: a: b", body=b"\xff\x00", truncated=True
        )
        account = await counter.account()
        await counter.endpoint(account)
        await counter.event(account)
        await counter.settled(account, 1)
        (attempt,) = await counter.inspection.attempts(account, delivery_id((await counter.views(account))[0].id))
        assert attempt.answer_headers == (("X-Odd", "café"), ("no colon", ""), ("Set-Cookie", "a: b"))
        assert (attempt.row.answer_body, attempt.row.truncated) == (b"\xff\x00", True)


async def test_nothing_crosses_accounts() -> None:
    async with opened_counter() as counter:
        account, (message, *_) = await filled(counter)
        stranger = await counter.account("Other")
        public_id = delivery_id((await counter.views(account))[0].id)
        inspection = counter.inspection
        for look in (inspection.delivery, inspection.attempts):
            with pytest.raises(NotFound):
                await look(stranger, public_id)
        for event_look in (inspection.event, inspection.deliveries_of):
            with pytest.raises(NotFound):
                await event_look(stranger, message)
        endpoint = next(iter(account.endpoints.values())).endpoint.id
        with pytest.raises(Invalid):
            await inspection.deliveries(stranger, DeliveryFilter(endpoint=endpoint))
        for q in (None, message, public_id, "contact_7", "alpha", "+1234567890", "wamid.HBgL="):
            assert await ids(counter, stranger, q=q) == []
            assert await event_ids(counter, stranger, q=q) == []
