"""Event types as an account sees them: the catalogue's, and its own by name and description. Knows no HTTP.

What the names mean is in ``model/catalogue.py``.
"""

from typing import Any

import msgspec

from whatsync.engine import audit
from whatsync.engine.configuration import Configuration
from whatsync.engine.directory import EVENT_TYPE, Directory, RunningAccount
from whatsync.model import limits
from whatsync.model.account import OwnType
from whatsync.model.catalogue import (
    CATALOGUE,
    Kind,
    covered_by_wildcard,
    envelope_schema,
    filterable,
    input_schema,
    own_name_problem,
)
from whatsync.model.errors import Conflict, FieldError, Invalid, LimitExceeded, NotFound
from whatsync.model.shape import Field
from whatsync.ports.clock import Clock
from whatsync.ports.store import Change, Delete, Put


class TypeFacts(msgspec.Struct, frozen=True):
    """One event type with everything a receiver or sender needs to know of it."""

    name: str
    kind: Kind
    description: str
    in_wildcard: bool
    fields: tuple[Field, ...]
    filterable: tuple[str, ...]
    example: dict[str, Any] | None
    schema: dict[str, Any]
    """Of what an endpoint receives."""
    input_schema: dict[str, Any]
    """Of ``data`` as ``POST /v1/events`` takes it."""
    created_ms: int | None = None


class EventTypes:
    """The event types of all accounts."""

    def __init__(self, directory: Directory, configuration: Configuration, clock: Clock) -> None:
        self._directory = directory
        self._configuration = configuration
        self._clock = clock

    def page(
        self, account: RunningAccount, after: int | None = None, limit: int = limits.PAGE_ITEMS_DEFAULT
    ) -> tuple[list[TypeFacts], int | None]:
        """List the catalogue in its order, then the account's own types by name; and where the next page begins."""
        names = [*CATALOGUE, *sorted(account.own_types)]
        start = max(0, after or 0)
        page = [self.read(account, name) for name in names[start : start + limit]]
        return page, start + limit if len(names) > start + limit else None

    def read(self, account: RunningAccount, name: str) -> TypeFacts:
        """One event type. Raises NotFound."""
        known = CATALOGUE.get(name)
        own = account.own_types.get(name)
        if known is not None:
            kind, description, fields, example = known.kind, known.description, known.fields, dict(known.example)
        elif own is not None:
            kind, description, fields, example = Kind.OWN, own.description, (), None
        else:
            raise _unknown(name)
        return TypeFacts(
            name=name,
            kind=kind,
            description=description,
            in_wildcard=covered_by_wildcard(name),
            fields=fields,
            filterable=tuple(filterable(name)),
            example=example,
            schema=envelope_schema(name, description),
            input_schema=input_schema(name),
            created_ms=None if own is None else own.created_ms,
        )

    async def put(self, account: RunningAccount, name: str, description: str, actor: str) -> tuple[TypeFacts, bool]:
        """Make a type, or give one that exists a new description; says whether it was made.

        Raises Invalid, LimitExceeded, Conflict.
        """
        description = _checked(name, description)
        before = account.own_types.get(name)
        if before is not None and before.description == description:
            return self.read(account, name), False
        if before is None and len(account.own_types) >= limits.ACCOUNT_EVENT_TYPES:
            raise LimitExceeded(
                "event_types",
                f"the account has {limits.ACCOUNT_EVENT_TYPES:,} event types already; delete some first",
                60,
            )
        now_ms = self._clock.now_ms()
        own = OwnType(name, description, now_ms if before is None else before.created_ms)
        document = self._directory.document(EVENT_TYPE, _document_id(account, name))
        version = 0 if document is None else document.version
        put = Put(EVENT_TYPE, _document_id(account, name), account.row, msgspec.json.encode(own), version)
        action = "event_type.created" if before is None else "event_type.changed"
        entry = audit.entry(account.row, now_ms, actor, action, subject=name, before=before, after=own)
        await self._configuration.change(Change(account.row, (put,), audit=(entry,)))
        return self.read(account, name), before is None

    async def delete(self, account: RunningAccount, name: str, actor: str) -> None:
        """Delete an own type that no endpoint names. Its past events stay. Raises NotFound, Conflict."""
        own = account.own_types.get(name)
        if own is None:
            raise _unknown(name)
        using = [running.endpoint.id for running in account.endpoints.values() if name in running.endpoint.events]
        if using:
            raise Conflict(
                "event_type_in_use",
                f"{len(using):,} endpoint(s) name this type, such as {using[0]}; take it out of their events first",
            )
        entry = audit.entry(account.row, self._clock.now_ms(), actor, "event_type.deleted", subject=name, before=own)
        delete = Delete(EVENT_TYPE, _document_id(account, name))
        await self._configuration.change(Change(account.row, deletes=(delete,), audit=(entry,)))


def _checked(name: str, description: str) -> str:
    errors = []
    problem = own_name_problem(name)
    if problem is not None:
        errors.append(FieldError("name", problem))
    description = description.strip()
    if len(description) > limits.DESCRIPTION_CHARS_MAX or not description.replace("\n", "").isprintable():
        message = f"may have at most {limits.DESCRIPTION_CHARS_MAX} printable characters"
        errors.append(FieldError("description", message))
    if errors:
        raise Invalid(errors)
    return description


def _document_id(account: RunningAccount, name: str) -> str:
    return f"{account.account.id}:{name}"


def _unknown(name: str) -> NotFound:
    return NotFound("event_type_not_found", f"there is no event type {name[:80]!r}; GET /v1/event-types lists them")
