"""Routes of accounts: the caller's own with its signing secret and alerts, and, for operators, all of them."""

from typing import Annotated

import msgspec
from msgspec import Meta

from whatsync.engine.accounts import AccountFacts
from whatsync.engine.rotation import RotationForm, SecretFacts
from whatsync.model import limits
from whatsync.model.account import Scope
from whatsync.model.account_form import AccountForm, SettingsForm
from whatsync.web.api.call import (
    Answer,
    Call,
    Page,
    PageQuery,
    Route,
    Time,
    listed,
    position_of,
    show_time,
    show_time_or_none,
)
from whatsync.web.api.secrets import SecretView, secret_view
from whatsync.web.api.versions import IF_MATCH, expected_version, tag


class AlertsView(msgspec.Struct, frozen=True, rename="camel"):
    """Who is told of changes of state, besides the operational events."""

    emails: list[str]
    url: Annotated[str, Meta(description="Chat webhook, masked; sending the mask back keeps it")] | None


class LimitsView(msgspec.Struct, frozen=True, rename="camel"):
    """The limits that count for this account."""

    events_per_second: int
    bytes_per_second: int
    open_deliveries: int
    endpoints: int


class AccountView(msgspec.Struct, frozen=True, rename="camel"):
    """An account."""

    id: str
    name: str
    created_at: Time
    suspended: bool
    alerts: AlertsView
    limits: LimitsView
    retention_days: Annotated[int, Meta(description="Its own; null: the installation's")] | None
    deleted_at: Annotated[Time, Meta(description="Set while it is being removed")] | None
    version: int


class DeleteQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """How to delete."""

    confirm: Annotated[str, Meta(description="The account's id, where it is not empty")] | None = None


async def read_own(call: Call) -> Answer:
    """The account the key belongs to."""
    return _answer(call.services.accounts.read(call.account))


async def patch_own(call: Call) -> Answer:
    """Name and alerts; fields left out stay as they are."""
    form: SettingsForm = call.body
    version = expected_version(call)
    return _answer(await call.services.accounts.patch(call.account, form, call.principal.actor, version))


async def show_secret(call: Call) -> Answer:
    """The secret that requests to all endpoints without one of their own are signed with."""
    return _secret(await call.services.accounts.secret(call.account, call.principal.actor))


async def rotate_secret(call: Call) -> Answer:
    """The new secret counts in `webhook-signature` at once, beside the old one, until the overlap ends.

    `X-WhatsSync-Signature` is made with the old one until the switch: at the end of the overlap, `now`, at a time, or
    when `POST …/secret/switch` is called. Leaked: `{"switchAt": "now", "overlapSeconds": 0}`.
    """
    form: RotationForm = call.body
    return _secret(await call.services.accounts.rotate_secret(call.account, form, call.principal.actor))


async def switch_secret(call: Call) -> Answer:
    """From now on `X-WhatsSync-Signature` is made with the new secret."""
    return _secret(await call.services.accounts.switch_secret(call.account, call.principal.actor))


async def list_accounts(call: Call) -> Answer:
    """All accounts of this installation."""
    query: PageQuery = call.query
    page, after = call.services.accounts.page(position_of(query.cursor), query.limit)
    return listed((_view(facts) for facts in page), after)


async def create_account(call: Call) -> Answer:
    """Comes with a signing secret; make its first key with `POST /v1/keys?account=…`."""
    form: AccountForm = call.body
    return _answer(await call.services.accounts.create(form, call.principal.actor), 201)


async def read_account(call: Call) -> Answer:
    """One account."""
    accounts = call.services.accounts
    return _answer(accounts.read(accounts.find(call.path["account_id"])))


async def patch_account(call: Call) -> Answer:
    """Limits, retention, suspension, name and alerts; fields left out stay as they are, `null` is the default."""
    accounts, form = call.services.accounts, call.body
    account = accounts.find(call.path["account_id"])
    return _answer(await accounts.patch(account, form, call.principal.actor, expected_version(call)))


async def delete_account(call: Call) -> Answer:
    """Endpoints, keys and types go at once, open deliveries are cancelled, events are removed in the background."""
    accounts, query = call.services.accounts, call.query
    account = accounts.find(call.path["account_id"])
    await accounts.delete(account.account.id, query.confirm, call.principal.actor)
    return Answer(202, _view(accounts.read(account)))


def _answer(facts: AccountFacts, status: int = 200) -> Answer:
    return Answer(status, _view(facts), tag(facts.running.document.version))


def _secret(facts: SecretFacts) -> Answer:
    return Answer(200, secret_view(facts), {"cache-control": "no-store"})


def _view(facts: AccountFacts) -> AccountView:
    account = facts.running.account
    own = account.limits
    return AccountView(
        id=account.id,
        name=account.name,
        created_at=show_time(account.created_ms),
        suspended=account.suspended,
        alerts=AlertsView(list(account.alert_emails), facts.alert_url),
        limits=LimitsView(
            own.events_per_second or limits.ACCOUNT_EVENTS_PER_SECOND,
            own.bytes_per_second or limits.ACCOUNT_BYTES_PER_SECOND,
            own.open_deliveries or limits.ACCOUNT_OPEN_DELIVERIES,
            own.endpoints or limits.ACCOUNT_ENDPOINTS,
        ),
        retention_days=account.retention_days,
        deleted_at=show_time_or_none(account.deleted_ms),
        version=facts.running.document.version,
    )


ROUTES = (
    Route("GET", "/v1/account", Scope.READ, read_own, "Read your account", gives={200: AccountView}),
    Route(
        "PATCH", "/v1/account", Scope.ADMIN, patch_own, "Change your account's name and alerts",
        takes=SettingsForm, gives={200: AccountView}, problems=(409,), headers=IF_MATCH,
    ),
    Route(
        "GET", "/v1/account/secret", Scope.ADMIN, show_secret, "Show your signing secret",
        gives={200: SecretView},
    ),
    Route(
        "POST", "/v1/account/secret/rotate", Scope.ADMIN, rotate_secret, "Rotate your signing secret",
        takes=RotationForm, takes_optional=True, gives={200: SecretView}, problems=(409,),
    ),
    Route(
        "POST", "/v1/account/secret/switch", Scope.ADMIN, switch_secret, "Sign with the new secret from now on",
        gives={200: SecretView}, problems=(409,),
    ),
    Route(
        "GET", "/v1/accounts", Scope.OPERATOR, list_accounts, "List accounts",
        query=PageQuery, gives={200: Page[AccountView]},
    ),
    Route(
        "POST", "/v1/accounts", Scope.OPERATOR, create_account, "Make an account",
        takes=AccountForm, gives={201: AccountView},
    ),
    Route(
        "GET", "/v1/accounts/{account_id}", Scope.OPERATOR, read_account, "Read an account",
        gives={200: AccountView}, problems=(404,),
    ),
    Route(
        "PATCH", "/v1/accounts/{account_id}", Scope.OPERATOR, patch_account, "Change an account",
        takes=AccountForm, gives={200: AccountView}, problems=(404, 409), headers=IF_MATCH,
    ),
    Route(
        "DELETE", "/v1/accounts/{account_id}", Scope.OPERATOR, delete_account, "Delete an account",
        query=DeleteQuery, gives={202: AccountView}, problems=(404, 409),
    ),
)  # fmt: skip
