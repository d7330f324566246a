"""A source: a Meta app that posts to us. A number: one WhatsApp number and whose it is. Their records and forms.

Pure. Secrets in records are sealed text; forms bring them plain, once.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from whatsync.model import limits
from whatsync.model.errors import FieldError, Invalid

GRAPH_VERSION = "v25.0"
"""Of Meta's Graph API, where a source names none."""
GRAPH_URL = "https://graph.facebook.com"

_VERSION = re.compile(r"v\d{1,3}\.\d{1,3}", re.ASCII)
_APP_ID = re.compile(r"\d{1,32}", re.ASCII)
_NUMBER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class Auth(StrEnum):
    """How a source's requests prove whose they are."""

    SIGNATURE = "signature"
    """Meta's ``X-Hub-Signature-256``, made with the app secret."""
    BASIC = "basic"
    """User name and password, for providers that forward Meta's bodies without its signature."""


class Source(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A Meta app. Document kind ``source``, of no account: only operators see it."""

    id: str
    name: str
    verify_token: str
    """Sealed, as all secrets here."""
    created_ms: int
    updated_ms: int
    app_id: str | None = None
    app_secret: str | None = None
    previous_secret: str | None = None
    """Also good until ``previous_until_ms``, while the secret is being changed."""
    previous_until_ms: int | None = None
    access_token: str | None = None
    api_version: str = GRAPH_VERSION
    auth: Auth = Auth.SIGNATURE
    username: str | None = None
    password: str | None = None
    account: str | None = None
    """Numbers that appear are this account's; ``None``: nobody's until they are assigned."""


class Former(msgspec.Struct, frozen=True, rename="camel"):
    """An account a number was taken from."""

    account: str
    until_ms: int


class Number(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A WhatsApp number. Document kind ``number``, id ``phoneNumberId``, of the account it belongs to, or of none."""

    id: str
    source: str
    created_ms: int
    updated_ms: int
    account: str | None = None
    name: str = ""
    display: str | None = None
    """The phone number with ``+``, as Meta told it."""
    business: str | None = None
    """Its WhatsApp business account (WABA)."""
    access_token: str | None = None
    """Sealed; ``None``: the source's is used."""
    former: tuple[Former, ...] = ()
    """Earlier accounts, oldest first: what happened while it was theirs stays theirs, however late it comes."""


class SourceForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A source as it is asked for. Making one needs ``name``; changing takes any of the fields."""

    name: str | UnsetType = UNSET
    app_id: Annotated[str, Meta(description="Meta's id of the app")] | UnsetType | None = UNSET
    app_secret: (
        Annotated[str, Meta(description="What Meta signs with; the one before stays good for 7 days")]
        | UnsetType
        | None
    ) = UNSET
    verify_token: (
        Annotated[str, Meta(description="What Meta sends when the callback is set; made up where left out")] | UnsetType
    ) = UNSET
    access_token: (
        Annotated[str, Meta(description="A system user's token: for media, and for connecting by itself")]
        | UnsetType
        | None
    ) = UNSET
    api_version: Annotated[str, Meta(description="Of Meta's Graph API")] | UnsetType | None = UNSET
    auth: Auth | UnsetType | None = UNSET
    username: Annotated[str, Meta(description="With `auth` `basic`")] | UnsetType | None = UNSET
    password: Annotated[str, Meta(description="With `auth` `basic`")] | UnsetType | None = UNSET
    account: Annotated[str, Meta(description="New numbers go to this account")] | UnsetType | None = UNSET


class NumberForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What can be changed of a number."""

    name: str | UnsetType | None = UNSET
    account: Annotated[str, Meta(description="Whose it is; null: nobody's")] | UnsetType | None = UNSET
    waba_id: Annotated[str, Meta(description="Its WhatsApp business account")] | UnsetType | None = UNSET
    access_token: Annotated[str, Meta(description="For its media; null: the source's token")] | UnsetType | None = UNSET


class NewNumberForm(NumberForm, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A number before its first webhook."""

    phone_number_id: Annotated[str, Meta(description="Meta's id of the number")]
    source: Annotated[str, Meta(description="The source it comes through, `src_…`")]


SEALED = ("app_secret", "verify_token", "access_token", "password")
"""Fields of the forms that are sealed in the records."""


def read_source(form: SourceForm, current: Source | None = None) -> dict[str, Any]:
    """The fields of ``Source`` that the form sets, checked, secrets plain. Raises Invalid with every wrong field."""
    read: dict[str, Any] = {}
    errors: list[FieldError] = []
    if current is None and form.name is UNSET:
        errors.append(FieldError("name", "is missing; give the source a name, such as the app's"))
    for name, reader in _READERS.items():
        value = getattr(form, name)
        if value is UNSET:
            continue
        problem = None if value is None else reader(value)
        if problem is not None:
            errors.append(FieldError(_camel(name), problem))
        read[name] = _DEFAULTS.get(name) if value is None else value.strip() if name == "name" else value
    if form.account is not UNSET:
        read["account"] = form.account
    errors += _credentials(form, read, current)
    if errors:
        raise Invalid(errors)
    return read


def _credentials(form: SourceForm, read: dict[str, Any], current: Source | None) -> list[FieldError]:
    if form.auth is not UNSET:
        read["auth"] = form.auth or Auth.SIGNATURE
    if read.get("auth", Auth.SIGNATURE if current is None else current.auth) is Auth.SIGNATURE:
        return []
    words = "is needed with auth basic; give both username and password"
    stored = {} if current is None else msgspec.structs.asdict(current)
    return [FieldError(name, words) for name in ("username", "password") if not read.get(name, stored.get(name))]


def read_number(form: NumberForm) -> dict[str, Any]:
    """The fields of ``Number`` that the form sets, except ``account``. Raises Invalid."""
    read: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name, record, reader, default in (
        ("name", "name", _name_or_empty, ""),
        ("waba_id", "business", _app_id, None),
        ("access_token", "access_token", _token, None),
    ):
        value = getattr(form, name)
        if value is UNSET:
            continue
        problem = None if value is None else reader(value)
        if problem is not None:
            errors.append(FieldError(_camel(name), problem))
        read[record] = default if value is None else value
    if isinstance(form, NewNumberForm) and not _NUMBER_ID.fullmatch(form.phone_number_id):
        errors.append(FieldError("phoneNumberId", "is no phone number id; Meta's are digits"))
    if errors:
        raise Invalid(errors)
    return read


def _camel(name: str) -> str:
    words = name.split("_")
    return words[0] + "".join(word.capitalize() for word in words[1:])


def _name(text: str) -> str | None:
    return "must have at least one character" if not text.strip() else _name_or_empty(text)


def _name_or_empty(text: str) -> str | None:
    if len(text) > limits.NAME_CHARS_MAX // 8 or not text.isprintable():
        return f"may have up to {limits.NAME_CHARS_MAX // 8} printable characters"
    return None


def _app_id(text: str) -> str | None:
    return None if _APP_ID.fullmatch(text) else "must be Meta's id, which is digits"


def _version(text: str) -> str | None:
    return None if _VERSION.fullmatch(text) else f"must be a version such as {GRAPH_VERSION}"


def _secret(text: str) -> str | None:
    if not 8 <= len(text) <= limits.SOURCE_SECRET_CHARS_MAX or not _VISIBLE.fullmatch(text):
        return f"must have 8 to {limits.SOURCE_SECRET_CHARS_MAX} visible ASCII characters"
    return None


def _token(text: str) -> str | None:
    if not 1 <= len(text) <= limits.ACCESS_TOKEN_CHARS_MAX or not _VISIBLE.fullmatch(text):
        return f"must have 1 to {limits.ACCESS_TOKEN_CHARS_MAX} visible ASCII characters; paste it without spaces"
    return None


def _user(text: str) -> str | None:
    problem = _token(text)
    return "may hold no colon" if problem is None and ":" in text else problem


_READERS: dict[str, Callable[[str], str | None]] = {
    "name": _name,
    "app_id": _app_id,
    "app_secret": _secret,
    "verify_token": _secret,
    "access_token": _token,
    "api_version": _version,
    "username": _user,
    "password": _token,
}
_DEFAULTS: dict[str, Any] = {"api_version": GRAPH_VERSION}
