"""Large bodies of events are read in steps: others have their turns in between, and mistakes are told all the same."""

import asyncio
import json
from typing import Any

import pytest

from tests.web.running import Running
from whatsync.model import limits
from whatsync.model.errors import Invalid

COUNT = 300


async def large(web: Running, monkeypatch: pytest.MonkeyPatch, wrong_at: int | None = None) -> bytes:
    """An array of an account's own type, read one event a turn."""
    made = await web.call("POST", "/v1/event-types", json={"name": "order.created", "description": "An order"})
    assert made.status_code == 201
    monkeypatch.setattr(limits, "DECODED_AT_ONCE_BYTES_MAX", 1_000)
    monkeypatch.setattr(limits, "DECODE_TURN_SECONDS", 0.0)
    events = [{"event": "order.created", "data": {"lines": [{"at": at}] * 20}} for at in range(COUNT)]
    if wrong_at is not None:
        events[wrong_at]["data"] = {"__proto__": 1}
    return json.dumps(events).encode()


async def turns_until(done: "asyncio.Future[Any]") -> int:
    """Turns of the loop that others have until something is there."""
    turns = 0
    async with asyncio.timeout(20):
        while not done.done():
            await asyncio.sleep(0)
            turns += 1
    return turns


async def test_a_large_array_leaves_turns_to_others(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = await large(web, monkeypatch)
    services = web.server.services
    account = next(iter(services.directory.accounts.values()))
    accepting = services.ingest.accept(account, raw)
    assert await turns_until(accepting) >= COUNT
    assert [receipt.event for receipt in accepting.result()] == ["order.created"] * COUNT


async def test_what_is_wrong_in_a_large_array_is_found_in_steps(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = await large(web, monkeypatch, wrong_at=COUNT - 1)
    services = web.server.services
    account = next(iter(services.directory.accounts.values()))
    accepting = services.ingest.accept(account, raw)
    assert await turns_until(accepting) >= 2 * COUNT - 2
    problem = accepting.exception()
    assert isinstance(problem, Invalid)
    assert problem.errors[0].field == f"[{COUNT - 1}].data.__proto__"


async def test_a_large_request_is_answered_as_a_small_one(web: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    good = await large(web, monkeypatch)
    answer = await web.call("POST", "/v1/events", content=good)
    assert (answer.status_code, len(answer.json()["items"])) == (202, COUNT)
    bad = await web.call("POST", "/v1/events", content=good.replace(b'"data"', b'"date"', 1))
    assert (bad.status_code, bad.json()["errors"][0]["field"][:4]) == (422, "[0].")
    broken = await web.call("POST", "/v1/events", content=good[:-1])
    assert (broken.status_code, broken.json()["code"]) == (400, "malformed_json")
    tally = web.server.services.tally
    assert (tally.accepting_bytes, tally.arriving_bytes) == (0, 0)
    assert tally.refused == {422: 1, 400: 1}
