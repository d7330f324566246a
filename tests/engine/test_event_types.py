"""Event types: the whole catalogue is shown, an account's own are its own, and names in use stay."""

import pytest

from tests.engine.desk import ACTOR, Desk, opened_desk
from whatsync.engine.directory import RunningAccount
from whatsync.model import limits
from whatsync.model.catalogue import CATALOGUE, Kind
from whatsync.model.endpoint_form import EndpointForm
from whatsync.model.errors import Conflict, Invalid, LimitExceeded, NotFound

OWN = "order.created"


def names(desk: Desk, account: RunningAccount) -> list[str]:
    """All names on all pages."""
    found: list[str] = []
    page, after = desk.event_types.page(account, limit=5)
    found += [facts.name for facts in page]
    while after is not None:
        page, after = desk.event_types.page(account, after, 5)
        found += [facts.name for facts in page]
    return found


async def test_the_catalogue_comes_first_then_ones_own_by_name() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        for name in ("order.paid", OWN):
            await desk.event_types.put(account, name, "", ACTOR)
        assert names(desk, account) == [*CATALOGUE, OWN, "order.paid"]


@pytest.mark.parametrize("name", CATALOGUE)
async def test_a_documented_type_has_fields_example_and_schema(name: str) -> None:
    async with opened_desk() as desk:
        facts = desk.event_types.read(await desk.account(), name)
        assert facts.example is not None
        assert facts.example["event"] == name
        assert {field.name for field in facts.fields} == set(facts.example["data"])
        assert facts.schema["properties"]["event"] == {"const": name}
        assert set(facts.filterable) <= set(facts.example["data"])


async def test_an_own_type_can_be_sent_named_and_described_anew() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        made, new = await desk.event_types.put(account, OWN, " An order came in ", ACTOR)
        assert new
        assert (made.kind, made.description, made.in_wildcard) == (Kind.OWN, "An order came in", True)
        form = EndpointForm(url="https://shop.example/", events=[OWN])
        await desk.endpoints.create(account, form, ACTOR)
        await desk.ingest.accept(account, b'{"event":"order.created","data":{"total":1}}')
        assert b'"order.created"' in (await desk.receivers.until(1))[0].body
        desk.clock.advance(5)
        changed, new = await desk.event_types.put(account, OWN, "Other words", ACTOR)
        assert not new
        assert (changed.description, changed.created_ms) == ("Other words", made.created_ms)


async def test_bad_names_and_descriptions_are_named() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        with pytest.raises(Invalid) as raised:
            await desk.event_types.put(account, "Order Created", "x" * 501, ACTOR)
        assert [error.field for error in raised.value.errors] == ["name", "description"]
        for name in ("message.incoming", "whatsapp.x", "endpoint.mine", "*", ""):
            with pytest.raises(Invalid):
                await desk.event_types.put(account, name, "", ACTOR)


async def test_a_type_in_use_stays() -> None:
    async with opened_desk() as desk:
        account = await desk.account()
        await desk.event_types.put(account, OWN, "", ACTOR)
        form = EndpointForm(url="https://shop.example/", events=[OWN])
        running = (await desk.endpoints.create(account, form, ACTOR)).running
        with pytest.raises(Conflict, match=running.endpoint.id):
            await desk.event_types.delete(account, OWN, ACTOR)
        await desk.endpoints.delete(account, running.endpoint.id, ACTOR)
        await desk.event_types.delete(account, OWN, ACTOR)
        assert OWN not in account.own_types
        with pytest.raises(NotFound):
            await desk.event_types.delete(account, "message.incoming", ACTOR)


async def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACCOUNT_EVENT_TYPES", 1)
    async with opened_desk() as desk:
        account = await desk.account()
        await desk.event_types.put(account, OWN, "", ACTOR)
        await desk.event_types.put(account, OWN, "again", ACTOR)
        with pytest.raises(LimitExceeded):
            await desk.event_types.put(account, "order.paid", "", ACTOR)


async def test_own_types_are_the_accounts_own() -> None:
    async with opened_desk() as desk:
        theirs, mine = await desk.account("Theirs"), await desk.account("Mine")
        await desk.event_types.put(theirs, OWN, "theirs", ACTOR)
        assert OWN not in names(desk, mine)
        for refused in (
            lambda: desk.event_types.read(mine, OWN),
            lambda: mine.own_types[OWN],
        ):
            with pytest.raises((NotFound, KeyError)):
                refused()
        with pytest.raises(NotFound):
            await desk.event_types.delete(mine, OWN, ACTOR)
        with pytest.raises(Invalid):
            await desk.endpoints.create(mine, EndpointForm(url="https://a.example/", events=[OWN]), ACTOR)
        await desk.event_types.put(mine, OWN, "mine", ACTOR)
        assert desk.event_types.read(theirs, OWN).description == "theirs"
