"""docs/api.md describes exactly the routes the server answers."""

import re

from tests.docs.pages import difference, page
from whatsync.web.api.routes import ROUTES

METHODS = "GET|POST|PUT|PATCH|DELETE"


def without_names(path: str) -> str:
    """``/v1/events/{id}`` and ``/v1/events/{eventId}`` are the same route."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_the_page_describes_exactly_the_routes() -> None:
    described = {
        f"{method} {without_names(path)}" for method, path in re.findall(rf"`({METHODS}) (/[^\s`?]*)", page("api.md"))
    }
    existing = {f"{route.method} {without_names(route.path)}" for route in ROUTES}
    found = difference(described, existing)
    assert not found, found
