"""Routes of API keys: an account's own, and operators'. A key's text is in the answer that makes it, never again."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from whatsync.engine.directory import RunningAccount
from whatsync.engine.keys import MadeKey
from whatsync.model.account import ApiKey, Scope
from whatsync.web.api.call import (
    Answer,
    Call,
    Moment,
    Page,
    PageQuery,
    Route,
    Time,
    listed,
    position_of,
    show_time,
    show_time_or_none,
    to_ms,
)


class KeyForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A key as it is asked for."""

    name: Annotated[str, Meta(description="To recognise it by, such as `shop backend`")]
    scopes: Annotated[list[Scope], Meta(description="`admin` includes the other two")]
    expires_at: Moment | None = None


class OperatorKeyForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """An operator's key as it is asked for."""

    name: str
    expires_at: Moment | None = None


class KeyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """How to revoke."""

    force: Annotated[bool, Meta(description="Also the last key that can make new ones, by itself")] = False


class KeyView(msgspec.Struct, frozen=True, rename="camel"):
    """A key without its text."""

    id: str
    name: str
    hint: Annotated[str, Meta(description="Its last four characters")]
    scopes: list[Scope]
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None


class NewKey(KeyView, frozen=True, rename="camel"):
    """A new key; this is the only time its text is shown."""

    key: Annotated[str, Meta(examples=["wsk_…"])]


async def list_keys(call: Call) -> Answer:
    """The account's keys, revoked ones for 90 days too."""
    return _page(call, call.account)


async def create_key(call: Call) -> Answer:
    """Keep the answer's `key`: only its hash is stored, so nobody can show it again."""
    form: KeyForm = call.body
    return await _create(call, call.account, form.name, form.scopes, form.expires_at)


async def revoke_key(call: Call) -> Answer:
    """It counts at once. The last key with the scope `admin` can't revoke itself without `force`."""
    return await _revoke(call, call.account)


async def list_operator_keys(call: Call) -> Answer:
    """The keys of this installation's operators."""
    return _page(call, None)


async def create_operator_key(call: Call) -> Answer:
    """An operator's key may do everything, in every account."""
    form: OperatorKeyForm = call.body
    return await _create(call, None, form.name, [Scope.OPERATOR], form.expires_at)


async def revoke_operator_key(call: Call) -> Answer:
    """It counts at once. The last operator's key can't revoke itself without `force`."""
    return await _revoke(call, None)


def _page(call: Call, account: RunningAccount | None) -> Answer:
    query: PageQuery = call.query
    keys, after = call.services.keys.page(account, position_of(query.cursor), query.limit)
    return listed((_view(key) for key in keys), after)


async def _create(
    call: Call, account: RunningAccount | None, name: str, scopes: Sequence[Scope], expires_at: Moment | None
) -> Answer:
    made = await call.services.keys.create(account, name, scopes, call.principal.actor, to_ms(expires_at))
    return Answer(201, _new(made))


async def _revoke(call: Call, account: RunningAccount | None) -> Answer:
    query: KeyQuery = call.query
    principal = call.principal
    key = await call.services.keys.revoke(
        account, call.path["key_id"], principal.actor, force=query.force, by=principal.key.id
    )
    return Answer(200, _view(key))


def _view(key: ApiKey) -> KeyView:
    return KeyView(
        id=key.id,
        name=key.name,
        hint=key.hint,
        scopes=list(key.scopes),
        created_at=show_time(key.created_ms),
        expires_at=show_time_or_none(key.expires_ms),
        revoked_at=show_time_or_none(key.revoked_ms),
    )


def _new(made: MadeKey) -> NewKey:
    return NewKey(**msgspec.structs.asdict(_view(made.key)), key=made.secret)


ROUTES = (
    Route(
        "GET", "/v1/keys", Scope.ADMIN, list_keys, "List API keys",
        query=PageQuery, gives={200: Page[KeyView]},
    ),
    Route(
        "POST", "/v1/keys", Scope.ADMIN, create_key, "Make an API key",
        takes=KeyForm, gives={201: NewKey},
    ),
    Route(
        "DELETE", "/v1/keys/{key_id}", Scope.ADMIN, revoke_key, "Revoke an API key",
        query=KeyQuery, gives={200: KeyView}, problems=(404, 409),
    ),
    Route(
        "GET", "/v1/operator-keys", Scope.OPERATOR, list_operator_keys, "List operators' keys",
        query=PageQuery, gives={200: Page[KeyView]},
    ),
    Route(
        "POST", "/v1/operator-keys", Scope.OPERATOR, create_operator_key, "Make an operator's key",
        takes=OperatorKeyForm, gives={201: NewKey},
    ),
    Route(
        "DELETE", "/v1/operator-keys/{key_id}", Scope.OPERATOR, revoke_operator_key, "Revoke an operator's key",
        query=KeyQuery, gives={200: KeyView}, problems=(404, 409),
    ),
)  # fmt: skip
