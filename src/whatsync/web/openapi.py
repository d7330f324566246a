"""The OpenAPI 3.1 document, made from the routes and their types, so that it can't say anything else than the code.

Pure: nothing here answers a request.
"""

import inspect
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from whatsync import __version__
from whatsync.model import limits
from whatsync.model.account import Scope
from whatsync.model.catalogue import CATALOGUE, envelope_schema, input_schema
from whatsync.web.api.call import Route
from whatsync.web.problems import CONTENT_TYPE, ProblemDocument

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"{(\w+)}")
_SCOPE_WORDS = {
    Scope.EVENTS_WRITE: "Needs a key with the scope `events:write`.",
    Scope.READ: "Needs a key with the scope `read`.",
    Scope.ADMIN: "Needs a key with the scope `admin`.",
    Scope.OPERATOR: "Needs an operator's key (`wso_…`).",
}
_ALWAYS = (400, 422, 500, 503)
_WITH_KEY = (401, 403, 404, 429)
_TEXT_LIMIT = 160


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole document."""
    routes = list(routes)
    types, components = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, types)
    components.update(_event_schemas())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "WhatsSync",
            "version": __version__,
            "description": "Accepts events and delivers them, signed and retried, to your own URLs.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(tag_of(route) for route in routes)],
        "paths": paths,
        "webhooks": _webhooks(),
        "components": {
            "schemas": components,
            "responses": {_problem_name(status): _problem(status) for status in _statuses(routes)},
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An account's API key (`wsk_…`) or an operator's (`wso_…`).",
                }
            },
        },
    }


def tag_of(route: Route) -> str:
    """The resource a route belongs to, as a word: the first part of its path."""
    parts = [part for part in route.path.split("/") if part and part != "v1"]
    return parts[0].removesuffix(".json") if route.path.startswith("/v1/") else "server"


def operation_id(route: Route) -> str:
    """A name for the operation that stays when other routes come and go."""
    words = [part for part in re.split(r"[/.\-]", route.path.removeprefix("/v1")) if part and part[0] != "{"]
    single = "_one" if route.path.endswith("}") else ""
    return "_".join([route.method.lower(), *words]) + single


def _schemas(routes: list[Route]) -> tuple[dict[Any, Any], dict[str, Any]]:
    wanted: list[Any] = [ProblemDocument]
    for route in routes:
        for given in (route.takes, route.query, *route.gives.values()):
            for kind in given if isinstance(given, tuple) else (given,):
                if kind not in (None, bytes, str) and kind not in wanted:
                    wanted.append(kind)
    schemas, components = msgspec.json.schema_components(wanted, ref_template=_REF)
    return dict(zip(wanted, schemas, strict=True)), dict(components)


def _operation(route: Route, types: dict[Any, Any]) -> dict[str, Any]:
    words = [inspect.cleandoc(route.handler.__doc__ or ""), _SCOPE_WORDS[route.scope] if route.scope else ""]
    operation: dict[str, Any] = {
        "operationId": operation_id(route),
        "tags": [tag_of(route)],
        "summary": route.summary,
        "description": "\n\n".join(word for word in words if word),
        "parameters": _parameters(route, types),
        "responses": _responses(route, types),
        "security": [{"key": []}] if route.scope else [],
    }
    if route.takes is not None:
        operation["requestBody"] = _request_body(route, types)
    return operation


def _parameters(route: Route, types: dict[Any, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "maxLength": _TEXT_LIMIT}}
        for name in _PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        components = msgspec.json.schema_components([route.query], ref_template=_REF)[1]
        schema = components[types[route.query]["$ref"].rpartition("/")[2]]
        for name, field in schema["properties"].items():
            found.append(_query_parameter(name, field, name in schema.get("required", ())))
    for name, description in route.headers.items():
        found.append({"name": name, "in": "header", "description": description, "schema": {"type": "string"}})
    if route.scope not in (None, Scope.OPERATOR):
        words = "The account an operator's key speaks for; needed with several accounts"
        found.append({"name": "account", "in": "query", "description": words, "schema": {"type": "string"}})
    return found


def _query_parameter(name: str, field: dict[str, Any], required: bool) -> dict[str, Any]:
    parts = field.get("anyOf", [field])
    parts = [part for part in parts if part != {"type": "null"}]
    schema = {key: value for key, value in field.items() if key not in ("anyOf", "description")}
    if schema.get("default", 0) is None:
        del schema["default"]
    schema |= parts[0] if len(parts) == 1 else {"anyOf": parts}
    description = schema.pop("description", None) or field.get("description")
    parameter: dict[str, Any] = {"name": name, "in": "query", "required": required, "schema": schema}
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": False}
    return parameter | ({"description": description} if description else {})


def _request_body(route: Route, types: dict[Any, Any]) -> dict[str, Any]:
    if route.streams:
        return {"required": True, "content": {"multipart/form-data": {"schema": types[route.takes]}}}
    if route.body_schema is not None:
        schema: Any = route.body_schema
    elif route.takes is bytes:
        one = {"$ref": "#/components/schemas/EventSubmission"}
        many = {"type": "array", "items": one, "minItems": 1, "maxItems": limits.EVENTS_PER_REQUEST_MAX}
        schema = {"oneOf": [one, many]}
    else:
        schema = types[route.takes]
    return {"required": not route.takes_optional, "content": {"application/json": {"schema": schema}}}


def _responses(route: Route, types: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, kind in route.gives.items():
        answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if kind is not None:
            answer["content"] = {route.content_type.partition(";")[0]: {"schema": _answer_schema(kind, types)}}
        found[str(status)] = answer
    for status in sorted({*route.problems, *_ALWAYS, *(_WITH_KEY if route.scope else ())}):
        found.setdefault(str(status), {"$ref": f"#/components/responses/{_problem_name(status)}"})
    return found


def _answer_schema(kind: Any, types: dict[Any, Any]) -> Any:
    if isinstance(kind, tuple):
        return {"oneOf": [types[one] for one in kind]}
    return {"type": "string"} if kind in (bytes, str) else types[kind]


def _statuses(routes: list[Route]) -> list[int]:
    return sorted({*_ALWAYS, *_WITH_KEY, *(status for route in routes for status in route.problems)})


def _problem_name(status: int) -> str:
    return "Problem" + re.sub(r"\W", "", HTTPStatus(status).phrase.title())


def _problem(status: int) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if status in (429, 503):
        headers["Retry-After"] = {"description": "Seconds to wait", "schema": {"type": "integer"}}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    answer: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {CONTENT_TYPE: {"schema": schema}},
    }
    return answer | ({"headers": headers} if headers else {})


def _event_schemas() -> dict[str, Any]:
    submission = {
        "title": "EventSubmission",
        "type": "object",
        "required": ["event", "data"],
        "additionalProperties": False,
        "properties": {
            "event": {"type": "string", "description": "A type of the catalogue or of the account's own"},
            "data": {"type": "object", "description": "As the type defines"},
            "id": {"type": "string", "pattern": f"^[A-Za-z0-9_-]{{1,{limits.EVENT_ID_CHARS_MAX}}}$"},
            "timestamp": {"type": "string", "format": "date-time"},
            "contact": {"type": "string", "description": "Whom it is about: the ordering key"},
            "details": {"type": "object", "description": "What WhatsApp said beyond the documented fields"},
        },
        "examples": [
            {"event": name, "data": one.example["data"]} for name, one in CATALOGUE.items() if one.kind == "documented"
        ],
    }
    data = {f"Data.{name}": input_schema(name) for name, one in CATALOGUE.items() if one.kind == "documented"}
    return {"EventSubmission": submission, **data}


def _webhooks() -> dict[str, Any]:
    found = {}
    for name, one in CATALOGUE.items():
        schema = {key: value for key, value in envelope_schema(name).items() if key != "$schema"}
        found[name] = {
            "post": {
                "operationId": "webhook_" + name.replace(".", "_"),
                "summary": one.description,
                "tags": ["webhooks"],
                "requestBody": {
                    "content": {
                        "application/json": {"schema": schema, "examples": {"documented": {"value": one.example}}}
                    }
                },
                "responses": {"2XX": {"description": "Any status from 200 to 299 means: delivered"}},
            }
        }
    return found
