"""Every operation of the OpenAPI document under generated requests, good and bad: no 500, no undocumented answer."""

import asyncio
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.web.running import Running, running
from tests.web.test_auth import furnish
from whatsync.ports.sender import Failure, Request, Timing
from whatsync.web.api.routes import ROUTES
from whatsync.web.openapi import document

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 12
SKIPPED = {"/docs", "/docs/reference.css", "/openapi.json", "/metrics"}
"""Fixed pages: other tests read them."""

pytestmark = pytest.mark.takes_apart
schema = schemathesis.openapi.from_dict(document([route for route in ROUTES if route.path not in SKIPPED]))
ids: dict[str, str] = {}


@schema.hook
def map_path_parameters(_context: Any, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Half of the time things that are there, so that more than the 404 is seen."""
    for name in parameters or {}:
        assert parameters is not None
        if name in ids and name != "account_id" and random.Random(repr(parameters)).random() < 0.5:
            parameters[name] = ids[name]
    return parameters


@schema.hook
def map_query(_context: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:
    """Nobody waits in a test; and with made-up accounts nothing but their 404 would be seen."""
    for name, value in (("wait", 0), ("account", None)):
        if query and name in query:
            query[name] = value
            if value is None:
                del query[name]
    return query


async def send_nothing(_request: Request) -> Failure:
    """In place of the network."""
    return Failure("connection_refused", "no network in this test", Timing())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server in a thread of its own: the generated requests are synchronous."""
    folder: Path = tmp_path_factory.mktemp("server")
    ready = threading.Event()
    made: list[Running] = []
    loop = asyncio.new_event_loop()
    ending = asyncio.Event()

    async def serve() -> None:
        async with running(folder) as web:
            web.server.sender.send = send_nothing  # type: ignore[method-assign,assignment]
            ids.update(await furnish(web))
            made.append(web)
            ready.set()
            await ending.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield made[0]
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(30)
        loop.close()


@pytest.mark.slow
@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
def test_no_undocumented_answer(served: Running, case: Any) -> None:
    operators = ("operator", "accounts", "users", "sources", "all-numbers")
    operator = any(word in case.path for word in operators) or ("numbers" in case.path and case.method != "GET")
    key = served.operator_key if operator else served.account_key
    answer = case.call(base_url=f"http://127.0.0.1:{served.port}", headers={"authorization": f"Bearer {key}"})
    case.validate_response(answer, checks=CHECKS)
