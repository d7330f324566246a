"""A body becomes events through the whole engine: each account gets its own, people stay themselves, nothing twice."""

import asyncio
import random
from typing import Any

import pytest

from tests.engine.desk import ACTOR
from tests.patience import PATIENCE_SECONDS
from tests.sources.whatsapp.cloud import (
    AT,
    BUSINESS,
    NUMBER,
    PERSON,
    SECRET,
    USER,
    Element,
    body,
    card,
    change,
    escaped,
    incoming,
    message,
    signed,
    status,
    statuses,
    value,
)
from tests.sources.whatsapp.kinds import BODIES
from tests.sources.whatsapp.post import Post, decoded
from whatsync.engine.directory import RunningAccount
from whatsync.engine.intake import Taken, unpacked
from whatsync.model.account_form import AccountForm
from whatsync.model.arrival import Reading
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.errors import Unavailable
from whatsync.model.ids import message_id
from whatsync.model.source import NumberForm, SourceForm
from whatsync.ports.arrivals import Count, SetAsideQuery
from whatsync.sources.whatsapp.payloads import read

ME = "phone:+" + PERSON


def named(name: str | None, wamid: str, at: int = AT, **more: Any) -> Element:
    return incoming(message(wamid, at=at, **more), contacts=[card(name=name)])


async def test_a_body_and_its_events_are_on_disk_when_it_is_answered(post: Post) -> None:
    given = body(change(value(contacts=[card()], statuses=[status()], messages=[message()])))
    taken = await post.post(given)
    assert (taken.events, taken.duplicates, taken.set_aside) == (3, 0, 0)
    assert [event.type for event in await post.events()] == ["contact.update", "message.incoming", "message.status"]
    stored = await post.desk.store.body(taken.seq)
    assert stored is not None
    assert unpacked(stored.body) == escaped(given)


async def test_the_same_body_again_makes_nothing_new(post: Post) -> None:
    for name in ("text", "failed", "template", "reaction", "history", "echo", "address book"):
        first = await post.post(BODIES[name])
        again = await post.post(BODIES[name])
        assert first.events > 0, name
        assert (again.events, again.set_aside) == (0, 0), name
        assert again.duplicates > 0, name


