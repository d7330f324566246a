"""Every event type there is: the public document's four, operational ones, WhatsApp's others, an account's own.

For each its data's fields, an example and a JSON Schema. Says what names mean; makes no events.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from whatsync.model import documented, limits, operational
from whatsync.model.details import DETAILS_FIELDS
from whatsync.model.shape import Field, fields_of, object_schema

WHATSAPP_PREFIX = "whatsapp."
OTHER_ID_PREFIX = "evt_"
"""Begins the ids of events of every type without a prefix of its own."""

_OWN_NAME = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+", re.ASCII)
_WHATSAPP_NAME = re.compile(r"whatsapp\.[a-z0-9_]{1,64}(\.[a-z0-9_]{1,64}){0,3}", re.ASCII)
_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Kind(StrEnum):
    """Who makes events of a type."""

    DOCUMENTED = "documented"
    OPERATIONAL = "operational"
    WHATSAPP = "whatsapp"
    OWN = "own"


class EventType(msgspec.Struct, frozen=True):
    """A type of the catalogue. ``example`` is a whole envelope in the order it is sent in."""

    name: str
    kind: Kind
    description: str
    data: type[msgspec.Struct]
    example: dict[str, Any]
    fields: tuple[Field, ...]
    id_prefix: str = OTHER_ID_PREFIX


def _documented(
    prefix: str, description: str, data: type[documented.Data], example: dict[str, Any]
) -> tuple[str, EventType]:
    name: str = example["event"]
    return name, EventType(name, Kind.DOCUMENTED, description, data, example, fields_of(data), prefix)


def _operational(description: str, data: type[operational.Notice], example: dict[str, Any]) -> tuple[str, EventType]:
    name: str = example["event"]
    return name, EventType(name, Kind.OPERATIONAL, description, data, example, fields_of(data))


CATALOGUE: Mapping[str, EventType] = MappingProxyType(
    dict(
        [
            _documented(
                "msg_",
                "Triggered when a new message is received from a contact.",
                documented.MessageIncoming,
                documented.MESSAGE_INCOMING_EXAMPLE,
            ),
            _documented(
                "status_",
                "Triggered when a message status changes (sent, delivered, read, etc.).",
                documented.MessageStatus,
                documented.MESSAGE_STATUS_EXAMPLE,
            ),
            _documented(
                "contact_update_",
                "Triggered when contact information is updated.",
                documented.ContactUpdate,
                documented.CONTACT_UPDATE_EXAMPLE,
            ),
            _documented(
                "media_",
                "Triggered when media files are uploaded.",
                documented.MediaUpload,
                documented.MEDIA_UPLOAD_EXAMPLE,
            ),
            _operational(
                "An endpoint has failed for minutes without a success, or will be disabled within a day.",
                operational.EndpointFailing,
                operational.ENDPOINT_FAILING_EXAMPLE,
            ),
            _operational(
                "An endpoint gets nothing any more until it is enabled; its deliveries are held.",
                operational.EndpointDisabled,
                operational.ENDPOINT_DISABLED_EXAMPLE,
            ),
            _operational(
                "A failing endpoint succeeds again; what waited for it is being sent.",
                operational.EndpointRecovered,
                operational.ENDPOINT_RECOVERED_EXAMPLE,
            ),
            _operational(
                "A delivery has failed at its last attempt and is not tried again by itself.",
                operational.DeliveryExhausted,
                operational.DELIVERY_EXHAUSTED_EXAMPLE,
            ),
            _operational(
                "Held deliveries of an endpoint end within a day, since events are kept no longer.",
                operational.DeliveryExpiring,
                operational.DELIVERY_EXPIRING_EXAMPLE,
            ),
            _operational(
                "A file that came with a message could not be fetched from WhatsApp.",
                operational.MediaFailed,
                operational.MEDIA_FAILED_EXAMPLE,
            ),
            _operational(
                "Requests of a source are being refused, so its events do not arrive.",
                operational.SourceRejected,
                operational.SOURCE_REJECTED_EXAMPLE,
            ),
            _operational(
                "A number sends nothing at a time when it usually does.",
                operational.NumberQuiet,
                operational.NUMBER_QUIET_EXAMPLE,
            ),
        ]
    )
)
"""The types with documented data, by name, in the order they are shown in."""

_ID_PREFIXES = {name: one.id_prefix for name, one in CATALOGUE.items()}
DOCUMENTED = tuple(name for name, one in CATALOGUE.items() if one.kind is Kind.DOCUMENTED)
OPERATIONAL = tuple(name for name, one in CATALOGUE.items() if one.kind is Kind.OPERATIONAL)
RESERVED_PREFIXES = (WHATSAPP_PREFIX, *sorted({name.partition(".")[0] + "." for name in OPERATIONAL}))
"""Names of an account's own types may not begin with these."""


