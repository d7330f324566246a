"""``/openapi.json`` and ``/docs``: the API's description for programs and, rendered here on the server, for people."""

from functools import lru_cache
from importlib import resources
from typing import Any

import jinja2
import msgspec

from whatsync.model.catalogue import CATALOGUE
from whatsync.web.api.call import Answer, Call, Route
from whatsync.web.openapi import document, tag_of

_HTML = "text/html; charset=utf-8"
_CSS = "text/css; charset=utf-8"
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


@lru_cache(maxsize=2)
def _document(routes: tuple[Route, ...]) -> bytes:
    return msgspec.json.encode(document(routes))


@lru_cache(maxsize=2)
def _page(routes: tuple[Route, ...]) -> bytes:
    described = document(routes)
    loader = jinja2.PackageLoader("whatsync.web", "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters["kind"] = _kind
    tags: dict[str, list[dict[str, Any]]] = {}
    for route in routes:
        operation = described["paths"][route.path][route.method.lower()]
        shown = {**operation, "method": route.method, "path": route.path, "route": route}
        tags.setdefault(tag_of(route), []).append(shown)
    text = environment.get_template("reference.html").render(
        tags=tags, schemas=described["components"]["schemas"], catalogue=CATALOGUE.values(), encode=_pretty
    )
    return text.encode()


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _kind(schema: dict[str, Any] | bool) -> str:
    """A schema in a few words."""
    if isinstance(schema, bool):
        return "anything"
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return _pretty(schema["const"])
    if "enum" in schema:
        return ", ".join(_pretty(value) for value in schema["enum"])
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " or ".join(_kind(part) for part in schema[word])
    kind = str(schema.get("format") or schema.get("type", "anything"))
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_kind(schema['additionalProperties'])}"
    return kind


async def openapi(call: Call) -> Answer:
    """This API as an OpenAPI 3.1 document, the events that receivers get included (`webhooks`)."""
    return Answer(200, _document(call.routes), {"cache-control": "no-cache"})


async def docs(call: Call) -> Answer:
    """This API for people: every call, field and event."""
    return Answer(200, _page(call.routes), _PAGE_HEADERS, _HTML)


async def style(call: Call) -> Answer:
    """The look of the reference page."""
    css = (resources.files("whatsync.web") / "static" / "reference.css").read_bytes()
    return Answer(200, css, {"cache-control": "max-age=3600"}, _CSS)


ROUTES = (
    Route("GET", "/openapi.json", None, openapi, "The OpenAPI document", gives={200: dict[str, Any]}),
    Route("GET", "/docs", None, docs, "The API for people", gives={200: str}, content_type=_HTML),
    Route("GET", "/docs/reference.css", None, style, "The page's style sheet", gives={200: str}, content_type=_CSS),
)