async def test_what_is_new_in_a_body_that_repeats_the_rest_is_delivered_once(post: Post) -> None:
    form = EndpointForm(url="https://shop.example/hook", events=["message.incoming"])
    await post.desk.endpoints.create(post.account, form, ACTOR)
    await post.post(incoming(message("wamid.a")))
    taken = await post.post(incoming(message("wamid.a"), message("wamid.b")))
    assert (taken.events, taken.duplicates) == (1, 1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(post.desk.observed) < 2:  # noqa: ASYNC110 - the loops run between two looks
            await asyncio.sleep(0)
    assert sorted(request.body for request in post.desk.receivers.requests) == sorted(
        event.body for event in await post.events(event_type="message.incoming")
    )


async def test_nothing_is_stored_or_left_behind_while_the_store_is_down(post: Post) -> None:
    post.desk.stage.broken = True
    with pytest.raises(Unavailable):
        await post.post(BODIES["text"])
    post.desk.stage.broken = False
    assert await post.events() == []
    taken = await post.post(BODIES["text"])
    assert (taken.events, taken.duplicates) == (2, 0)


async def test_one_body_of_300_accounts_reaches_each_its_own(post: Post) -> None:
    accounts: dict[str, RunningAccount] = {}
    for at in range(300):
        account = (await post.desk.accounts.create(AccountForm(name=f"Shop {at}"), ACTOR)).running
        accounts[str(9_000 + at)] = account
        await post.number(str(9_000 + at), account)
    numbers = list(accounts)
    changes = []
    for at in range(1_000):
        number, person = numbers[at * 7 % 300], f"4917{at:08}"
        lists: Element = (
            {"messages": [message(f"wamid.{at}", person=person, text={"body": number})]}
            if at % 2
            else {"statuses": [status(f"wamid.{at}", recipient_id=person)]}
        )
        changes.append(change(value(number, contacts=[card(person)], **lists)))
    taken = await post.post(body(*changes))
    assert (taken.duplicates, taken.set_aside) == (0, 0)
    assert taken.events == 2_000
    total = 0
    for number, account in accounts.items():
        events = await post.events(account)
        assert {event.number for event in events} == {number}
        assert all(decoded(event)["text"] == number for event in events if event.type == "message.incoming")
        total += len(events)
    assert total == 2_000
    assert await post.events() == []


# Whose it is


async def test_what_comes_for_nobodys_number_waits_until_it_is_somebodys(post: Post) -> None:
    unknown = body(change(value("555", contacts=[card()], messages=[message("wamid.a"), message("wamid.b")])))
    taken = await post.post(unknown)
    assert (taken.events, taken.set_aside) == (0, 2)
    (row,) = await post.desk.store.set_aside(SetAsideQuery(post.source.row))
    assert (row.reason, row.number, row.count, row.account) == ("unassigned", "555", 2, 0)
    noting = asyncio.ensure_future(post.whatsapp.numbers.run())
    await post.whatsapp.numbers.noted()
    noting.cancel()
    known = post.whatsapp.numbers.find("555")
    assert (known.account, known.number.display, known.number.business) == (0, "+15550100200", BUSINESS)
    other = (await post.desk.accounts.create(AccountForm(name="Other"), ACTOR)).running
    await post.whatsapp.numbers.patch("555", NumberForm(account=other.account.id), ACTOR)
    await post.again_until_idle()
    events = await post.events(other)
    assert [event.type for event in events] == ["contact.update", "message.incoming", "message.incoming"]
    assert await post.desk.store.set_aside(SetAsideQuery(post.source.row)) == ()
    assert (await post.post(unknown)).events == 0


async def test_a_number_that_moves_takes_only_what_comes_from_then_on(post: Post) -> None:
    other = (await post.desk.accounts.create(AccountForm(name="Other"), ACTOR)).running
    await post.post(incoming(message("wamid.a")))
    await post.whatsapp.numbers.patch(NUMBER, NumberForm(account=other.account.id), ACTOR)
    await post.post(incoming(message("wamid.b")))
    assert [event.id for event in await post.events(event_type="message.incoming")] == [message_id(NUMBER, "wamid.a")]
    moved = await post.events(other, "message.incoming")
    assert [event.id for event in moved] == [message_id(NUMBER, "wamid.b")]


async def test_new_numbers_of_a_source_with_an_account_are_its_own_at_once(post: Post) -> None:
    await post.whatsapp.sources.patch(post.source.source.id, SourceForm(account=post.account.account.id), ACTOR)
    loops = [asyncio.ensure_future(post.whatsapp.numbers.run())]
    await post.post(incoming(message("wamid.new"), number="556"))
    await post.whatsapp.numbers.noted()
    await post.again_until_idle()
    for loop in loops:
        loop.cancel()
    assert message_id("556", "wamid.new") in [event.id for event in await post.events()]


async def test_a_source_of_one_account_makes_no_events_of_others(post: Post) -> None:
    other = (await post.desk.accounts.create(AccountForm(name="Other"), ACTOR)).running
    form = SourceForm(name="Their own app", app_secret=SECRET, account=other.account.id)
    post.source = await post.whatsapp.sources.create(form, ACTOR)
    await post.number("778", other)
    forged = await post.post(incoming(message("wamid.forged"), contacts=[card(name="Mallory")]))
    assert (forged.events, forged.set_aside) == (0, 1)
    (row,) = await post.desk.store.set_aside(SetAsideQuery(post.source.row))
    assert (row.number, row.account, "another account's" in row.sentence) == (NUMBER, 0, True)
    affairs = body(change({"event": "REJECTED", "display_phone_number": "1"}, "account_update"))
    await post.whatsapp.numbers.patch("778", NumberForm(waba_id="9"), ACTOR)
    assert (await post.post(affairs)).events == 0
    assert await post.events() == []
    assert (await post.post(incoming(message("wamid.own"), number="778"))).set_aside == 0
    await post.whatsapp.numbers.patch("778", NumberForm(account=post.account.account.id), ACTOR)
    assert (await post.post(incoming(message("wamid.moved"), number="778"))).set_aside == 0


async def test_the_business_accounts_own_affairs_go_to_its_one_account(post: Post) -> None:
    await post.post(BODIES["template"])
    (event,) = await post.events()
    assert (event.type, event.number) == ("whatsapp.message_template_status_update", None)
    other = (await post.desk.accounts.create(AccountForm(name="Other"), ACTOR)).running
    await post.number("777", other)
    changed = body(change({"event": "REJECTED"}, "message_template_status_update"), time=AT + 1)
    assert (await post.post(changed)).set_aside == 1
    assert await post.events(other) == []
    quality = BODIES["quality"]
    await post.whatsapp.reception.take_in(post.source, b"{}", _read(incoming(message("wamid.z"))))
    noting = asyncio.ensure_future(post.whatsapp.numbers.run())
    await post.whatsapp.numbers.noted()
    noting.cancel()
    assert (await post.post(quality)).set_aside == 0
    assert (await post.events())[-1].type == "whatsapp.phone_number_quality_update"


def _read(given: Element) -> Reading:
    return read(escaped(given), AT * 1000)


async def test_metas_sample_is_a_test_and_a_new_one_each_time(post: Post) -> None:
    sample = body(change(value("123456123", messages=[message()])), business="0")
    assert (await post.post(sample)).events == 0
    await post.whatsapp.sources.patch(post.source.source.id, SourceForm(account=post.account.account.id), ACTOR)
    for _ in range(2):
        assert (await post.post(sample)).events == 1
    events = await post.events()
    assert [event.test for event in events] == [True, True]
    assert len({event.id for event in events}) == 2
    assert "123456123" not in post.desk.directory.whatsapp.numbers


# People


async def test_a_person_is_told_of_when_first_seen_and_when_his_name_changes(post: Post) -> None:
    await post.post(named("Ada", "wamid.1"))
    await post.post(named("Ada", "wamid.2", AT + 1))
    await post.post(named("Ada Lovelace", "wamid.3", AT + 2))
    await post.post(named(None, "wamid.4", AT + 3))
    assert await post.names() == [("+" + PERSON, "Ada"), ("+" + PERSON, "Ada Lovelace")]
    ids = {decoded(event)["contactId"] for event in await post.events(event_type="contact.update")}
    assert len(ids) == 1


async def test_an_old_body_that_comes_late_does_not_turn_a_name_back(post: Post) -> None:
    await post.post(named("New", "wamid.2", AT + 3600))
    await post.post(named("Old", "wamid.1", AT))
    assert await post.names() == [("+" + PERSON, "New")]
    await post.post(named("Newest", "wamid.3", AT + 7200))
    await post.post(named("New", "wamid.4", AT + 7000))
    assert [name for _, name in await post.names()] == ["New", "Newest"]


async def test_a_name_that_was_confirmed_later_is_not_turned_back_either(post: Post) -> None:
    await post.post(named("Ada", "wamid.1", AT))
    await post.post(named("Ada", "wamid.9", AT + 600))
    await post.post(named("Bob", "wamid.5", AT + 300))
    assert [name for _, name in await post.names()] == ["Ada"]


async def test_many_first_words_at_once_make_one_person(post: Post) -> None:
    await asyncio.gather(*(post.post(named("Ada", f"wamid.{at}", AT + at)) for at in range(20)))
    assert len(await post.names()) == 1
    assert len(await post.events(event_type="message.incoming")) == 20


async def test_what_was_remembered_wrongly_is_asked_for_again(post: Post) -> None:
    await post.post(named("Ada", "wamid.1"))
    fresh = Post(post.desk)  # Another server over the same store, which knows nobody yet.
    fresh.source, fresh.account = post.source, post.account
    await fresh.post(named("Bob", "wamid.2", AT + 100))
    await post.post(named("Cyd", "wamid.3", AT + 200))
    await fresh.post(named("Bob", "wamid.4", AT + 150))
    assert [name for _, name in await post.names()] == ["Ada", "Bob", "Cyd"]
    assert len(await post.desk.store.contacts(post.account.row, [ME])) == 1


async def test_a_person_stays_the_same_through_a_new_number(post: Post) -> None:
    await post.post(named("Ada", "wamid.1"))
    moved = message("wamid.s", "system", AT + 10, system={"type": "user_changed_number", "wa_id": "491700000009"})
    await post.post(incoming(moved, contacts=[]))
    later = incoming(message("wamid.2", at=AT + 20, person="491700000009"), contacts=[card("491700000009", "Ada")])
    await post.post(later)
    assert await post.names() == [("+" + PERSON, "Ada"), ("+491700000009", "Ada")]
    contacts = {decoded(event)["contactId"] for event in await post.events(event_type="contact.update")}
    assert len(contacts) == 1
    await post.post(named("Late", "wamid.0", AT + 5))
    assert len(await post.names()) == 2


async def test_who_takes_over_a_number_is_another_person(post: Post) -> None:
    await test_a_person_stays_the_same_through_a_new_number(post)
    await post.post(named("Zoe", "wamid.z", AT + 9_000))
    names = await post.events(event_type="contact.update")
    assert len({decoded(event)["contactId"] for event in names}) == 2
    assert decoded(names[-1])["name"] == "Zoe"
    await post.post(named("Zoe", "wamid.y", AT + 9_500))
    assert len(await post.events(event_type="contact.update")) == len(names)


async def test_phone_and_user_id_lead_to_one_person(post: Post) -> None:
    both = incoming(message("wamid.1", from_user_id=USER), contacts=[card(user=USER)])
    await post.post(both)
    hidden = {"from_user_id": USER, "id": "wamid.2", "timestamp": str(AT + 9), "type": "text", "text": {"body": "Hi"}}
    await post.post(incoming(hidden, contacts=[card(None, "Ada Example", USER)]))
    assert len(await post.names()) == 1
    await post.post(BODIES["user id update"])
    renamed = {**hidden, "from_user_id": "DE.9", "id": "wamid.3", "timestamp": str(AT + 90)}
    await post.post(incoming(renamed, contacts=[card(None, "Ada Example", "DE.9")]))
    assert len(await post.names()) == 1
    contacts = await post.desk.store.contacts(post.account.row, ["user:DE.9", "user:" + USER, ME])
    assert len(contacts) == 1


async def test_a_person_without_a_phone_gets_one_when_it_is_known(post: Post) -> None:
    await post.post(BODIES["person without a phone"])
    both = incoming(message("wamid.p", at=AT + 60, from_user_id=USER), contacts=[card(name="Uma", user=USER)])
    await post.post(both)
    assert await post.names() == [(None, "Uma"), ("+" + PERSON, "Uma")]


async def test_people_of_two_accounts_are_strangers(post: Post) -> None:
    other = (await post.desk.accounts.create(AccountForm(name="Other"), ACTOR)).running
    await post.number("888", other)
    await post.post(named("Ada", "wamid.1"))
    await post.post(body(change(value("888", contacts=[card(name="Ada")], messages=[message("wamid.1")]))))
    (mine,), (theirs,) = await post.names(), await post.events(other, "contact.update")
    assert mine == ("+" + PERSON, "Ada")
    first = (await post.events(event_type="contact.update"))[0]
    assert decoded(first)["contactId"] != decoded(theirs)["contactId"]


# Counting and telling


async def test_facts_of_a_source_count_what_came(post: Post) -> None:
    await post.post(BODIES["text"])
    await post.post(BODIES["text"])
    await post.post(incoming(7))  # type: ignore[arg-type]
    facts = await post.whatsapp.sources.facts(post.source)
    assert (facts.webhooks, facts.updates, facts.duplicates, facts.set_aside) == (3, 3, 1, 1)
    await post.whatsapp.counts.flush()
    assert await post.whatsapp.sources.facts(post.source) == facts
    assert facts.last_webhook_ms == post.desk.clock.now_ms()


async def test_refused_requests_are_counted_and_told_once(post: Post) -> None:
    raw = escaped(BODIES["text"])
    for _ in range(5):
        answer = await post.whatsapp.inbound.receive(post.source.source.id, signed(raw, "x" * 32), raw)
        assert not isinstance(answer, Taken)
    told = [notice for notice in post.desk.notices if notice.type == "source.rejected"]
    assert [(notice.account, notice.data["code"]) for notice in told] == [(post.account.row, "wrong_signature")]
    facts = await post.whatsapp.sources.facts(post.source)
    assert (facts.rejected, facts.rejected_since_good, facts.webhooks) == (5, 5, 0)
    await post.post(BODIES["text"])
    assert (await post.whatsapp.sources.facts(post.source)).rejected_since_good == 0


async def test_statuses_without_names_make_nobody_known(post: Post) -> None:
    await post.post(statuses(status()))
    assert await post.names() == []


# Quiet numbers

HOUR_MS = 3_600_000
WEEK_MS = 7 * 24 * HOUR_MS


async def usual(post: Post, weeks: int, each: int) -> None:
    """Busy in the same hours of the weeks before, and a last update two hours ago."""
    now_ms = post.desk.clock.now_ms()
    for week in range(1, weeks + 1):
        at_ms = now_ms - week * WEEK_MS - HOUR_MS
        at_ms -= at_ms % 900_000
        await post.desk.store.count_arrivals([Count(post.source.row, NUMBER, at_ms, "update", each, at_ms, at_ms)])
    last_ms = now_ms - 2 * HOUR_MS
    slot = last_ms - last_ms % 900_000
    await post.desk.store.count_arrivals([Count(post.source.row, NUMBER, slot, "update", 1, last_ms, last_ms)])


async def quiet_notices(post: Post) -> list[dict[str, Any]]:
    looking = asyncio.ensure_future(post.whatsapp.quiet.look())
    while not looking.done():
        await asyncio.sleep(0)
        post.desk.clock.advance(0.01)
    return [notice.data for notice in post.desk.notices if notice.type == "number.quiet"]


async def test_a_number_that_is_usually_busy_now_and_silent_is_told_of_once(post: Post) -> None:
    await usual(post, weeks=4, each=60)
    (data,) = await quiet_notices(post)
    assert (data["number"], data["expectedEvents"]) == (NUMBER, 60)
    assert len(await quiet_notices(post)) == 1
    await post.post(BODIES["text"])
    post.desk.clock.advance(60)
    assert len(await quiet_notices(post)) == 1


@pytest.mark.parametrize(("weeks", "each"), [(1, 500), (4, 10), (0, 0)])
async def test_one_busy_week_or_a_quiet_habit_is_no_reason(post: Post, weeks: int, each: int) -> None:
    await usual(post, weeks, each)
    assert await quiet_notices(post) == []


async def test_a_number_that_brought_something_within_the_hour_is_not_quiet(post: Post) -> None:
    await usual(post, weeks=4, each=60)
    await post.post(BODIES["text"])
    assert await quiet_notices(post) == []


# Every call of the store may fail


async def test_whatever_commit_fails_what_meta_repeats_arrives_once(post: Post) -> None:
    """As Meta does: each body is sent until it is answered with success. Afterwards everything is there once."""
    batches = [
        incoming(message(f"wamid.{at}", at=AT + at, person=f"49170000{at % 3:04}"), contacts=[]) for at in range(12)
    ]
    batches += [statuses(status(f"wamid.out{at}", said)) for at in range(3) for said in ("sent", "delivered", "read")]
    fails = random.Random(7)
    ordered = list(batches) * 2
    fails.shuffle(ordered)
    for given in ordered:
        post.desk.stage.broken = fails.random() < 0.4
        for _ in range(20):
            try:
                await post.post(given)
                break
            except Unavailable:
                post.desk.stage.broken = fails.random() < 0.4
        post.desk.stage.broken = False
    events = await post.events()
    assert len({event.id for event in events}) == len(events) == 12 + 9 + 3
    assert await post.desk.store.set_aside(SetAsideQuery(post.source.row)) == ()
