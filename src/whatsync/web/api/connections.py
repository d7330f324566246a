"""Routes that check and connect sources through Meta's own API, for operators."""

from typing import Annotated

import msgspec
from msgspec import Meta

from whatsync.model.account import Scope
from whatsync.web.api.call import Answer, Call, Route


class FindingView(msgspec.Struct, frozen=True, rename="camel"):
    """One thing that has to be right."""

    code: Annotated[str, Meta(description="Stable word, such as `callback` or `subscribed`")]
    ok: bool
    sentence: str
    next_step: Annotated[str, Meta(description="What to do; empty where all is well")]


class CheckView(msgspec.Struct, frozen=True, rename="camel"):
    """Everything that was looked at."""

    ok: bool
    findings: list[FindingView]


class ConnectForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """How to connect."""

    waba_ids: Annotated[
        list[Annotated[str, Meta(pattern="^[0-9]{1,32}$")]],
        Meta(max_length=1_000, description="Business accounts; left out: those the token is made for"),
    ] = []
    replace_callback: Annotated[bool, Meta(description="Take the place of another callback of the app")] = False
    override_callback: Annotated[
        bool, Meta(description="Leave the app's callback as it is, and lead only the business accounts' messages here")
    ] = False


class ConnectedView(msgspec.Struct, frozen=True, rename="camel"):
    """What was set up."""

    callback_url: str
    waba_ids: list[str]
    numbers: Annotated[list[str], Meta(description="`phoneNumberId`s that are known now")]


async def check(call: Call) -> Answer:
    """Asks Meta about the callback, the token and each business account, and names each gap. Changes nothing."""
    source = call.services.sources.find(call.path["source_id"])
    findings = await call.services.connector.check(source)
    shown = [FindingView(one.code, one.ok, one.sentence, one.next_step) for one in findings]
    return Answer(200, CheckView(all(one.ok for one in findings), shown))


async def connect(call: Call) -> Answer:
    """Sets the app's callback and fields, subscribes the business accounts, and makes their numbers known.

    Needs app id, app secret and access token. An app has one callback: another one is replaced only when asked for, or
    passed by: then business accounts lead messages, echoes, calls, groups and history here, while news of templates and
    accounts go on to the app's own callback.
    """
    form: ConnectForm = call.body
    source = call.services.sources.find(call.path["source_id"])
    done = await call.services.connector.connect(source, form.waba_ids, form.replace_callback, form.override_callback)
    return Answer(200, ConnectedView(done.callback_url, list(done.businesses), list(done.numbers)))


ROUTES = (
    Route(
        "GET", "/v1/sources/{source_id}/check", Scope.OPERATOR, check, "Check a source's connection",
        gives={200: CheckView}, problems=(404,),
    ),
    Route(
        "POST", "/v1/sources/{source_id}/connect", Scope.OPERATOR, connect, "Connect a source by itself",
        takes=ConnectForm, takes_optional=True, gives={200: ConnectedView}, problems=(404, 409),
    ),
)  # fmt: skip
