"""Numbers that move between accounts: each keeps what happened while the number was its own. Callers that go away."""

import asyncio

import pytest

from tests.engine.desk import ACTOR
from tests.patience import PATIENCE_SECONDS
from tests.sources.whatsapp.cloud import (
    NUMBER,
    SECRET,
    body,
    card,
    change,
    escaped,
    incoming,
    message,
    signed,
    status,
    value,
)
from tests.sources.whatsapp.post import Post
from whatsync.engine.directory import RunningAccount
from whatsync.model.account_form import AccountForm
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.ids import message_id
from whatsync.model.source import NumberForm, SourceForm
from whatsync.ports.arrivals import SetAsideQuery


class Moves:
    """A number that was one account's, and is another's from now on; what is written to it before and after."""

    def __init__(self, post: Post, other: RunningAccount) -> None:
        self.post = post
        self.other = other

    def now_s(self) -> int:
        return self.post.desk.clock.now_ms() // 1000

    async def give(self, account: RunningAccount | None) -> None:
        self.post.desk.clock.advance(60)
        form = NumberForm(account=None if account is None else account.account.id)
        await self.post.whatsapp.numbers.patch(NUMBER, form, ACTOR)
        self.post.desk.clock.advance(60)

    async def ids(self, account: RunningAccount) -> list[str]:
        return [event.id for event in await self.post.events(account) if event.type != "contact.update"]


@pytest.fixture
async def moves(post: Post) -> Moves:
    return Moves(post, (await post.desk.accounts.create(AccountForm(name="Other"), ACTOR)).running)


async def test_regression_what_is_repeated_after_a_move_stays_with_the_account_it_was_for(moves: Moves) -> None:
    post, before = moves.post, moves.now_s()
    given = body(
        change(value(contacts=[card()], messages=[message("wamid.a", at=before)])),
        change(value(statuses=[status("wamid.b", at=before)])),
        change(value(message_echoes=[message("wamid.c", at=before)]), "smb_message_echoes"),
    )
    taken = await post.post(given)
    mine = await moves.ids(post.account)
    assert len(mine) == 3
    await moves.give(moves.other)
    again = await post.post(given)
    assert (again.events, again.set_aside) == (0, 0)
    processed = await post.whatsapp.reprocessing.body(post.source, taken.seq)
    assert (processed.events, processed.set_aside) == (0, 0)
    assert await post.events(moves.other) == []
    assert await moves.ids(post.account) == mine


async def test_what_was_written_before_a_move_and_comes_late_is_the_earlier_accounts(moves: Moves) -> None:
    post, before = moves.post, moves.now_s()
    await moves.give(moves.other)
    between = moves.now_s()
    await moves.give(post.account)
    late = body(
        change(value(messages=[message("wamid.a", at=before), message("wamid.c", at=moves.now_s())])),
        change(value(messages=[message("wamid.b", at=between)])),
    )
    assert (await post.post(late)).set_aside == 0
    assert await moves.ids(post.account) == [message_id(NUMBER, "wamid.a"), message_id(NUMBER, "wamid.c")]
    assert await moves.ids(moves.other) == [message_id(NUMBER, "wamid.b")]


async def test_what_came_while_a_number_was_nobodys_is_the_next_accounts(moves: Moves) -> None:
    post = moves.post
    await moves.give(None)
    assert (await post.post(incoming(message("wamid.a", at=moves.now_s())))).set_aside == 1
    await moves.give(moves.other)
    await post.again_until_idle()
    assert await moves.ids(moves.other) == [message_id(NUMBER, "wamid.a")]
    assert await moves.ids(post.account) == []


async def test_what_was_for_an_account_that_is_gone_becomes_nobody_elses(moves: Moves) -> None:
    post, before = moves.post, moves.now_s()
    await moves.give(moves.other)
    await post.desk.accounts.delete(post.account.account.id, post.account.account.id, ACTOR)
    assert (await post.post(incoming(message("wamid.a", at=before)))).set_aside == 1
    (row,) = await post.desk.store.set_aside(SetAsideQuery(post.source.row))
    assert (row.reason, row.account, row.number) == ("former_account", 0, NUMBER)
    assert await moves.ids(moves.other) == []


async def test_who_has_a_number_now_makes_up_nothing_for_who_had_it(moves: Moves) -> None:
    post, before = moves.post, moves.now_s()
    await moves.give(moves.other)
    form = SourceForm(name="Their own app", app_secret=SECRET, account=moves.other.account.id)
    post.source = await post.whatsapp.sources.create(form, ACTOR)
    forged = await post.post(incoming(message("wamid.forged", at=before)))
    assert (forged.events, forged.set_aside) == (0, 1)
    assert (await post.post(incoming(message("wamid.own", at=moves.now_s())))).set_aside == 0
    assert await moves.ids(post.account) == []
    assert await moves.ids(moves.other) == [message_id(NUMBER, "wamid.own")]


async def test_affairs_of_a_business_account_repeated_after_a_move_stay_where_they_were(moves: Moves) -> None:
    post = moves.post
    given = body(
        change({"event": "APPROVED", "message_template_id": 1}, "message_template_status_update"), time=moves.now_s()
    )
    await post.post(given)
    (event,) = await post.events()
    await moves.give(moves.other)
    assert (await post.post(given)).events == 0
    assert await post.events(moves.other) == []
    assert [one.id for one in await post.events()] == [event.id]


async def test_affairs_of_an_unknown_business_account_are_the_account_of_the_source(moves: Moves) -> None:
    post = moves.post
    given = body(
        change({"event": "APPROVED", "message_template_id": 1}, "message_template_status_update"), business="5"
    )
    assert (await post.post(given)).set_aside == 1
    form = SourceForm(name="Their own app", app_secret=SECRET, account=moves.other.account.id)
    post.source = await post.whatsapp.sources.create(form, ACTOR)
    assert (await post.post(given)).set_aside == 0
    assert len(await moves.ids(moves.other)) == 1


# A caller that goes away


async def test_regression_what_is_written_is_sent_though_nobody_waits_for_the_answer(post: Post) -> None:
    form = EndpointForm(url="https://shop.example/hook", events=["message.incoming"])
    await post.desk.endpoints.create(post.account, form, ACTOR)
    raw = escaped(incoming(message("wamid.a")))
    receiving = asyncio.ensure_future(post.whatsapp.inbound.receive(post.source.source.id, signed(raw), raw))
    while not post.desk.store._waiting:  # noqa: ASYNC110 - the call is under way then
        await asyncio.sleep(0)
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not post.desk.receivers.requests:  # noqa: ASYNC110 - the loops run between two looks
            await asyncio.sleep(0)
    assert [event.id for event in await post.events(event_type="message.incoming")] == [message_id(NUMBER, "wamid.a")]
