"""Steps that tests of the API's history have in common: make an endpoint, an event, and wait for what comes of it."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.patience import PATIENCE_SECONDS
from tests.web.running import Running


async def make_endpoint(web: Running, url: str, **form: Any) -> dict[str, Any]:
    """A new endpoint for everything."""
    answer = await web.call("POST", "/v1/endpoints", json={"url": url, "events": ["*"], **form})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def make_message(web: Running, text: str = "Hello", **more: Any) -> dict[str, Any]:
    """Accept a message; its receipt."""
    data = {"from": "+1234567890", "to": "+0987654321", "text": text}
    answer = await web.call("POST", "/v1/events", json={"event": "message.incoming", "data": data, **more})
    assert answer.status_code == 202, answer.text
    receipt: dict[str, Any] = answer.json()
    return receipt


async def read(web: Running, path: str) -> Any:
    """A good answer's body."""
    answer = await web.call("GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def read_until(web: Running, path: str, true: Callable[[Any], bool]) -> Any:
    """Read until the answer says it; bounded, so that what never comes fails."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true(body := await read(web, path)):  # noqa: ASYNC110 - seen from outside there is only asking
            await asyncio.sleep(0.01)
    return body


async def deliveries(web: Running, count: int, state: str, query: str = "") -> list[dict[str, Any]]:
    """Wait until so many deliveries are in a state; all that the query finds in it, newest first."""
    path = f"/v1/deliveries?state={state}{query}"
    body = await read_until(web, path, lambda page: len(page["items"]) >= count)
    items: list[dict[str, Any]] = body["items"]
    return items
