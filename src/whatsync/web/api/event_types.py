"""Routes of event types: the catalogue with fields, example and JSON Schema, and an account's own types."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from whatsync.engine.event_types import TypeFacts
from whatsync.model.account import Scope
from whatsync.model.catalogue import Kind
from whatsync.model.shape import Field
from whatsync.web.api.call import Answer, Call, Page, PageQuery, Route, Time, listed, position_of, show_time_or_none


class TypeForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """An event type of one's own."""

    name: Annotated[str, Meta(description="Words joined by dots, such as `order.created`")]
    description: str = ""


class FieldView(msgspec.Struct, frozen=True, rename="camel"):
    """One field of a type's data."""

    name: str
    types: Annotated[list[str], Meta(description="JSON types; empty: any")]
    nullable: bool
    required: Annotated[bool, Meta(description="Whether `POST /v1/events` needs it; what is sent has every field")]
    description: str
    values: Annotated[list[str], Meta(description="The possible values, where they are listed")]
    fields: list["FieldView"]


class TypeView(msgspec.Struct, frozen=True, rename="camel"):
    """An event type."""

    name: str
    kind: Annotated[Kind, Meta(description="`documented`, `operational` or your `own`")]
    description: str
    in_wildcard: Annotated[bool, Meta(description="Whether an endpoint with `*` gets it")]
    fields: list[FieldView]
    filterable: Annotated[list[str], Meta(description="Fields an endpoint's `filters` may name")]
    example: Annotated[dict[str, Any], Meta(description="A whole body as it is sent")] | None
    schema: Annotated[dict[str, Any], Meta(description="JSON Schema of the body that is sent")]
    input_schema: Annotated[dict[str, Any], Meta(description="JSON Schema of `data` for `POST /v1/events`")]
    created_at: Annotated[Time, Meta(description="Of a type of your own")] | None


async def list_types(call: Call) -> Answer:
    """The catalogue in its order, then your own types by name. `whatsapp.<name>` types are not listed: any may come."""
    query: PageQuery = call.query
    page, after = call.services.event_types.page(call.account, position_of(query.cursor), query.limit)
    return listed((_view(facts) for facts in page), after)


async def read_type(call: Call) -> Answer:
    """One event type."""
    return Answer(200, _view(call.services.event_types.read(call.account, call.path["name"])))


async def put_type(call: Call) -> Answer:
    """Events of it can be sent at once, and endpoints can name it. Posting a name again changes its description."""
    form: TypeForm = call.body
    facts, made = await call.services.event_types.put(call.account, form.name, form.description, call.principal.actor)
    return Answer(201 if made else 200, _view(facts))


async def delete_type(call: Call) -> Answer:
    """Its past events stay. Endpoints must not name it any more."""
    await call.services.event_types.delete(call.account, call.path["name"], call.principal.actor)
    return Answer(204)


def _view(facts: TypeFacts) -> TypeView:
    return TypeView(
        name=facts.name,
        kind=facts.kind,
        description=facts.description,
        in_wildcard=facts.in_wildcard,
        fields=[_field(field) for field in facts.fields],
        filterable=list(facts.filterable),
        example=facts.example,
        schema=facts.schema,
        input_schema=facts.input_schema,
        created_at=show_time_or_none(facts.created_ms),
    )


def _field(field: Field) -> FieldView:
    return FieldView(
        name=field.name,
        types=list(field.types),
        nullable=field.nullable,
        required=field.required,
        description=field.description,
        values=list(field.values),
        fields=[_field(inner) for inner in field.fields],
    )


ROUTES = (
    Route(
        "GET", "/v1/event-types", Scope.READ, list_types, "List event types",
        query=PageQuery, gives={200: Page[TypeView]},
    ),
    Route(
        "POST", "/v1/event-types", Scope.ADMIN, put_type, "Make an event type of your own",
        takes=TypeForm, gives={201: TypeView, 200: TypeView}, problems=(409,),
    ),
    Route(
        "GET", "/v1/event-types/{name}", Scope.READ, read_type, "Read an event type",
        gives={200: TypeView}, problems=(404,),
    ),
    Route(
        "DELETE", "/v1/event-types/{name}", Scope.ADMIN, delete_type, "Delete an event type of your own",
        gives={204: None}, problems=(404, 409),
    ),
)  # fmt: skip
