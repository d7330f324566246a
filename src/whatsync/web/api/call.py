"""What a route is, what its handler gets and what it gives back; paging and times as the API writes them.

Knows no HTTP library: ``web/app.py`` turns requests into calls and answers into bytes.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from whatsync.engine.directory import RunningAccount
from whatsync.engine.services import Services
from whatsync.model import limits
from whatsync.model.account import ApiKey, Scope
from whatsync.model.errors import FieldError, Invalid, NotFound

Item = TypeVar("Item")

Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339, such as 2023-06-15T14:22:33Z")]
"""A time in a query or a body; ``to_ms`` makes milliseconds of it."""

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, examples=["2023-06-15T14:22:33.123Z"])]
"""A time in an answer, made by ``show_time``."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a key, what it may do, and the account the call is about."""

    key: ApiKey
    scopes: frozenset[Scope]
    account: RunningAccount | None
    """``None`` only for operator keys on routes of the installation itself."""

    @property
    def actor(self) -> str:
        """The word for the audit log."""
        return f"key:{self.key.id}"

    @property
    def operator(self) -> bool:
        """Whether it is an operator's key."""
        return Scope.OPERATOR in self.scopes


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a route, authenticated and decoded; ``body`` and ``query`` are the structs the route takes."""

    services: Services
    principal: Principal
    path: Mapping[str, str]
    body: Any = None
    query: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    routes: "tuple[Route, ...]" = ()
    """The whole table, for the documents made from it."""
    stream: AsyncIterator[bytes] | None = None
    """The body as it comes, for routes that take it so."""

    @property
    def account(self) -> RunningAccount:
        """The account the call is about; nothing outside it may be read or written."""
        if self.principal.account is None:
            raise NotFound("account_not_found", "there is no such account")
        return self.principal.account


@dataclass(frozen=True, slots=True)
class Stream:
    """A body that is sent piece by piece; exactly ``length`` bytes come. Not read for a HEAD."""

    length: int
    pieces: AsyncIterator[bytes]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a handler gives back: ``body`` is a struct (sent as JSON), bytes (sent as they are), a ``Stream`` or
    ``None``.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = {}
    content_type: str = "application/json"


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One row of the API's table.

    ``summary`` is a line for the reference; the handler's docstring is its longer description. ``problems`` are
    the statuses it can answer besides 401, 403, 422, 429, 500 and 503, which every route may.
    """

    method: str
    path: str
    """With parameters in braces: ``/v1/endpoints/{endpoint_id}``."""
    scope: Scope | None
    """``None``: open to everyone."""
    handler: Handler
    summary: str
    takes: type[Any] | None = None
    query: type[Any] | None = None
    gives: Mapping[int, Any] = field(default_factory=dict)
    """Status to the struct of its body, or a tuple of those it may be; ``None`` for an empty body."""
    problems: tuple[int, ...] = ()
    body_schema: Mapping[str, Any] | None = None
    """JSON Schema of a body that is taken as bytes."""
    takes_optional: bool = False
    """The body may be left out: the struct's defaults count then."""
    content_type: str = "application/json"
    """Of the good answer."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Request headers it understands, with a description each."""
    streams: bool = False
    """The body is a form (multipart) that the handler reads as it comes; ``takes`` describes its fields."""
    slashes: bool = False
    """The path's last parameter may hold slashes."""


# Paging


class PageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The part of a list's query that every list has."""

    limit: Annotated[int, Meta(ge=1, le=limits.PAGE_ITEMS_MAX, description="Items on a page")] = (
        limits.PAGE_ITEMS_DEFAULT
    )
    cursor: Annotated[str, Meta(max_length=200, description="`nextCursor` of the page before")] | None = None


class Page(msgspec.Struct, Generic[Item], frozen=True, rename="camel"):
    """One page of a list, newest first."""

    items: list[Item]
    next_cursor: Annotated[str, Meta(description="Goes into `cursor` for the next page; null at the end")] | None
    searched_to: Time | UnsetType = UNSET
    """How far back the search has looked when it stopped for its bound: more may lie beyond."""


def cursor_of(position: int | None) -> str | None:
    """Write a keyset position as an opaque cursor."""
    if position is None:
        return None
    return urlsafe_b64encode(b"\x01" + position.to_bytes(8, "big", signed=True)).decode().rstrip("=")


def listed(items: Iterable[Any], after: int | None, searched_to_ms: int | None = None) -> Answer:
    """Answer with one page: its items, where the next begins, and how far a search has come that stopped for its
    bound.
    """
    searched = show_time_or_none(searched_to_ms)
    return Answer(200, Page(list(items), cursor_of(after), UNSET if searched is None else searched))


def position_of(cursor: str | None, name: str = "cursor") -> int | None:
    """Read an opaque cursor back. Raises Invalid where it is not one of ours."""
    if cursor is None:
        return None
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 9 or raw[0] != 1 or cursor_of(int.from_bytes(raw[1:], "big", signed=True)) != cursor:
        raise Invalid([FieldError(name, "is not a cursor of this API; leave it out to start anew")])
    return int.from_bytes(raw[1:], "big", signed=True)


# Times


def to_ms(moment: datetime | None) -> int | None:
    """Milliseconds since the Unix epoch."""
    return None if moment is None else int(moment.timestamp() * 1000)


def show_time(ms: int) -> str:
    """Write milliseconds since the Unix epoch as ``2023-06-15T14:22:33.123Z``."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def show_time_or_none(ms: int | None) -> str | None:
    """The same, where there may be none."""
    return None if ms is None else show_time(ms)