def is_documented(event_type: str) -> bool:
    """Say whether this is one of the public document's four types."""
    return event_type in DOCUMENTED


def is_operational(event_type: str) -> bool:
    """Say whether events of this type are WhatsSync's own news."""
    return event_type in OPERATIONAL


def is_whatsapp(event_type: str) -> bool:
    """Say whether this names what WhatsApp sends beyond the documented types."""
    return _WHATSAPP_NAME.fullmatch(event_type) is not None


def covered_by_wildcard(event_type: str) -> bool:
    """Say whether ``*`` means this type: the documented ones and the account's own; the others by name only."""
    return not is_operational(event_type) and not event_type.startswith(WHATSAPP_PREFIX)


def kind_of(event_type: str) -> Kind:
    """Who makes events of this type; a name that means nothing else is an account's own."""
    known = CATALOGUE.get(event_type)
    if known is not None:
        return known.kind
    return Kind.WHATSAPP if event_type.startswith(WHATSAPP_PREFIX) else Kind.OWN


def id_prefix(event_type: str) -> str:
    """What ids of events of this type begin with when WhatsSync makes them."""
    return _ID_PREFIXES.get(event_type, OTHER_ID_PREFIX)


def own_name_problem(name: str) -> str | None:
    """Say why a name can't be an account's own type and what to do, ``None`` where it can."""
    if name in CATALOGUE:
        return "is a type of WhatsSync itself; choose another name"
    for prefix in RESERVED_PREFIXES:
        if name.startswith(prefix):
            return f"begins with {prefix}, which is kept for WhatsSync's own types; choose another name"
    if len(name) > limits.EVENT_TYPE_CHARS_MAX:
        return f"has {len(name):,} characters; at most {limits.EVENT_TYPE_CHARS_MAX} are allowed"
    if _OWN_NAME.fullmatch(name) is None:
        return "must be words of a-z, 0-9, _ and - joined by dots, beginning with a letter, such as order.created"
    return None


def filterable(event_type: str) -> Mapping[str, frozenset[str]]:
    """The fields an endpoint can filter this type by, with the possible values where they are listed, else empty.

    Only documented data has known fields: there is nothing to filter an account's own types by.
    """
    known = CATALOGUE.get(event_type)
    if known is None:
        return {}
    return {field.name: frozenset(field.values) for field in known.fields if field.is_scalar}


def field_of(event_type: str, name: str) -> Field | None:
    """A field of a type's data by name, ``None`` where no such field is documented."""
    known = CATALOGUE.get(event_type)
    return None if known is None else next((field for field in known.fields if field.name == name), None)


def envelope_schema(event_type: str, description: str = "") -> dict[str, Any]:
    """JSON Schema (2020-12) of what an endpoint receives, with ``data.details`` where it asks for them."""
    known = CATALOGUE.get(event_type)
    data: dict[str, Any] = {"type": "object"}
    if known is not None:
        data = object_schema(known.fields, as_sent=True)
        if known.kind is Kind.DOCUMENTED:
            data["properties"]["details"] = details_schema()
    time = {"type": "string", "format": "date-time"}
    return {
        "$schema": _SCHEMA_DIALECT,
        "title": event_type,
        "description": description if known is None else known.description,
        "type": "object",
        "properties": {
            "event": {"const": event_type},
            "id": {"type": "string", "description": "The same on every attempt and resend: deduplicate on it"},
            "timestamp": {**time, "description": "When WhatsSync made the event"},
            "data": data,
        },
        "required": ["event", "id", "timestamp", "data"],
        "additionalProperties": False,
    }


def input_schema(event_type: str) -> dict[str, Any]:
    """JSON Schema of ``data`` as ``POST /v1/events`` takes it: what may be left out is not required."""
    known = CATALOGUE.get(event_type)
    return {"type": "object"} if known is None else object_schema(known.fields, as_sent=False)


def details_schema() -> dict[str, Any]:
    """JSON Schema of details as they are sent; they are the same for every type."""
    schema = object_schema(DETAILS_FIELDS, as_sent=True)
    return {**schema, "description": "What WhatsApp said beyond the documented fields; only where the endpoint asks"}
