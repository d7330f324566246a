"""Routes of numbers: an account sees its own; operators see all and say whose they are."""

from typing import Annotated

import msgspec
from msgspec import Meta

from whatsync.engine.source_directory import RunningNumber
from whatsync.model.account import Scope
from whatsync.model.source import NewNumberForm, NumberForm
from whatsync.web.api.call import Answer, Call, Page, PageQuery, Route, Time, listed, position_of, show_time
from whatsync.web.api.versions import IF_MATCH, expected_version, tag


class NumberView(msgspec.Struct, frozen=True, rename="camel"):
    """A WhatsApp number."""

    phone_number_id: Annotated[str, Meta(description="Meta's id of it; events carry it as `number`")]
    name: str
    display_number: Annotated[str, Meta(description="The phone number, as Meta told it")] | None
    waba_id: Annotated[str, Meta(description="Its WhatsApp business account")] | None
    source: str
    account: Annotated[str, Meta(description="Whose it is; null: nobody's yet, what comes for it waits")] | None
    access_token_set: bool
    created_at: Time
    updated_at: Time
    version: int


class NumbersQuery(PageQuery, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Filters of the list of all numbers."""

    source: Annotated[str, Meta(max_length=100)] | None = None
    assigned: Annotated[bool, Meta(description="Whether they belong to an account")] | None = None


async def list_own(call: Call) -> Answer:
    """The numbers of your account."""
    query: PageQuery = call.query
    page, after = call.services.numbers.page(call.account, position_of(query.cursor), query.limit)
    return listed((_view(one) for one in page), after)


async def read_own(call: Call) -> Answer:
    """One number of your account."""
    return _answer(call.services.numbers.find(call.path["number"], call.account))


async def list_all(call: Call) -> Answer:
    """The numbers of all accounts, and those that are nobody's yet."""
    query: NumbersQuery = call.query
    numbers = call.services.numbers
    page, after = numbers.page(None, position_of(query.cursor), query.limit, query.source, query.assigned)
    return listed((_view(one) for one in page), after)


async def create_number(call: Call) -> Answer:
    """Not needed: a number appears with its first webhook. Made beforehand, nothing of it has to wait."""
    form: NewNumberForm = call.body
    return _answer(await call.services.numbers.create(form, call.principal.actor), 201)


async def patch_number(call: Call) -> Answer:
    """Say whose it is. What came before is processed then."""
    form: NumberForm = call.body
    numbers, actor = call.services.numbers, call.principal.actor
    return _answer(await numbers.patch(call.path["number"], form, actor, expected_version(call)))


async def delete_number(call: Call) -> Answer:
    """It appears again, as nobody's, with its next webhook."""
    await call.services.numbers.delete(call.path["number"], call.principal.actor)
    return Answer(204)


def _answer(running: RunningNumber, status: int = 200) -> Answer:
    return Answer(status, _view(running), tag(running.document.version))


def _view(running: RunningNumber) -> NumberView:
    number = running.number
    return NumberView(
        number.id,
        number.name,
        number.display,
        number.business,
        number.source,
        number.account,
        number.access_token is not None,
        show_time(number.created_ms),
        show_time(number.updated_ms),
        running.document.version,
    )


ROUTES = (
    Route(
        "GET", "/v1/numbers", Scope.READ, list_own, "List your numbers",
        query=PageQuery, gives={200: Page[NumberView]},
    ),
    Route(
        "GET", "/v1/numbers/{number}", Scope.READ, read_own, "Read one of your numbers",
        gives={200: NumberView}, problems=(404,),
    ),
    Route(
        "POST", "/v1/numbers", Scope.OPERATOR, create_number, "Make a number known",
        takes=NewNumberForm, gives={201: NumberView}, problems=(409,),
    ),
    Route(
        "PATCH", "/v1/numbers/{number}", Scope.OPERATOR, patch_number, "Change a number, or whose it is",
        takes=NumberForm, gives={200: NumberView}, problems=(404, 409), headers=IF_MATCH,
    ),
    Route(
        "DELETE", "/v1/numbers/{number}", Scope.OPERATOR, delete_number, "Forget a number",
        gives={204: None}, problems=(404,),
    ),
    Route(
        "GET", "/v1/all-numbers", Scope.OPERATOR, list_all, "List the numbers of all accounts",
        query=NumbersQuery, gives={200: Page[NumberView]},
    ),
)  # fmt: skip
